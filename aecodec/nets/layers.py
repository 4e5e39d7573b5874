"""Exact layers; the arithmetic is clause 9 of formats/aez.md.

A layer computes ``(sum(w * x) + b) >> shift`` with integer weights, one shift per output channel.
It keeps the integers in floating-point tensors: every partial sum stays below the mantissa's range
(proven by :func:`prove_layer`), hence any order of summation gives the same bits. Weights are held
already multiplied by ``2**-shift``, a power of two, which changes no mantissa and saves a pass over
the output. What training sees of a layer is its twin (:mod:`aecodec.twins.layers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.errors import ModelCorruptError
from aecodec.nets.exactness import conv_is_exact

Tensors: TypeAlias = dict[str, np.ndarray]  # of a part, by name
TensorShapes: TypeAlias = dict[str, tuple[tuple[int, ...], type]]  # shape and dtype, by name

ACT_MAX = 255  # activations between layers are 0..255
ACT_BITS = 6  # ... in units of 2**-6
LAYER_TYPES = {"bias": np.int32, "shift": np.uint8}
MANTISSA_BITS = {torch.float32: 24, torch.float64: 53}


@dataclass(frozen=True, eq=False)
class LayerArrays:
    """One exact layer as stored: weight int8/int16 (out, in[, 3, 3]), bias int32, shift uint8."""

    weight: np.ndarray
    bias: np.ndarray
    shift: np.ndarray


def layer_tensors(name: str, shape: tuple[int, ...], weight_type: type) -> TensorShapes:
    """Shape and dtype of one layer's tensors, as a part stores them under the layer's name."""
    kinds = {"weight": (shape, weight_type)}
    kinds |= {kind: (shape[:1], dtype) for kind, dtype in LAYER_TYPES.items()}
    return {f"{name}.{kind}": wanted for kind, wanted in kinds.items()}


def prove_layer(name: str, layer: LayerArrays, input_max: int, mantissa_bits: int) -> int:
    """Prove that no partial sum reaches 2**mantissa_bits; return a bound of |output|.

    Inputs are integers of at most ``input_max`` in magnitude (aez.md 9.3). ModelCorruptError, with
    the layer's name, when the proof fails.
    """
    rows = np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(axis=1)
    bound = rows * input_max + np.abs(layer.bias.astype(np.int64))
    if layer.shift.size and int(layer.shift.max()) > 31:
        raise ModelCorruptError(f"{name}: shift up to {int(layer.shift.max())}, expected 0..31")
    worst = int(bound.max()) if bound.size else 0
    if worst >= 1 << mantissa_bits:
        raise ModelCorruptError(
            f"{name}: sums can reach {worst}, the exact range ends at {1 << mantissa_bits}"
        )
    return int((bound >> layer.shift).max()) + 1 if bound.size else 0


def prove_sum(name: str, layer: LayerArrays, input_max: int, added: int) -> None:
    """As :func:`prove_layer` in float32, where up to ``added`` is then added to the output."""
    largest = prove_layer(name, layer, input_max, 24) + added
    if largest >= 1 << 24:
        raise ModelCorruptError(
            f"{name}: its sum can reach {largest}, the exact range ends at {1 << 24}"
        )


class ExactLayer(nn.Module):
    """A stored layer on a device: linear, or a 3x3 convolution with zero padding.

    A kernel may be given another memory format; its values stay the same.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: LayerArrays, dtype: torch.dtype) -> None:
        super().__init__()
        unit = torch.exp2(-torch.from_numpy(layer.shift.astype(np.float64)))
        weight = torch.from_numpy(layer.weight.astype(np.float64))
        weight = weight * unit.view(-1, *[1] * (weight.dim() - 1))
        bias = torch.from_numpy(layer.bias.astype(np.float64)) * unit
        self.register_buffer("weight", weight.to(dtype))
        self.register_buffer("bias", bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Integers (N, in) -> (N, out), or (N, in, R, S) -> (N, out, R, S) by a convolution."""
        if self.weight.dim() == 2:
            return torch.addmm(self.bias, x, self.weight.t()).floor_()
        return _conv3x3(x, self.weight, self.bias).floor_()


def _conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if conv_is_exact(x.device):
        return F.conv2d(x, weight, bias, padding=1)
    n, _, height, width = x.shape
    columns = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(n * height * width, -1)
    y = torch.addmm(bias, columns, weight.flatten(1).t())
    return y.view(n, height, width, -1).permute(0, 3, 1, 2)


def clamp_activation(x: Tensor) -> Tensor:
    """The exact non-linearity, in place: clamp to 0..255."""
    return x.clamp_(0, ACT_MAX)
