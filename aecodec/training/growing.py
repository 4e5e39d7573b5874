"""A stored decoder of layer L in another form: with fewer hidden units, or with a low trunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aecodec.nets.latent_decoder import LOW, AutoencoderConfig, layer_shapes
from aecodec.nets.layers import LayerArrays


def can_grow(stored: AutoencoderConfig, wanted: AutoencoderConfig) -> bool:
    """Whether :func:`grow` can make the wanted form of the stored one."""
    same = replace(stored, hidden=wanted.hidden, low_below=wanted.low_below)
    return same == wanted and stored.hidden >= wanted.hidden


def grow(
    layers: Mapping[str, LayerArrays], stored: AutoencoderConfig, wanted: AutoencoderConfig
) -> dict[str, LayerArrays]:
    """The layers in the wanted form.

    The hidden units with the largest weights are kept. A low trunk that is missing starts as a copy
    of the other trunk.
    """
    grown = dict(layers)
    if stored.hidden > wanted.hidden:
        kept = _heaviest(layers, wanted.hidden)
        into, out = layers["dense1"], layers["dense2"]
        grown["dense1"] = LayerArrays(into.weight[kept], into.bias[kept], into.shift[kept])
        grown["dense2"] = replace(out, weight=out.weight[:, kept])
    return {name: grown.get(name, grown[name.removeprefix(LOW)]) for name in layer_shapes(wanted)}


def _heaviest(layers: Mapping[str, LayerArrays], count: int) -> npt.NDArray[np.intp]:
    """The hidden units with the largest product of incoming and outgoing weights, in order."""
    rows, columns = (
        layers[name].weight / np.exp2(layers[name].shift.astype(float))[:, None]
        for name in ("dense1", "dense2")
    )
    weight = np.linalg.norm(rows, axis=1) * np.linalg.norm(columns, axis=0)
    return np.sort(np.argsort(weight)[-count:])
