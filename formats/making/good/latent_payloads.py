"""Clause 8: latents under zstd."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from making.assemble import LATENTS, ZSTD
from making.coding import by_latents, chunk_of, file_of, symbols
from making.tiny_models import GRAY, LATENT_MODEL
from making.vector import Vector

QUALITIES = (
    (256, "the lowest quality"),
    (1280, "quality 5"),
    (1407, "a quality between two rows of gain"),
    (2304, "the highest quality, row 9 read as row 8"),
)


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    for quality, about in QUALITIES:
        about = f"latents under zstd: {about}"
        yield f"latents-q{quality}", _vector(symbols(30, seed=quality), quality, "8.1", about)
    about = "spans of 1, 2, 65536 and 6; symbols that clamp"
    yield "latents-spans", _vector(_spans(), 1280, "8.3", about)
    constant = np.tile(np.array([[5, -5, 0, -32768]], np.int16), (3, 1))
    yield "latents-constant", _vector(constant, 700, "8.2", "no frame at all")
    about = "latents under zstd: one image"
    yield "latents-one", _vector(symbols(1, seed=3), 900, "8.2", about)


def _vector(y_hat: np.ndarray, quality: int, clause: str, about: str) -> Vector:
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    chunk = chunk_of([by_latents(LATENT_MODEL, y_hat, quality)])
    data = file_of(GRAY, [chunk], LATENTS | ZSTD, decoder)
    return Vector(data, clause, about, ("latents-8x8",))


def _spans() -> np.ndarray:
    """Symbols (21, 4), each latent with a span of its own."""
    y_hat = symbols(21)
    y_hat[:, 0] = -7
    y_hat[:, 1] = np.arange(21) % 2
    y_hat[:, 2] = np.arange(21) * 3000 - 32768
    y_hat[-1, 2] = 32767
    y_hat[:, 3] = np.arange(21) % 6 - 3
    return y_hat
