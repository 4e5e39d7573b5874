"""What the modules of refused vectors share: names, and the sound files that they change."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from aecodec.models.model import Model
from making import assemble, coding, tiny_models
from making.assemble import (
    ANS,
    LATENTS,
    REFINEMENT,
    TONES,
    UNDERLAY,
    ZSTD,
    Chunk,
    Fields,
    File,
    Sub,
    Value,
    header,
)
from making.tiny_models import GRAY, LATENT_MODEL
from making.vector import UNSUPPORTED, Refusal

PIXELS = bytes(range(100, 130))  # five images of 2x3
PRINT = bytes(range(32))  # a fingerprint
PARTS = [(b"alpha", PRINT), (b"beta", PRINT[::-1])]

Named: TypeAlias = tuple[str, Refusal]
NamedVectors: TypeAlias = Iterator[Named]


def bad(
    name: str, data: bytes, clause: str, about: str, match: str, models: tuple[str, ...] = ()
) -> Named:
    """The name and vector of a corrupt file."""
    return f"bad/{name}", Refusal(data, clause, about, match, models=models)


def unsupported(name: str, data: bytes, clause: str, about: str, match: str) -> Named:
    """The name and vector of a file of a later version."""
    error = "AezUnsupportedError"
    return f"unsupported/{name}", Refusal(data, clause, about, match, UNSUPPORTED, error)


# ---------------------------------------------------------------- files of stored images


def pieces(changes: Fields | None = None, index: Fields | None = None) -> list[Chunk]:
    """Three chunks of two, two and one images; the second one has the changes."""
    return [
        assemble.stored(PIXELS[:12], 2),
        assemble.stored(PIXELS[12:24], 2, changes=changes, index=index),
        assemble.stored(PIXELS[24:], 1),
    ]


def plain(**changes: Any) -> bytes:  # noqa: ANN401  # fields of File have many types
    """The file that most vectors start from, with changes to the fields of File."""
    fields: dict[str, Any] = {"head": header(), "chunks": pieces()}
    return File(**(fields | changes)).pack()


def with_header(**changes: Value) -> bytes:
    """The plain file with changed fields in its header."""
    return plain(head=header(**changes))


def with_chunk(**changes: Value) -> bytes:
    """The plain file with changed fields in the head of its second chunk."""
    return plain(chunks=pieces(changes))


def with_table(subs: Sequence[Sub], runs: bytes = b"", flags: int = 15) -> bytes:
    """A file of one chunk of four images of 2x3, whose table ends in ``runs``."""
    table = bytes([len(subs)]) + b"".join(sub.entry() for sub in subs) + runs
    part = assemble.part_payload(PARTS) if flags & (LATENTS | REFINEMENT) else None
    head = header(required_flags=flags, chunk_images=4)
    return File(head, [Chunk(4, subs, b"", table=table)], part=part).pack()


# ---------------------------------------------------------------- files with an embedded model


def latent_chunk() -> Chunk:
    """Two images by LATENT_MODEL in mode 2."""
    return coding.chunk_of([coding.by_latents(LATENT_MODEL, coding.symbols(2, seed=8), 1280)])


def with_decoder(model: Model, sections: Sequence[bytes] | None = None) -> bytes:
    """A file of ``latent_chunk`` that embeds ``model``; ``sections`` replace its MODL."""
    flags, chunks = LATENTS | ZSTD, [latent_chunk()]
    if sections is None:
        return coding.file_of(model.shape, chunks, flags, model, embed=True)
    return coding.file_of(model.shape, chunks, flags, model, sections=sections)


def with_prior(model: Model) -> bytes:
    """A file of two images by LATENT_MODEL in mode 5 that embeds ``model``."""
    y_hat = coding.symbols(2, seed=8)
    coded = coding.by_latents(LATENT_MODEL, y_hat, 1280, coding.LATENTS_ANS)
    return coding.file_of(GRAY, [coding.chunk_of([coded])], LATENTS | ANS, model, embed=True)


def with_trunks(model: Model, flags: int) -> bytes:
    """A file of three images in mode 2, below quality 2, that embeds ``model``."""
    sound = tiny_models.latent_model(GRAY, "it", 2)
    chunk = coding.chunk_of([coding.by_latents(sound, coding.symbols(3, 2), 300)])
    return coding.file_of(GRAY, [chunk], flags, model, embed=True, version_minor=2)


def with_pixel_model(
    model: Model, mode: int = coding.PIXELS, parameter: int = 0, flags: int | None = None
) -> bytes:
    """A file of one image of two pixels that embeds ``model``.

    Readers must refuse the model, or the lack of a part, before they come to the payload. Without
    ``flags``, the header has those that the pixel model needs.
    """
    sub = Sub(struct.pack("<7Q", *[1 << 32] * 7), mode, parameter)
    chunk = Chunk(1, [sub], bytes(2))
    if flags is None:
        tensors = model.parts["pixel_fast"].tensors
        flags = REFINEMENT | ANS | (TONES if "tones" in tensors else 0)
        flags |= LATENTS | UNDERLAY if "underlay" in tensors else 0
    return coding.file_of(model.shape, [chunk], flags, model, embed=True)
