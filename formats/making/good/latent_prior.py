"""Clause 14: latents under ANS, by the latent prior."""

from __future__ import annotations

from collections.abc import Iterator

from making.assemble import ANS, LATENTS
from making.coding import LATENTS_ANS, by_latents, chunk_of, file_of, symbols
from making.tiny_models import GRAY, LATENT_MODEL
from making.vector import Vector

NEEDS = ("latents-8x8",)
QUALITIES = ((1280, "quality 5"), (835, "between two rows"), (2304, "the last row"))


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    for quality, about in QUALITIES:
        y_hat = symbols(40, seed=quality)
        chunk = chunk_of([by_latents(LATENT_MODEL, y_hat, quality, LATENTS_ANS)])
        data = file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL)
        yield f"latents-ans-q{quality}", Vector(data, "14", f"latents under ANS: {about}", NEEDS)
    y_hat = symbols(20, seed=1, widest=128)
    y_hat[0], y_hat[1] = -128, 127
    pieces = [y_hat[:9], y_hat[9:18], y_hat[18:]]
    chunks = [chunk_of([by_latents(LATENT_MODEL, each, 1000, LATENTS_ANS)]) for each in pieces]
    data = file_of(GRAY, chunks, LATENTS | ANS, LATENT_MODEL)
    about = "latents under ANS to the ends of their range, three chunks"
    yield "latents-ans-chunks", Vector(data, "14.4", about, NEEDS)
