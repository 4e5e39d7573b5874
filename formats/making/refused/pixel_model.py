"""Clause 11: pixel models, their tones and underlays."""

from __future__ import annotations

import numpy as np

from aecodec.models.model import Model
from making import assemble
from making.assemble import ANS, LATENTS, REFINEMENT, UNDERLAY, File, header
from making.refused.common import (
    PRINT,
    Named,
    NamedVectors,
    bad,
    pieces,
    with_pixel_model,
)
from making.tiny_models import POINT, changed, dots, filled, model_of, underlaid

PART = "pixel_fast"


def vectors() -> NamedVectors:
    """Each name with its vector."""
    payload = assemble.part_payload([(b"pixel_fast", PRINT), (b"pixel_small", PRINT)])
    data = File(header(required_flags=REFINEMENT | ANS), pieces(), part=payload).pack()
    yield bad("model-two-pixel-models", data, "11.1", "two pixel models", "pixel models")
    yield from _sums()
    yield from _tones()
    yield from _underlays()
    yield from _parts_of_underlays()


def _vector(name: str, model: Model, clause: str, about: str, match: str) -> Named:
    return bad(f"poisoned-{name}", with_pixel_model(model), clause, about, match)


def _sums() -> NamedVectors:
    model = changed(dots(), PART, "out.bias", filled(1 << 24))
    about = "a sum of out in head 0 leaves the exact range"
    yield _vector("pixel-sum", model, "11.5", about, "layer out 0")
    model = changed(_nearly_inexact(), PART, "see.shift", filled(0))
    about = "see stays in the exact range, with places and codes added it does not"
    yield _vector("pixel-places", model, "11.5", about, "layer see")
    model = changed(underlaid(POINT), PART, "see.bias", filled(1 << 24))
    about = "a sum of see in head 0, which an underlay gives one, leaves the exact range"
    yield _vector("underlay-sum", model, "11.5", about, "layer see 0")


def _nearly_inexact() -> Model:
    """A model whose layer ``see`` has the largest biases with which its sums stay exact."""
    kernels = dots().parts[PART].tensors["see.weight"].astype(np.int64)
    weights = np.abs(kernels).sum(axis=(1, 2, 3))
    heads = [weights[k * (k - 1) // 2 : k * (k + 1) // 2].sum() for k in range(1, 16)]
    largest = (1 << 24) - 2 - 255 * np.array(heads)
    return changed(
        dots(), PART, "see.bias", lambda bias: largest.reshape(bias.shape).astype(bias.dtype)
    )


def _tones() -> NamedVectors:
    toned = dots(toned=True)
    model = changed(toned, PART, "tones", lambda tones: tones[:-1])
    yield _vector("tones-short", model, "11.7", "a table of 255 tones", "tones")
    model = changed(toned, PART, "tones", lambda tones: tones.astype(np.int8))
    yield _vector("tones-signed", model, "11.7", "tones are int8", "tones")
    model = changed(toned, PART, "see.weight", lambda kernels: kernels[:120])
    about = "tones, but see.weight has kernels for samples alone"
    yield _vector("tones-kernels", model, "11.7", about, "see.weight")
    data = with_pixel_model(toned, flags=REFINEMENT | ANS)
    about = "the pixel model has tones, TONES is not set"
    yield bad("model-tones-not-announced", data, "11.7", about, "tones")


def _underlays() -> NamedVectors:
    for name, quality in (("coarse", 255), ("fine", 2305)):
        about = f"an underlay of quality {quality}/256"
        yield _vector(f"underlay-{name}", underlaid(POINT, quality), "11.8", about, "underlay")
    model = changed(underlaid(POINT), PART, "see.weight", lambda kernels: kernels[:120])
    about = "an underlay, but see.weight has kernels for samples alone"
    yield _vector("underlay-kernels", model, "11.8", about, "see.weight")


def _parts_of_underlays() -> NamedVectors:
    whole = LATENTS | REFINEMENT | ANS | UNDERLAY
    for name, missing, flags, match in (
        ("not-announced", "UNDERLAY", whole & ~UNDERLAY, "underlay"),
        ("without-prior", "latent_prior", whole, "latents"),
        ("without-decoder", "latent_decoder", whole & ~LATENTS, "latent"),
    ):
        parts = [part for part in underlaid(POINT).parts.values() if part.name != missing]
        data = with_pixel_model(model_of("dots", POINT, *parts), flags=flags)
        about = f"the pixel model has an underlay, {missing} is not told"
        yield bad(f"model-underlay-{name}", data, "11.8", about, match)
