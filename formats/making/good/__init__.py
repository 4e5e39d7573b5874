"""The good vectors, one module for each clause of aez.md (or for a few short ones)."""

from __future__ import annotations

from collections.abc import Iterator

from aecodec.models.model import Model
from making.good import (
    chunks,
    header,
    integer_networks,
    latent_payloads,
    latent_prior,
    modes,
    pixel_model,
    sections,
)
from making.vector import Vector


def vectors(pixel_model_8x8: Model, dequantizer_8x8: Model) -> Iterator[tuple[str, Vector]]:
    """Each name with its vector; the two models are the trained ones in vectors/models."""
    both = Model("both", pixel_model_8x8.shape, {**pixel_model_8x8.parts, **dequantizer_8x8.parts})
    yield from header.vectors()
    yield from sections.vectors()
    yield from chunks.vectors(both)
    yield from modes.vectors()
    yield from latent_payloads.vectors()
    yield from integer_networks.vectors()
    yield from pixel_model.vectors(pixel_model_8x8)
    yield from pixel_model.dequantized(both)
    yield from latent_prior.vectors()
