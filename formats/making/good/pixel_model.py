"""Clauses 11 to 13: pixel models, ANS, and the dequantizer."""

from __future__ import annotations

from collections.abc import Iterator

from aecodec.models.model import Model
from making.assemble import ANS, LATENTS, LOW_TRUNK, REFINEMENT, TONES, UNDERLAY, ZSTD
from making.coding import (
    DEQUANTIZED,
    by_latents,
    by_pixels,
    chunk_of,
    file_of,
    noise,
    smooth,
    symbols,
)
from making.tiny_models import GRAY, POINT, dots, model_of, mover, toned_model, underlaid
from making.vector import Vector


def vectors(trained: Model) -> Iterator[tuple[str, Vector]]:
    """Each name with its vector; ``trained`` is the pixel model in vectors/models."""
    needs, flags = ("pixels-8x8",), REFINEMENT | ANS
    data = file_of(GRAY, [chunk_of([by_pixels(trained, smooth(9, GRAY), 127)])], flags, trained)
    yield "pixels-e127", Vector(data, "11.3", "the largest bound: two levels", needs)
    data = file_of(GRAY, [chunk_of([by_pixels(trained, noise(5, GRAY), 5)])], flags, trained)
    yield "pixels-noise", Vector(data, "12.3", "improbable samples, long payload", needs)
    model = dots()
    chunk = chunk_of([by_pixels(model, noise(8, POINT), 2)])
    data = file_of(POINT, [chunk], flags, model, embed=True)
    yield "pixels-1x2", Vector(data, "11.2", "images of two pixels: most planes hold none")
    yield from _tones()
    yield from _underlays()


def dequantized(both: Model) -> Iterator[tuple[str, Vector]]:
    """Each name with its vector; ``both`` has a pixel model and a dequantizer."""
    for e in (1, 127):
        chunk = chunk_of([by_pixels(both, smooth(9, GRAY, seed=e), e, DEQUANTIZED)])
        data = file_of(GRAY, [chunk], REFINEMENT | ANS, both)
        needs = ("pixels-8x8", "dequantizer-8x8")
        yield f"dequantized-e{e}", Vector(data, "13", f"the dequantizer at a bound of {e}", needs)


def _tones() -> Iterator[tuple[str, Vector]]:
    flags = REFINEMENT | ANS | TONES
    toned, images = toned_model(GRAY), smooth(9, GRAY, seed=4)
    chunk = chunk_of([by_pixels(toned, images[:6], 0), by_pixels(toned, images[6:], 8)])
    data = file_of(GRAY, [chunk], flags, toned, embed=True, version_minor=2)
    yield "tones", Vector(data, "11.7", "a pixel model with tones, embedded, under two bounds")
    odd = toned_model((5, 6, 3), "pixel_fast")
    chunk = chunk_of([by_pixels(odd, smooth(3, odd.shape), 2)])
    data = file_of(odd.shape, [chunk], flags, odd, embed=True, version_minor=2)
    about = "tones, colour, sides that 4 does not divide: outside the image the tone is tones[0]"
    yield "tones-colour", Vector(data, "11.7", about)


def _underlays() -> Iterator[tuple[str, Vector]]:
    flags = LATENTS | REFINEMENT | ANS | UNDERLAY
    model, images = underlaid(GRAY), smooth(9, GRAY, seed=4)
    chunk = chunk_of([by_pixels(model, images[:5], 0), by_pixels(model, images[5:], 9)])
    data = file_of(GRAY, [chunk], flags, model, embed=True, version_minor=2)
    about = "a pixel model with an underlay, embedded, under two bounds"
    yield "underlay", Vector(data, "11.8", about)
    odd = underlaid((5, 6, 2), 2304, toned=True)
    odd = model_of("underlaid", odd.shape, *odd.parts.values(), mover(odd.shape, 1, 0.05))
    images = smooth(5, odd.shape)
    chunk = chunk_of([by_pixels(odd, images[:3], 2), by_pixels(odd, images[3:], 7, DEQUANTIZED)])
    data = file_of(odd.shape, [chunk], flags | TONES, odd, embed=True, version_minor=2)
    about = (
        "an underlay of the finest quality, tones, a dequantizer, two channels, sides not of fours"
    )
    yield "underlay-colour", Vector(data, "11.8", about)
    low = underlaid(GRAY, 699, low_below=700)
    pixels = by_pixels(low, smooth(6, GRAY, seed=4)[:4], 1)
    latents = by_latents(low, symbols(2, 2, seed=3), 700)
    flags |= ZSTD | LOW_TRUNK
    data = file_of(GRAY, [chunk_of([pixels, latents])], flags, low, embed=True, version_minor=2)
    about = "an underlay by the low trunk, and latents by the other one"
    yield "underlay-low-trunk", Vector(data, "11.8", about)
