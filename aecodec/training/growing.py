"""A stored decoder of layer L as one of another form: with fewer hidden units, or a low trunk too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aecodec.nets.latent_decoder import LOW, AutoencoderConfig, layer_shapes
from aecodec.nets.layers import LayerArrays


def can_grow(stored: AutoencoderConfig, wanted: AutoencoderConfig) -> bool:
    """Whether :func:`grow` makes the one of the other."""
    same = replace(stored, hidden=wanted.hidden, low_below=wanted.low_below)
    return same == wanted and stored.hidden >= wanted.hidden


def grow(
    layers: Mapping[str, LayerArrays], stored: AutoencoderConfig, wanted: AutoencoderConfig
) -> dict[str, LayerArrays]:
    """The hidden units that weigh most; a low trunk that is a copy of the other, if there is none."""
    grown = dict(layers)
    if stored.hidden > wanted.hidden:
        kept = _heaviest(layers, wanted.hidden)
        into, out = layers["dense1"], layers["dense2"]
        grown["dense1"] = LayerArrays(into.weight[kept], into.bias[kept], into.shift[kept])
        grown["dense2"] = replace(out, weight=out.weight[:, kept])
    return {name: grown.get(name, grown[name.removeprefix(LOW)]) for name in layer_shapes(wanted)}


def _heaviest(layers: Mapping[str, LayerArrays], count: int) -> npt.NDArray[np.intp]:
    """The hidden units with the largest product of what comes in and what goes out."""
    rows, columns = (
        layers[name].weight / np.exp2(layers[name].shift.astype(float))[:, None]
        for name in ("dense1", "dense2")
    )
    weight = np.linalg.norm(rows, axis=1) * np.linalg.norm(columns, axis=0)
    return np.sort(np.argsort(weight)[-count:])
