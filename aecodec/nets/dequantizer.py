"""The dequantizer: moves coarsely decoded pixels inside their cells (clause 13 of aez.md).

A symbol of layer R stands for 2E + 1 gray levels and is decoded as the middle one. With every
plane decoded, a small network sees what lies around each pixel and moves it towards the value to
be expected there, at most E away:

    planes -> 3x3 conv -> 3x3 conv -> dense -> dense -> a shift of each pixel, in 1/256 of E
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.integer import (
    ACT_BITS,
    ACT_MAX,
    ExactLayer,
    LayerArrays,
    TwinLayer,
    activation,
    clamp_activation,
    exact_matmul,
    layer_tensors,
    prove_sum,
)
from aecodec.nets.planes import (
    CODE_BITS,
    CODE_LENGTH,
    PlaneGrid,
    bound_code,
    code_terms,
    largest_magnitude,
)

Tensors = dict[str, np.ndarray]

MOVE_BITS = 8  # a pixel moves by up to 2**8 / 2**8 of E
LAYERS = ("see", "mix", "dense", "out")


@dataclass(frozen=True)
class DequantizerConfig(PlaneGrid):
    """Shapes of the dequantizer."""

    features: int


def layer_shapes(c: DequantizerConfig) -> dict[str, tuple[int, ...]]:
    """Weight shapes of the layers."""
    return {
        "see": (c.features, c.planes, 3, 3),
        "mix": (c.features, c.features, 3, 3),
        "dense": (c.features, c.features),
        "out": (c.planes, c.features),
    }


def added_shapes(c: DequantizerConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of what is added to the layers' sums, int16 all of them."""
    return {
        "places": (c.features, *c.grid),
        "see_codes": (c.features, CODE_LENGTH),
        "out_codes": (c.planes, CODE_LENGTH),
    }


def tensor_shapes(c: DequantizerConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of every tensor of the part."""
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        name: (shape, np.int16) for name, shape in added_shapes(c).items()
    }
    for kind, shape in layer_shapes(c).items():
        shapes |= layer_tensors(kind, shape, np.int8)
    return shapes


class DequantizerTwin(nn.Module):
    """Float twin of :class:`ExactDequantizer`; pixels and features in units of 64."""

    code: Tensor

    def __init__(self, c: DequantizerConfig) -> None:
        super().__init__()
        self.config = c
        code = torch.from_numpy(bound_code()).float() / (1 << CODE_BITS)
        self.register_buffer("code", code, persistent=False)
        self.added = nn.ParameterDict(
            {name: torch.zeros(shape) for name, shape in added_shapes(c).items()}
        )
        self.layers = nn.ModuleDict()
        for kind, shape in layer_shapes(c).items():
            weight = torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:]))
            bits = ACT_BITS
            if kind == "out":
                weight, bits = weight * 0.1, MOVE_BITS
            self.layers[kind] = TwinLayer(weight, torch.zeros(shape[0]), out_bits=bits)

    def layer(self, kind: str) -> TwinLayer:
        """One layer, with the type that ModuleDict forgets."""
        return cast(TwinLayer, self.layers[kind])

    def forward(self, planes: Tensor, bounds: Tensor) -> Tensor:
        """Planes (N, P, R, S) in units of 64, bounds (N,) -> moves (N, P, R, S) in units of E."""
        code = self.code[bounds]
        start = (code @ self.added["see_codes"].t())[:, :, None, None] + self.added["places"]
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and planes.device.type == "cpu"
        ):
            h = self.layer("see")(planes).float() + start
            h = activation(h.contiguous(memory_format=torch.channels_last))
            h = activation(self.layer("mix")(h).float()).permute(0, 2, 3, 1)
            h = activation(self.layer("dense")(h).float())
        out = self.layer("out")(h) + (code @ self.added["out_codes"].t())[:, None, None]
        return self.layer("out").floor_through(out).clamp(-1, 1).permute(0, 3, 1, 2)

    @torch.no_grad()
    def arrays(self) -> Tensors:
        """The integer tensors that the exact network is stored as."""
        tensors: Tensors = {}
        for kind in LAYERS:
            arrays = self.layer(kind).arrays()
            for field in ("weight", "bias", "shift"):
                tensors[f"{kind}.{field}"] = getattr(arrays, field)
        for name in added_shapes(self.config):
            bits = MOVE_BITS if name == "out_codes" else ACT_BITS
            whole = torch.round(self.added[name].double() * (1 << bits))
            tensors[name] = whole.clamp(-32767, 32767).cpu().numpy().astype(np.int16)
        return tensors


class ExactDequantizer(nn.Module):
    """Integer dequantizer on a torch device."""

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
        """uint8 planes (N, P, R, S) as decoded -> uint8 planes, each pixel at most E away."""
        with exact_matmul():
            x = planes.float().contiguous(memory_format=torch.channels_last)
            h = self.layers["see"](x).add_(self.places + self.see_terms[bound][:, None, None])
            h = clamp_activation(self.layers["mix"](clamp_activation(h)))
            h = clamp_activation(self.layers["dense"](h.permute(0, 2, 3, 1).flatten(0, 2)))
            moves = self.layers["out"](h).add_(self.out_terms[bound])
            moves = moves.view(len(planes), *self.config.grid, -1).permute(0, 3, 1, 2)
            unit = 1 << MOVE_BITS
            moves = moves.clamp_(-unit, unit).mul_(bound).add_(unit // 2).div_(unit).floor_()
            moved: Tensor = moves.add_(planes).clamp_(0, 255).to(torch.uint8)
            return moved
