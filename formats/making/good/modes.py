"""Clauses 7 and 15: stored images, zstd, every mode in one chunk, and the worked example."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from making.assemble import ANS, LATENTS, REFINEMENT, ZSTD, Sub
from making.coding import (
    DEQUANTIZED,
    LATENTS_ANS,
    PACKED,
    Coded,
    by_bytes,
    by_latents,
    by_pixels,
    chunk_of,
    file_of,
    noise,
    smooth,
    symbols,
)
from making.tiny_models import COLOUR, GRAY, every_part
from making.vector import Vector

SMALL = (2, 3, 1)
ODD = (5, 7, 3)


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    data = file_of(SMALL, [chunk_of([by_bytes(smooth(5, SMALL)[:1])])])
    yield "stored-one", Vector(data, "7, mode 0", "one image")
    repeated = [smooth(n, GRAY, seed=n).repeat(4, axis=0) for n in (6, 6, 1)]
    data = file_of(GRAY, [chunk_of([by_bytes(each, PACKED)]) for each in repeated], ZSTD)
    yield "zstd-chunks", Vector(data, "7, mode 1", "zstd, three chunks")
    data = file_of(ODD, [chunk_of([by_bytes(smooth(9, ODD), PACKED)])], ZSTD)
    yield "zstd-colour", Vector(data, "7, mode 1", "zstd, colour, sides that 4 does not divide")
    yield "colour-every-mode", _every_mode()
    yield "worked-example", _worked_example()


def _every_mode() -> Vector:
    model, images = every_part(COLOUR), smooth(8, COLOUR)
    coded = [
        by_latents(model, symbols(3, 3, seed=4), 1100),
        by_latents(model, symbols(3, 3, seed=5), 1100, LATENTS_ANS),
        by_pixels(model, images[:3], 6),
        by_pixels(model, images[3:5], 6, DEQUANTIZED),
        by_bytes(images[5:7], PACKED),
        by_bytes(noise(1, COLOUR)),
    ]
    flags = LATENTS | REFINEMENT | ZSTD | ANS
    data = file_of(COLOUR, [chunk_of(coded)], flags, model, embed=True)
    about = "colour, sides that 4 does not divide, all six modes in one chunk, all parts embedded"
    return Vector(data, "7", about)


def _worked_example() -> Vector:
    """Four images of 2x3: the first and the last are stored, the others are one gray under zstd."""
    ends = np.arange(1, 13, dtype=np.uint8).reshape(2, 2, 3, 1)
    middle = np.full((2, 2, 3, 1), 200, np.uint8)
    frame = bytes.fromhex("00 00 63 00 00 c8")  # one block that repeats the byte C8 12 times
    coded = [by_bytes(ends), Coded(Sub(frame, PACKED), middle)]
    data = file_of((2, 3, 1), [chunk_of(coded, [0, 1, 1, 0])], ZSTD, target_kind=2)
    return Vector(data, "15", "the file that aez.md takes apart")
