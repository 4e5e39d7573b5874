"""The dequantizer: moves coarsely decoded pixels inside their cells (clause 13 of aez.md).

A symbol of layer R stands for 2E + 1 gray levels and is decoded as the middle one. Once every plane
is decoded, a small network sees the surroundings of each pixel and moves it towards the value that
they make likely, at most E away:

    planes -> 3x3 conv -> 3x3 conv -> dense -> dense -> a move of each pixel, in 1/256 of E
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.exactness import exact_matmul
from aecodec.nets.layers import (
    ACT_MAX,
    ExactLayer,
    LayerArrays,
    TensorShapes,
    clamp_activation,
    layer_tensors,
    prove_sum,
)
from aecodec.nets.planes import (
    CODE_LENGTH,
    PlaneGrid,
    code_terms,
    largest_magnitude,
    plane_count,
)

MOVE_BITS = 8  # moves are in units of E / 2**8
LAYERS = ("see", "mix", "dense", "out")


@dataclass(frozen=True)
class DequantizerConfig:
    """Widths of the dequantizer's weights; the shape of its images is a :class:`PlaneGrid`."""

    channels: int
    features: int

    @property
    def planes(self) -> int:
        """How many planes an image has."""
        return plane_count(self.channels)

    def decoding(self, grid: PlaneGrid) -> dict[str, int]:
        """The config of the part for images of this shape; the fingerprint covers it."""
        return {**grid.config(), "features": self.features}


def layer_shapes(c: DequantizerConfig) -> dict[str, tuple[int, ...]]:
    """Weight shapes of the layers."""
    return {
        "see": (c.features, c.planes, 3, 3),
        "mix": (c.features, c.features, 3, 3),
        "dense": (c.features, c.features),
        "out": (c.planes, c.features),
    }


def added_shapes(c: DequantizerConfig, grid: PlaneGrid) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that are added to the layers' sums; all are int16."""
    return {
        "places": (c.features, *grid.cells),
        "see_codes": (c.features, CODE_LENGTH),
        "out_codes": (c.planes, CODE_LENGTH),
    }


def tensor_shapes(c: DequantizerConfig, grid: PlaneGrid) -> TensorShapes:
    """Shape and dtype of every tensor of the part."""
    shapes: TensorShapes = {
        name: (shape, np.int16) for name, shape in added_shapes(c, grid).items()
    }
    for kind, shape in layer_shapes(c).items():
        shapes |= layer_tensors(kind, shape, np.int8)
    return shapes


class ExactDequantizer(nn.Module):
    """Integer dequantizer on a torch device.

    ModelCorruptError, with the layer's name, for tensors that cannot be proven to decode exactly.
    """

    places: Tensor
    see_terms: Tensor
    out_terms: Tensor

    def __init__(self, c: DequantizerConfig, tensors: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.config = c
        self.layers = nn.ModuleDict()
        added = {
            "see": largest_magnitude(tensors["see_codes"]) + largest_magnitude(tensors["places"]),
            "out": largest_magnitude(tensors["out_codes"]),
        }
        for kind in LAYERS:
            fields = (tensors[f"{kind}.{field}"] for field in ("weight", "bias", "shift"))
            layer = LayerArrays(*fields)
            prove_sum(f"layer {kind}", layer, ACT_MAX, added.get(kind, 0))
            self.layers[kind] = ExactLayer(layer, torch.float32)
        self.register_buffer("places", torch.from_numpy(tensors["places"].astype(np.float32)))
        for kind in ("see", "out"):
            terms = code_terms(tensors[f"{kind}_codes"])  # (128, O)
            self.register_buffer(f"{kind}_terms", torch.from_numpy(terms.astype(np.float32)))

    def forward(self, planes: Tensor, bound: int) -> Tensor:
        """Planes uint8 (N, P, R, S) as decoded -> the same with each pixel moved by at most E."""
        with exact_matmul(planes.device):
            x = planes.float().contiguous(memory_format=torch.channels_last)
            h = self.layers["see"](x).add_(self.places + self.see_terms[bound][:, None, None])
            h = clamp_activation(self.layers["mix"](clamp_activation(h)))
            h = clamp_activation(self.layers["dense"](h.permute(0, 2, 3, 1).flatten(0, 2)))
            moves = self.layers["out"](h).add_(self.out_terms[bound])
            moves = moves.view(len(planes), *planes.shape[2:], -1).permute(0, 3, 1, 2)
            unit = 1 << MOVE_BITS
            moves = moves.clamp_(-unit, unit).mul_(bound).add_(unit // 2).div_(unit).floor_()
            moved: Tensor = moves.add_(planes).clamp_(0, 255).to(torch.uint8)
            return moved
