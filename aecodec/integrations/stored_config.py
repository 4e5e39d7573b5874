"""Configurations of the codec in array metadata: bytes of strangers, which name no file.

A model is found by the fingerprints of its parts, or by the name of an installed model. Every fault
of a configuration is an AezError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from aecodec.codec.choosing import NO_MODEL
from aecodec.container.modes import CODERS, DEFAULT_CODER
from aecodec.container.parts import VARIANTS
from aecodec.errors import AezCorruptError, AezUnsupportedError
from aecodec.integrations.array_chunks import CODEC_ID, CONFIG_KEYS, ChunkSettings
from aecodec.models.finding import load_installed
from aecodec.models.model import Model
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target, one_target

NAME_NBYTES_MAX = 255  # of a model's name in an .aez too
SHOWN_CHARS = 60  # of a wrong value in a message
NUMBER_MAX = 1 << 64  # beyond it no number is of any use, and Python's floats may end
WHERE = f"array metadata: codec {CODEC_ID}"


def settings_of(config: object) -> ChunkSettings:
    """The settings that stored metadata describe; the model is looked for when a chunk is coded.

    AezCorruptError for a value of a wrong type or range, AezUnsupportedError for an unknown field,
    coder or variant. ModelMissingError if the metadata name a model without its parts and no
    installed model has this name.
    """
    if not isinstance(config, Mapping):
        raise AezCorruptError(f"{WHERE}: expected an object, found {_shown(config)}")
    for key in config:
        if key not in CONFIG_KEYS:
            raise AezUnsupportedError(
                f"{WHERE}: unknown field {_shown(key)}, expected some of {', '.join(CONFIG_KEYS)}"
            )
    model = _model(config.get("model"))
    parts = _parts(config.get("parts"))
    coder = _one_of("coder", config.get("coder"), CODERS) or DEFAULT_CODER
    variant = _one_of("variant", config.get("variant"), tuple(VARIANTS))
    target = _target(config)
    if parts is None and model != NO_MODEL:
        found = model if isinstance(model, Model) else load_installed(model)
        settings = ChunkSettings.create(found, target, coder, variant)
    else:
        settings = ChunkSettings.create(model, target, coder, variant, parts or {})
    return settings.as_stored()


def _model(value: object) -> str | Model:
    """A name, which may be of no installed model; or a model itself, which no JSON can hold."""
    if isinstance(value, Model):
        return value
    if not isinstance(value, str):
        raise AezCorruptError(f"{WHERE}: model: expected a name, found {_shown(value)}")
    if len(value.encode(errors="replace")) > NAME_NBYTES_MAX or _has_surrogates(value):
        raise AezCorruptError(
            f"{WHERE}: model: expected at most {NAME_NBYTES_MAX} bytes of UTF-8, "
            f"found {_shown(value)}"
        )
    return value


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _parts(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise AezCorruptError(f"{WHERE}: parts: expected an object, found {_shown(value)}")
    for name, digits in value.items():
        if not isinstance(name, str) or re.fullmatch("[!-~]{1,255}", name) is None:
            raise AezCorruptError(
                f"{WHERE}: parts: expected names of 1 to 255 printable ASCII characters, "
                f"found {_shown(name)}"
            )
        if not isinstance(digits, str) or re.fullmatch("[0-9a-f]{64}", digits) is None:
            raise AezCorruptError(
                f"{WHERE}: parts: {name}: expected 64 hexadecimal digits, found {_shown(digits)}"
            )
    return dict(value)


def _one_of(key: str, value: object, known: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise AezCorruptError(f"{WHERE}: {key}: expected text, found {_shown(value)}")
    if value not in known:
        raise AezUnsupportedError(
            f"{WHERE}: {key}: expected one of {', '.join(known)}, found {_shown(value)}"
        )
    return value


def _target(config: Mapping[str, Any]) -> Target:
    numbers = {key: config.get(key) for key in (QUALITY, MAX_ERROR, PSNR)}
    for key, value in numbers.items():
        if value is not None and not _is_finite(value):
            raise AezCorruptError(f"{WHERE}: {key}: expected a number, found {_shown(value)}")
    lossless = config.get("lossless")
    if lossless is not None and not isinstance(lossless, bool):
        raise AezCorruptError(
            f"{WHERE}: lossless: expected true or false, found {_shown(lossless)}"
        )
    try:
        return one_target(**numbers, lossless=bool(lossless))
    except ValueError as error:
        raise AezCorruptError(f"{WHERE}: {error}") from error


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= NUMBER_MAX if isinstance(value, int) else math.isfinite(value)


def _shown(value: object) -> str:
    """A wrong value for a message, cut, on a line and in ASCII; what it nests is not written."""
    if isinstance(value, dict | list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > NUMBER_MAX:
        return "a number beyond 2**64"  # Python refuses to write the longest
    text = ascii(value[:SHOWN_CHARS] if isinstance(value, str) else value)
    return text if len(text) <= 2 * SHOWN_CHARS else text[: 2 * SHOWN_CHARS] + "..."
