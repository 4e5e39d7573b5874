"""Clause 9: the network of the decoder."""

from __future__ import annotations

from collections.abc import Iterator

from making.assemble import ANS, LATENTS, LOW_TRUNK, ZSTD
from making.coding import LATENTS_ANS, by_latents, chunk_of, file_of, symbols
from making.tiny_models import GRAY, POINT, latent_decoder, latent_model, model_of
from making.vector import Vector


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    decoder = model_of("dots", POINT, latent_decoder(POINT, 1))
    chunk = chunk_of([by_latents(decoder, symbols(8, 1), 300)])
    data = file_of(POINT, [chunk], LATENTS | ZSTD, decoder, embed=True)
    yield "latents-1x2", Vector(data, "9.2", "images of two pixels from one latent")
    both, y_hat = latent_model(GRAY, "two-trunks", 2, low_below=700), symbols(4, 2, seed=6)
    coded = [by_latents(both, y_hat, quality) for quality in (699, 700)]
    coded.append(by_latents(both, y_hat, 300, LATENTS_ANS))
    flags = LATENTS | ZSTD | ANS | LOW_TRUNK
    data = file_of(GRAY, [chunk_of(coded)], flags, both, embed=True, version_minor=2)
    about = "a low trunk that ends below quality 700: the same symbols on both sides of it"
    yield "low-trunk", Vector(data, "9.4", about)
