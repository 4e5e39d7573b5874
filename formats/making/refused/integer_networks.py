"""Clause 9: decoders that would not decode exactly, or not at all; their checksums are right."""

from __future__ import annotations

import numpy as np

from aecodec.models.model import Model
from making.assemble import LATENTS, LOW_TRUNK, ZSTD
from making.refused.common import Named, NamedVectors, bad, with_decoder, with_trunks
from making.tiny_models import (
    GRAY,
    LATENT_MODEL,
    Change,
    changed,
    extended,
    filled,
    latent_decoder,
    model_of,
    without,
)

PART = "latent_decoder"
DECODER = LATENT_MODEL.decoding([PART])


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _tensors()
    yield from _sums()
    yield from _low_trunks()


def _vector(name: str, model: Model, clause: str, about: str, match: str) -> Named:
    return bad(f"poisoned-{name}", with_decoder(model), clause, about, match)


def _with(tensor: str, change: Change) -> Model:
    return changed(DECODER, PART, tensor, change)


def _tensors() -> NamedVectors:
    model = _with("out.shift", filled(32))
    yield _vector("shift", model, "9.2", "a shift of 32", "shift|is over 31")
    model = _with("up.weight", lambda tensor: tensor.astype(np.int16))
    about = "weights of int16 that should be int8"
    yield _vector("dtype", model, "9.2", about, r"up\.weight")
    model = _with("dense2.bias", lambda tensor: tensor[:-1])
    yield _vector("shape", model, "9.2", "a tensor of another shape", r"dense2\.bias")
    model = without(DECODER, PART, "gain")
    yield _vector("tensor-missing", model, "9.2", "a tensor is missing", "missing")
    model = extended(DECODER, PART, "more", np.zeros(1, np.int8))
    yield _vector("tensor-unknown", model, "9.2", "a tensor too many", "unknown")


def _sums() -> NamedVectors:
    model = _with("up.bias", filled(1 << 24))
    about = "a bias of 2^24 in layer up, whose sums float32 cannot hold"
    yield _vector("sum", model, "9.3", about, "layer up")
    model = DECODER
    for layer in ("dense2", "coarse0b"):
        model = changed(model, PART, f"{layer}.bias", filled(9 << 20))
        model = changed(model, PART, f"{layer}.shift", filled(0))
    about = "dense2 and coarse0b stay in the exact range, their sum r does not"
    yield _vector("residual", model, "9.3", about, "layer coarse0b")


def _low_trunks() -> NamedVectors:
    def vector(name: str, model: Model, clause: str, about: str, match: str) -> Named:
        data = with_trunks(model, LATENTS | ZSTD | LOW_TRUNK)
        return bad(f"poisoned-low-trunk-{name}", data, clause, about, match)

    sound = model_of("two-trunks", GRAY, latent_decoder(GRAY, 2, low_below=700))
    for name, value in (("never", 256), ("beyond", 2305)):
        model = changed(sound, PART, "low_below", filled(value))
        about = f"a low trunk that ends below quality {value}"
        yield vector(name, model, "9.4", about, "low_below")
    model = changed(sound, PART, "low_coarse0b.bias", filled(1 << 24))
    about = "a sum in the low trunk leaves the exact range"
    yield vector("sum", model, "9.3", about, "low_coarse0b")
    model = without(sound, PART, "low_up")
    yield vector("lame", model, "9.4", "a low trunk without its layer up", "missing")
