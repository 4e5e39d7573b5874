"""The parts of models: their names, the flags that announce them, section PART (aez.md 4.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aecodec.container.checks import U8_MAX
from aecodec.container.header import FLAG_LOW_TRUNK, FLAG_TONES, FLAG_UNDERLAY
from aecodec.errors import AezCorruptError
from aecodec.io.cursor import Cursor

LATENT_DECODER: Final = "latent_decoder"
LATENT_PRIOR: Final = "latent_prior"
PIXEL_FAST: Final = "pixel_fast"
PIXEL_SMALL: Final = "pixel_small"
DEQUANTIZER: Final = "dequantizer"
PIXEL_MODELS: Final = (PIXEL_FAST, PIXEL_SMALL)  # the default first
# Parts of pixel models by the names that users give.
VARIANTS: Final = {part.removeprefix("pixel_"): part for part in PIXEL_MODELS}
UNDERLAY_PARTS: Final = (LATENT_DECODER, LATENT_PRIOR)  # what a pixel model with an underlay needs

TONES: Final = "tones"  # tensor of a pixel model: a second value for each gray level
UNDERLAY: Final = "underlay"  # tensor of a pixel model: the stored quality of its underlay
# Tensor of a latent decoder: the low trunk decodes the qualities below this one.
LOW_BELOW: Final = "low_below"

_ANNOUNCED_BY_PIXEL_MODELS: Final = {TONES: FLAG_TONES, UNDERLAY: FLAG_UNDERLAY}
# Version 1.1 does not know these tensors. A file sets the flag if one of its parts has the tensor.
ANNOUNCED: Final = {
    PIXEL_FAST: _ANNOUNCED_BY_PIXEL_MODELS,
    PIXEL_SMALL: _ANNOUNCED_BY_PIXEL_MODELS,
    LATENT_DECODER: {LOW_BELOW: FLAG_LOW_TRUNK},
}
FINGERPRINT_NBYTES: Final = 32


def part_of_variant(variant: str | None) -> str | None:
    """The part of a variant of the pixel model; ValueError for an unknown variant."""
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
    return None if variant is None else VARIANTS[variant]


@dataclass(frozen=True)
class PartRef:
    """A part that decoding needs: its name, and the SHA-256 that identifies it."""

    name: str
    fingerprint: bytes


def pack_parts(parts: Iterable[PartRef], model_name: str) -> bytes:
    """The payload of a PART section (aez.md 4.5); the order of ``parts`` is free."""
    ordered = sorted(parts, key=lambda part: part.name)
    encoded_name = model_name.encode("utf-8")
    if fault := _parts_fault(ordered) or _model_name_fault(encoded_name, model_name):
        raise ValueError(f"PART: {fault}")
    packed = [
        bytes([len(part.name)]) + part.name.encode("ascii") + part.fingerprint for part in ordered
    ]
    return b"".join([bytes([len(packed)]), *packed, bytes([len(encoded_name)]), encoded_name])


def unpack_parts(payload: bytes, where: str) -> tuple[tuple[PartRef, ...], str]:
    """The parts in a PART payload, in order of their names, and the model's display name."""
    cursor = Cursor(payload, f"{where}: PART")
    parts = []
    for _ in range(cursor.byte("part count")):
        part_name = cursor.take_counted("part name").decode("latin-1")
        parts.append(PartRef(part_name, cursor.take(FINGERPRINT_NBYTES, "fingerprint")))
    encoded_name = cursor.take_counted("model name")
    cursor.finish()
    try:
        model_name = encoded_name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AezCorruptError(f"{where}: PART: model name is not UTF-8: {error}") from None
    if fault := _parts_fault(parts) or _model_name_fault(encoded_name, model_name):
        raise AezCorruptError(f"{where}: PART: {fault}")
    return tuple(parts), model_name


def _parts_fault(parts: list[PartRef]) -> str | None:
    if not 1 <= len(parts) <= U8_MAX:
        return f"part count is {len(parts)}, expected 1..{U8_MAX}"
    for part in parts:
        if not (1 <= len(part.name) <= U8_MAX and all("!" <= char <= "~" for char in part.name)):
            return f"part name is {part.name!r}, expected 1..{U8_MAX} printable ASCII characters"
        if len(part.fingerprint) != FINGERPRINT_NBYTES:
            return (
                f"fingerprint of {part.name} has {len(part.fingerprint)} bytes, "
                f"expected {FINGERPRINT_NBYTES}"
            )
    names = [part.name for part in parts]
    if names != sorted(set(names)):
        return f"part names are {names}, expected sorted and without duplicates"
    return None


def _model_name_fault(encoded: bytes, model_name: str) -> str | None:
    if len(encoded) > U8_MAX:
        return f"model name has {len(encoded)} bytes of UTF-8, expected at most {U8_MAX}"
    # aez.md 4.5: the name goes to terminals, so it must not be able to steer them.
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in model_name):
        return f"model name {model_name!r} has control characters"
    return None
