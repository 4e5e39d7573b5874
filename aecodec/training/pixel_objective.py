"""The losses of layer R, over all error bounds at once.

The pixel model is trained for few bits, the dequantizer for a small squared error at bounds over 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from aecodec.arrays import Images
from aecodec.nets.dequantizer import DequantizerConfig
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import BOUNDS, CODED_BOUNDS, PlaneGrid, split_planes
from aecodec.targets import PEAK_SQUARED
from aecodec.training.draws import Draws, uniform
from aecodec.training.objective import Objective
from aecodec.twins.dequantizer import DequantizerTwin
from aecodec.twins.mixture import mixture_bits
from aecodec.twins.pixel_model import PixelTwin
from aecodec.twins.starting import zeros

EXACT_SHARE = 0.35  # of a batch is trained at bound 0; other bounds are log-uniform over 1..127


class _EveryBound(Objective):
    """A loss at every error bound, each divided by its own running value.

    A relative gain then counts the same at every bound.
    """

    typical: Tensor
    bucket: Tensor
    inside: Tensor

    def __init__(self, grid: PlaneGrid) -> None:
        super().__init__()
        self.grid = grid
        self.register_buffer("typical", zeros(len(CODED_BOUNDS)))
        nearest = np.abs(
            np.log2(1 + np.arange(BOUNDS))[:, None] - np.log2(1 + np.array(CODED_BOUNDS))
        ).argmin(axis=1)
        self.register_buffer("bucket", torch.from_numpy(nearest), persistent=False)
        ones = torch.from_numpy(np.ones((1, grid.height, grid.width, grid.channels), np.uint8))
        self.register_buffer("inside", split_planes(ones, grid).float(), persistent=False)

    def balanced(self, losses: Tensor, bounds: Tensor) -> Tensor:
        """Losses (N,) at bounds (N,) -> one number."""
        bucket = self.bucket[bounds]
        with torch.no_grad():
            count = torch.bincount(bucket, minlength=len(CODED_BOUNDS))
            seen = torch.bincount(bucket, losses, len(CODED_BOUNDS)) / count.clamp_min(1)
            moved = torch.where(self.typical > 0, self.typical.lerp(seen, 0.02), seen)
            self.typical.copy_(torch.where(count > 0, moved, self.typical))
        return (losses / self.typical[bucket].clamp_min(1e-9)).mean()


Rebuild = Callable[[Images], Images]


class PixelObjective(_EveryBound):
    """The pixel model's twin under its loss: bits.

    For a model with an underlay, ``rebuild`` turns images into what their latents decode to.
    """

    def __init__(self, c: PixelConfig, grid: PlaneGrid, rebuild: Rebuild | None = None) -> None:
        super().__init__(grid)
        self.model = PixelTwin(c, grid)
        self._rebuild = rebuild

    def prepare(self, images: Images) -> Tensor:
        """uint8 (N, H, W, C) -> uint8 planes (N, P, R, S), or (N, 2P, R, S) with the underlay's."""
        sources = [images, self._rebuild(images)] if self._rebuild else [images]
        return torch.cat([split_planes(torch.from_numpy(each), self.grid) for each in sources], 1)

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """uint8 planes (N, P or 2P, R, S) -> loss, bpp without loss and at a max error of 8."""
        bounds = draw_bounds(len(x), EXACT_SHARE, draws.on("cpu")).to(x.device)
        loss = self.balanced(self.image_bits(x, bounds), bounds)
        shown = self.typical.tolist()
        pixels = self.grid.height * self.grid.width
        return loss, {"bpp": shown[0] / pixels, "bpp_at_8": shown[4] / pixels}

    def image_bits(self, planes: Tensor, bounds: Tensor) -> Tensor:
        """uint8 planes (N, P or 2P, R, S), bounds (N,) -> bits of each image (N,)."""
        underlay = None
        if self._rebuild:
            planes, under = planes.chunk(2, 1)
            underlay = under / 64
        step = (2 * bounds + 1).float()[:, None, None, None]
        levels = torch.floor((255 + bounds).float() / (2 * bounds + 1)) + 1
        levels = levels[:, None, None, None].expand(planes.shape)
        symbols = torch.floor((planes + bounds[:, None, None, None]) / step)
        known = (symbols * step).clamp(max=255) * self.inside / 64
        heads = range(planes.shape[1])
        raw = torch.stack([self.model.predict(k, known, bounds, underlay) for k in heads], 1)
        bits = mixture_bits(raw, symbols, step.expand(planes.shape), levels)
        total: Tensor = (bits * self.inside).flatten(1).sum(1)
        return total


class DequantizerObjective(_EveryBound):
    """The dequantizer's twin under its loss: squared error after the move."""

    def __init__(self, c: DequantizerConfig, grid: PlaneGrid) -> None:
        super().__init__(grid)
        self.model = DequantizerTwin(c, grid)

    def prepare(self, images: Images) -> Tensor:
        """uint8 (N, H, W, C) -> uint8 planes (N, P, R, S)."""
        return split_planes(torch.from_numpy(images), self.grid)

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """uint8 planes (N, P, R, S) -> loss, and the PSNR at max errors of 8 and 32."""
        bounds = draw_bounds(len(x), 0.0, draws.on("cpu")).to(x.device)
        wide = bounds[:, None, None, None]
        step = 2 * wide + 1
        known = ((x + wide) // step * step).clamp(max=255) * self.inside
        moved = (known + self.model(known / 64, bounds) * wide).clamp(0, 255)
        errors = ((moved - x).square() * self.inside).flatten(1).sum(1) / self.inside.sum()
        loss = self.balanced(errors, bounds)
        shown = [10 * math.log10(PEAK_SQUARED / max(v, 1e-9)) for v in self.typical.tolist()]
        return loss, {"psnr_at_8": shown[4], "psnr_at_32": shown[6]}


def draw_bounds(count: int, exact_share: float, generator: torch.Generator) -> Tensor:
    """(count,) error bounds for training: a share of 0, the others log-uniform over 1..127."""
    logs = uniform(count, generator) * math.log(BOUNDS)
    drawn = torch.exp(logs).floor().long().clamp(1, BOUNDS - 1)
    exact = uniform(count, generator) < exact_share
    return torch.where(exact, torch.zeros_like(drawn), drawn)
