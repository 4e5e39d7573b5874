"""Tiny models whose integers come from a bit generator.

They are not trained, so every machine makes the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from aecodec.container.parts import DEQUANTIZER, LATENT_DECODER, LATENT_PRIOR
from aecodec.models.model import Model, Part
from aecodec.nets import dequantizer, latent_prior, pixel_model
from aecodec.nets.dequantizer import DequantizerConfig
from aecodec.nets.latent_decoder import AutoencoderConfig, layer_shapes
from aecodec.nets.latent_prior import PriorConfig
from aecodec.nets.layers import layer_tensors
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid

Shape = tuple[int, int, int]
Wanted = Mapping[str, tuple[tuple[int, ...], type]]
Change = Callable[[np.ndarray], np.ndarray]

GRAY: Shape = (8, 8, 1)
COLOUR: Shape = (5, 3, 3)
POINT: Shape = (1, 2, 1)  # images of two pixels

# ---------------------------------------------------------------- parts


def latent_decoder(shape: Shape, latents: int, low_below: int = 0) -> Part:
    """A decoder whose images are a sum of a few random patterns, with a weak network on top."""
    c = AutoencoderConfig(*shape, latents, 3, 2, 2, low_below=low_below)
    rng = np.random.default_rng(latents)
    rows = np.geomspace(400, 8, 9).round().astype(np.int64)[:, None]
    tensors = {"gain": (rows + rng.integers(0, 8, (9, latents))).astype(np.uint16)}
    for layer, weights in layer_shapes(c).items():
        wide = layer in ("linear", "dense1")
        wanted = layer_tensors(layer, weights, np.int16 if layer == "dense1" else np.int8)
        largest = {"linear": 60, "dense1": 3000}.get(layer, 50)
        typical = largest * math.sqrt(math.prod(weights[1:])) * (900 if wide else 90)
        shift = max(0, round(math.log2(typical / (900 if layer == "linear" else 120))))
        middle = 2048 if layer == "linear" else 60
        tensors |= _layer(rng, wanted, largest, shift, middle << shift)
    if low_below:
        tensors["low_below"] = np.array([low_below], np.uint16)
    return Part(LATENT_DECODER, c.decoding(), tensors)


def prior(latents: int) -> Part:
    """A latent prior of groups of three latents and mixtures of two logistics."""
    c = PriorConfig(latents, 3, 3, 2)
    rng = np.random.default_rng(7)
    tensors = {
        "order": rng.permutation(latents).astype(np.int16),
        "unit": np.full(latents, 5, np.uint8),
        "see_rows": rng.integers(0, 150, (9, c.groups, c.features)).astype(np.int16),
        "out_rows": rng.integers(-20, 20, (9, latents, 6)).astype(np.int16),
    }
    tensors["out_rows"][..., 2:4] += 400  # log scales: wide enough for the symbols that are drawn
    for layer, weights in latent_prior.layer_shapes(c).items():
        tensors |= _layer(rng, layer_tensors(layer, weights, np.int8), 50, 6, 20)
    return Part(LATENT_PRIOR, c.decoding(), tensors)


def pixels(
    shape: Shape,
    name: str,
    features: int,
    kept: float = 1.0,
    *,
    toned: bool = False,
    underlay: int | None = None,
) -> Part:
    """A pixel model of one logistic.

    ``kept`` is the share of its numbers, apart from biases, that are not zero. Few of them take
    little space in a file. ``underlay`` is the quality of an underlay (11.8).
    """
    grid = PlaneGrid(*shape)
    c = PixelConfig(grid.channels, features, 1, toned, underlay is not None)
    tensors = _numbers(np.random.default_rng(11), pixel_model.tensor_shapes(c, grid), kept)
    tensors["out.bias"][:, 0], tensors["out.bias"][:, 1] = 900 << 6, 300 << 6
    if underlay is not None:
        tensors["underlay"] = np.array([underlay], np.uint16)
    return Part(name, c.decoding(grid), tensors)


def mover(shape: Shape, features: int, kept: float = 1.0) -> Part:
    """A dequantizer; ``kept`` is as in ``pixels``."""
    grid = PlaneGrid(*shape)
    c = DequantizerConfig(grid.channels, features)
    wanted = dequantizer.tensor_shapes(c, grid)
    return Part(DEQUANTIZER, c.decoding(grid), _numbers(np.random.default_rng(13), wanted, kept))


def _numbers(rng: np.random.Generator, wanted: Wanted, kept: float) -> dict[str, np.ndarray]:
    tensors = {}
    for name, (shape, dtype) in wanted.items():
        if name.endswith(".shift"):
            drawn = np.full(shape, 6)
        elif name == "tones":
            drawn = np.arange(256) * 37 % 256
        elif name.endswith(".bias"):
            drawn = 500 * rng.integers(0, 5, shape)
        else:
            drawn = rng.integers(-30, 31, shape) * (rng.random(shape) < kept)
        tensors[name] = drawn.astype(dtype)
    return tensors


def _layer(
    rng: np.random.Generator, wanted: Wanted, largest: int, shift: int, bias: int
) -> dict[str, np.ndarray]:
    (weight, bias_, shift_) = wanted
    return {
        weight: rng.integers(-largest, largest + 1, wanted[weight][0]).astype(wanted[weight][1]),
        bias_: (bias + rng.integers(-300, 301, wanted[bias_][0])).astype(np.int32),
        shift_: np.full(wanted[shift_][0], shift, np.uint8),
    }


# ---------------------------------------------------------------- models


def model_of(name: str, shape: Shape, *parts: Part) -> Model:
    """A model of these parts."""
    return Model(name, shape, {part.name: part for part in parts})


def latent_model(shape: Shape, name: str, latents: int = 4, low_below: int = 0) -> Model:
    """A decoder and a prior; the decoder has a low trunk (9.4) if ``low_below`` is not 0."""
    return model_of(name, shape, latent_decoder(shape, latents, low_below), prior(latents))


def every_part(shape: Shape) -> Model:
    """One part of each kind; most kernels are zero, so that the model takes little space."""
    parts = latent_model(shape, "", latents=3).parts.values()
    small, moved = pixels(shape, "pixel_small", 1, 0.1), mover(shape, 1, 0.2)
    return model_of("every part", shape, *parts, small, moved)


def underlaid(
    shape: Shape, quality: int = 600, *, toned: bool = False, low_below: int = 0
) -> Model:
    """A pixel model with an underlay (11.8), and the decoder and prior of two latents it needs."""
    parts = latent_model(shape, "", 2, low_below).parts.values()
    part = pixels(shape, "pixel_fast", 1, 0.08, toned=toned, underlay=quality)
    return model_of("underlaid", shape, *parts, part)


def toned_model(shape: Shape, name: str = "pixel_small") -> Model:
    """A pixel model with tones (11.7), which takes little space."""
    return model_of("toned", shape, pixels(shape, name, 1, 0.1, toned=True))


def dots(*, toned: bool = False) -> Model:
    """A pixel model for images of two pixels."""
    return model_of("dots", POINT, pixels(POINT, "pixel_fast", 1, 0.3, toned=toned))


LATENT_MODEL = latent_model(GRAY, "latents-8x8")  # the vectors have it as a file

# ---------------------------------------------------------------- changes


def changed(model: Model, part: str, tensor: str, change: Change) -> Model:
    """The model with one tensor changed."""
    tensors = model.parts[part].tensors
    return _with_tensors(model, part, {**tensors, tensor: change(tensors[tensor])})


def without(model: Model, part: str, start: str) -> Model:
    """The model without the tensors of a part whose names begin with ``start``."""
    tensors = model.parts[part].tensors
    left = {name: tensor for name, tensor in tensors.items() if not name.startswith(start)}
    return _with_tensors(model, part, left)


def extended(model: Model, part: str, tensor: str, value: np.ndarray) -> Model:
    """The model with one tensor added to a part."""
    return _with_tensors(model, part, {**model.parts[part].tensors, tensor: value})


def _with_tensors(model: Model, part: str, tensors: Mapping[str, np.ndarray]) -> Model:
    own = replace(model.parts[part], tensors=dict(tensors))
    return replace(model, parts={**model.parts, part: own})


def configured(model: Model, part: str, **changes: object) -> Model:
    """The model with other values in the config of one part."""
    own = model.parts[part]
    own = replace(own, config={**own.config, **changes})
    return replace(model, parts={**model.parts, part: own})


def filled(value: int) -> Change:
    """The change that sets every number of a tensor to ``value``."""
    return lambda tensor: np.full_like(tensor, value)
