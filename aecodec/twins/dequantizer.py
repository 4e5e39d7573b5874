"""The float twin of the dequantizer."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.dequantizer import (
    LAYERS,
    MOVE_BITS,
    DequantizerConfig,
    added_shapes,
    layer_shapes,
)
from aecodec.nets.layers import ACT_BITS, Tensors
from aecodec.nets.planes import CODE_BITS, PlaneGrid, bound_code
from aecodec.twins.layers import TwinLayer, activation
from aecodec.twins.starting import normal, zeros


class DequantizerTwin(nn.Module):
    """Float twin of :class:`ExactDequantizer`; pixels and features in units of 64."""

    code: Tensor

    def __init__(self, c: DequantizerConfig, grid: PlaneGrid) -> None:
        super().__init__()
        self.config = c
        code = torch.from_numpy(bound_code()).float() / (1 << CODE_BITS)
        self.register_buffer("code", code, persistent=False)
        self.added = nn.ParameterDict(
            {name: zeros(*shape) for name, shape in added_shapes(c, grid).items()}
        )
        self.layers = nn.ModuleDict()
        for kind, shape in layer_shapes(c).items():
            weight = normal(*shape) * math.sqrt(2 / math.prod(shape[1:]))
            bits = ACT_BITS
            if kind == "out":
                weight, bits = weight * 0.1, MOVE_BITS
            self.layers[kind] = TwinLayer(weight, zeros(shape[0]), out_bits=bits)

    def layer(self, kind: str) -> TwinLayer:
        """The layer of this kind; ModuleDict itself does not know its type."""
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
        for name in self.added:
            bits = MOVE_BITS if name == "out_codes" else ACT_BITS
            whole = torch.round(self.added[name].double() * (1 << bits))
            tensors[name] = whole.clamp(-32767, 32767).cpu().numpy().astype(np.int16)
        return tensors
