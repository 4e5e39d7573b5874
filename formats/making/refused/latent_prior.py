"""Clause 14: latent priors."""

from __future__ import annotations

from aecodec.models.model import Model
from making.refused.common import Named, NamedVectors, bad, with_prior
from making.tiny_models import LATENT_MODEL, changed, configured, filled

PART = "latent_prior"


def vectors() -> NamedVectors:
    """Each name with its vector."""
    model = changed(LATENT_MODEL, PART, "order", filled(2))
    yield _vector("order", model, "14.1", "order names a latent four times", "order")
    model = changed(LATENT_MODEL, PART, "unit", filled(16))
    yield _vector("unit", model, "14.4", "unit is 16", "unit")
    model = changed(LATENT_MODEL, PART, "mix1.bias", filled(1 << 24))
    yield _vector("sum", model, "14.5", "a sum of mix1 leaves the exact range", "layer mix1")
    model = configured(LATENT_MODEL, PART, latents=5)
    about = "latents differ from the decoder's"
    yield _vector("latents", model, "14.1", about, "latent_prior")


def _vector(name: str, model: Model, clause: str, about: str, match: str) -> Named:
    return bad(f"poisoned-prior-{name}", with_prior(model), clause, about, match)
