"""The latent prior: integer-exact probabilities of latents given latents (clause 14 of aez.md).

The latents are split into groups, the most informative first. Each group's symbols are predicted in
one pass from those of the groups before it:

    latents known -> dense -> dense -> dense -> mixture of logistics for each latent of the group

The inputs are values of latents, symbol times gain, so that one set of weights serves every
quality. The means come out in the same unit and are converted to symbols of the quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
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
from aecodec.nets.planes import largest_magnitude
from aecodec.targets import QUALITIES, QUALITY_UNIT, STORED_MIN

INPUT_MAX = 128  # values enter as -128..127
SYMBOL_OFFSET = 128  # symbols -128..127 are coded as 0..255
SYMBOL_COUNT = 2 * SYMBOL_OFFSET
PARAMETER_BITS = 9  # what a unit of the last layer's output is worth: 2**9
MEAN_SHIFT = 3  # a mean is in eighths, of a value as of a symbol


@dataclass(frozen=True)
class PriorConfig:
    """Shapes of the prior: D latents in groups of ``group``, the last one smaller where need be."""

    latents: int
    group: int
    features: int
    mixtures: int = 3

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-self.latents // self.group)

    def members(self, g: int) -> slice:
        """The positions of group g in the order of coding."""
        return slice(g * self.group, min(self.latents, (g + 1) * self.group))

    def decoding(self) -> dict[str, int]:
        """What decoding reads, and so what the fingerprint covers."""
        return asdict(self)


def layer_shapes(c: PriorConfig) -> dict[str, tuple[int, ...]]:
    """Weight shapes by name, group by group; the first group sees nothing."""
    shapes: dict[str, tuple[int, ...]] = {}
    for g in range(c.groups):
        members = c.members(g)
        if g:
            shapes[f"see{g}"] = (c.features, members.start)
        shapes[f"mix{g}"] = (c.features, c.features)
        shapes[f"out{g}"] = (3 * c.mixtures * (members.stop - members.start), c.features)
    return shapes


def tensor_shapes(c: PriorConfig) -> TensorShapes:
    """Shape and dtype of every tensor of the part."""
    shapes: TensorShapes = {
        "order": ((c.latents,), np.int16),
        "unit": ((c.latents,), np.uint8),
        "see_rows": ((QUALITIES, c.groups, c.features), np.int16),
        "out_rows": ((QUALITIES, c.latents, 3 * c.mixtures), np.int16),
    }
    for name, shape in layer_shapes(c).items():
        shapes |= layer_tensors(name, shape, np.int8)
    return shapes


def at_quality(rows: npt.NDArray[np.int64], stored_quality: int) -> npt.NDArray[np.int64]:
    """The row for a stored quality: two neighbours of ``rows`` (9, ...) mixed, rounded down."""
    row, fraction = divmod(stored_quality - STORED_MIN, QUALITY_UNIT)
    upper = rows[min(row + 1, len(rows) - 1)]
    mixed: npt.NDArray[np.int64] = (rows[row] * (QUALITY_UNIT - fraction) + upper * fraction) >> 8
    return mixed


class ExactPrior(nn.Module):
    """Integer prior on a torch device: known latents to the mixtures of the next group.

    ModelCorruptError, with the layer's name, for tensors that cannot be proven to decode exactly.
    """

    def __init__(self, c: PriorConfig, tensors: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.config = c
        self.layers = nn.ModuleDict()
        self.unit = tensors["unit"].astype(np.int64)[tensors["order"]]
        self.see_rows = tensors["see_rows"].astype(np.int64)
        self.out_rows = tensors["out_rows"].astype(np.int64)
        added = {"see": largest_magnitude(self.see_rows), "out": largest_magnitude(self.out_rows)}
        for name in layer_shapes(c):
            layer = LayerArrays(*(tensors[f"{name}.{k}"] for k in ("weight", "bias", "shift")))
            input_max = INPUT_MAX if name.startswith("see") else ACT_MAX
            prove_sum(f"layer {name}", layer, input_max, added.get(name[:3], 0))
            self.layers[name] = ExactLayer(layer, torch.float32)

    def forward(
        self, g: int, symbols: Tensor, gains: npt.NDArray[np.int64], stored_quality: int
    ) -> Tensor:
        """Symbols int16 (N, >= members.start) and gains (D,) to parameters of group g.

        Symbols and gains are in the order of coding. Returns raw parameters, int64 (N, n, 3K), as
        :mod:`aecodec.entropy.mixture` reads them.
        """
        c, members = self.config, self.config.members(g)
        device = symbols.device
        with exact_matmul(device):
            start = (
                torch.from_numpy(at_quality(self.see_rows, stored_quality)[g]).float().to(device)
            )
            h = start.expand(len(symbols), -1).clone()
            if g:
                gain = torch.from_numpy(gains[: members.start]).to(device)
                unit = torch.from_numpy(self.unit[: members.start]).to(device)
                value = symbols[:, : members.start].long() * gain
                value = (value + (1 << unit >> 1)) >> unit
                value = value.clamp(-INPUT_MAX, INPUT_MAX - 1).float()
                h = h.add_(self.layers[f"see{g}"](value))
            h = clamp_activation(self.layers[f"mix{g}"](clamp_activation(h)))
            out = self.layers[f"out{g}"](h).long().view(len(symbols), -1, 3 * c.mixtures)
            rows = at_quality(self.out_rows, stored_quality)[members]
            out = out + torch.from_numpy(rows).to(device)
            gain = torch.from_numpy(np.maximum(gains[members], 1)).to(device)[:, None]
            unit = torch.from_numpy(self.unit[members]).to(device)[:, None]
            means = out[..., : c.mixtures] << unit
            means = torch.div(means, gain, rounding_mode="floor") + (SYMBOL_OFFSET << MEAN_SHIFT)
            out[..., : c.mixtures] = means.clamp(-(1 << 20), 1 << 20)
            raw: Tensor = out
            return raw
