"""Clause 5: chunks, and how images share the sub-payloads of a chunk."""

from __future__ import annotations

from collections.abc import Iterator

from aecodec.models.model import Model
from making.assemble import ANS, LATENTS, REFINEMENT, ZSTD
from making.coding import (
    DEQUANTIZED,
    PACKED,
    by_bytes,
    by_latents,
    by_pixels,
    chunk_of,
    file_of,
    noise,
    smooth,
    symbols,
)
from making.tiny_models import GRAY, LATENT_MODEL
from making.vector import Vector

SMALL = (2, 3, 1)


def vectors(both: Model) -> Iterator[tuple[str, Vector]]:
    """Each name with its vector; ``both`` has a pixel model and a dequantizer."""
    images = smooth(5, SMALL)
    pieces = [chunk_of([by_bytes(images[at : at + 2])]) for at in (0, 2, 4)]
    data = file_of(SMALL, pieces)
    yield "stored-chunks", Vector(data, "5.1", "three chunks, the last one of fewer images")
    data = file_of(SMALL, [chunk_of([by_bytes(images)], off=255)])
    yield "largest-error", Vector(data, "5.4", "one sample off by 255")
    yield "runs", _runs()
    yield "latents-mixed", _mixed_latents()
    yield "pixels-and-dequantized", _mixed_pixels(both)


def _runs() -> Vector:
    many = noise(300, (1, 1, 1))
    coded = [by_bytes(many[:150]), by_bytes(many[150:], PACKED)]
    order = [0] * 10 + [1] * 149 + [0] * 140 + [1]
    data = file_of((1, 1, 1), [chunk_of(coded, order)], ZSTD)
    return Vector(data, "5.3", "runs of two sub-payloads, some lengths in two bytes of LEB128")


def _mixed_latents() -> Vector:
    coded = [
        by_latents(LATENT_MODEL, symbols(9, seed=5), 512),
        by_bytes(noise(3, GRAY)),
        by_latents(LATENT_MODEL, symbols(4, seed=6), 2000),
        by_bytes(smooth(2, GRAY), PACKED),
    ]
    order = [0, 0, 1, 0, 2, 2, 0, 0, 0, 3, 1, 1, 0, 2, 0, 3, 2, 0]
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    data = file_of(GRAY, [chunk_of(coded, order)], LATENTS | ZSTD, decoder)
    return Vector(data, "5.3", "four sub-payloads, images shared in runs", ("latents-8x8",))


def _mixed_pixels(both: Model) -> Vector:
    coded = [by_pixels(both, smooth(7, GRAY, seed=2), 4, DEQUANTIZED)]
    coded += [by_pixels(both, smooth(5, GRAY, seed=3), e) for e in (4, 9)]
    order = [0, 1, 2] * 5 + [0, 0]
    data = file_of(GRAY, [chunk_of(coded, order)], REFINEMENT | ANS, both)
    about = "modes 3 and 4, one parameter twice in different modes"
    return Vector(data, "5.2", about, ("pixels-8x8", "dequantizer-8x8"))
