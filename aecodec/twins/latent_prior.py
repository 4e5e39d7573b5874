"""The float twin of the latent prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.latent_prior import (
    INPUT_MAX,
    PARAMETER_BITS,
    PriorConfig,
    layer_shapes,
)
from aecodec.nets.layers import ACT_BITS, ACT_MAX, LayerArrays, Tensors
from aecodec.targets import QUALITIES
from aecodec.twins.layers import TwinLayer, activation
from aecodec.twins.starting import normal, uniform_, zeros


def row_shares(quality: Tensor) -> Tensor:
    """Qualities (N,), floats of 1 to 9 -> weights (N, 9) of the rows that each is mixed from."""
    row = (quality - 1).floor().clamp(0, QUALITIES - 2).long()
    upper = quality - 1 - row
    share = torch.zeros(len(quality), QUALITIES, dtype=torch.float32, device=quality.device)
    each = torch.arange(len(quality), device=quality.device)
    share[each, row], share[each, row + 1] = 1 - upper, upper
    return share


class PriorTwin(nn.Module):
    """Float twin of :class:`ExactPrior`; latents in the order of coding, values in units of 64."""

    def __init__(self, c: PriorConfig) -> None:
        super().__init__()
        self.config = c
        self.see_rows = nn.Parameter(zeros(QUALITIES, c.groups, c.features))
        self.out_rows = nn.Parameter(zeros(QUALITIES, c.latents, 3 * c.mixtures))
        self.layers = nn.ModuleDict()
        for name, shape in layer_shapes(c).items():
            weight = normal(*shape) * math.sqrt(2 / shape[1])
            bias, bits = zeros(shape[0]), ACT_BITS
            input_max = ACT_MAX
            if name.startswith("see"):
                input_max, weight = INPUT_MAX, 2 * weight
            if name.startswith(("see", "mix0")):
                uniform_(bias, -0.3, 0.6)
            if name.startswith("out"):
                weight, bits = 0.1 * weight, PARAMETER_BITS
            self.layers[name] = TwinLayer(weight, bias, out_bits=bits, input_max=input_max)

    def layer(self, name: str) -> TwinLayer:
        """The layer of this name; ModuleDict itself does not know its type."""
        return cast(TwinLayer, self.layers[name])

    def predict(self, values: Tensor, share: Tensor) -> Tensor:
        """Values (N, D) in units of 64, weights ``share`` (N, 9) of the rows -> outputs (N, D, 3K).

        Outputs are in the units of the exact network: 1/8 of a value, and 1/128 nat.
        """
        c = self.config
        outputs = []
        for g in range(c.groups):
            members = c.members(g)
            h = share @ self.see_rows[:, g]
            if g:
                h = h + self.layer(f"see{g}")(values[:, : members.start])
            h = activation(self.layer(f"mix{g}")(activation(h)))
            out = self.layer(f"out{g}")(h).view(len(values), -1, 3 * c.mixtures)
            outputs.append(out)
        mixed = torch.cat(outputs, 1) + torch.einsum("nr,rdk->ndk", share, self.out_rows)
        return self.layer("out0").floor_through(mixed) * (1 << PARAMETER_BITS)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over a stored prior, except for what rounding lost."""
        for name in layer_shapes(self.config):
            arrays = (tensors[f"{name}.{kind}"] for kind in ("weight", "bias", "shift"))
            self.layer(name).load(LayerArrays(*arrays))
        for rows, name, bits in (
            (self.see_rows, "see_rows", ACT_BITS),
            (self.out_rows, "out_rows", PARAMETER_BITS),
        ):
            rows.copy_(torch.from_numpy(tensors[name].astype(np.float32)) / (1 << bits))

    @torch.no_grad()
    def arrays(self, order: np.ndarray, unit: np.ndarray) -> Tensors:
        """The integer tensors that the exact prior is stored as; ``order``, ``unit`` (D,)."""
        tensors: Tensors = {"order": order.astype(np.int16), "unit": unit.astype(np.uint8)}
        for name in layer_shapes(self.config):
            arrays = self.layer(name).arrays()
            for kind in ("weight", "bias", "shift"):
                tensors[f"{name}.{kind}"] = getattr(arrays, kind)
        for name, values, bits in (
            ("see_rows", self.see_rows, ACT_BITS),
            ("out_rows", self.out_rows, PARAMETER_BITS),
        ):
            whole = torch.round(values.double() * (1 << bits)).clamp(-32767, 32767)
            tensors[name] = whole.cpu().numpy().astype(np.int16)
        return tensors
