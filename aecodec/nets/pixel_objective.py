"""What layer R is trained for: bits of the pixels, over all error bounds at once.

And the dequantizer: squared error, over all bounds but 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aecodec.nets.dequantizer import DequantizerConfig, DequantizerTwin
from aecodec.nets.pixel_model import PixelConfig, PixelTwin
from aecodec.nets.planes import BOUNDS, CODED_BOUNDS, PlaneGrid, split_planes

EXACT_SHARE = 0.35  # of a batch is trained lossless; the other bounds are log-uniform over 1..127
FLOOR = 2.0**-24  # the least probability of any symbol (aez.md 11)
MEAN_UNIT, SPREAD_UNIT = 8, 128  # raw parameters: 1/8 gray level, 1/128 nat
MEAN_RANGE = (-256.0, 511.875)
SPREAD_RANGE = (-4.0, 6.0)


def mixture_bits(raw: Tensor, symbols: Tensor, step: Tensor, levels: Tensor) -> Tensor:
    """Bits of each symbol under its mixture; the float twin of :mod:`aecodec.entropy.mixture`.

    raw (..., 3K): K means, K log-scales, K logits; symbols, step and levels (...), floats.
    """
    mean, log_scale, logit = raw.chunk(3, -1)
    mean = (mean / MEAN_UNIT).clamp(*MEAN_RANGE)
    inverse = torch.exp(-(log_scale / SPREAD_UNIT).clamp(*SPREAD_RANGE))
    weight = torch.softmax(logit / SPREAD_UNIT, -1)
    offset = (symbols * step)[..., None] - mean
    half = (step / 2)[..., None]
    # cdf differences on the side where both are small, so that they keep their digits
    sign = -torch.sign(offset).detach()
    far = 1e4 * sign
    upper = torch.where((symbols >= levels - 1)[..., None], far, sign * (offset + half) * inverse)
    lower = torch.where((symbols <= 0)[..., None], -far, sign * (offset - half) * inverse)
    p = ((torch.sigmoid(upper) - torch.sigmoid(lower)).abs() * weight).sum(-1)
    return -torch.log2(p * (1 - levels * FLOOR) + FLOOR)


class _EveryBound(nn.Module):
    """A loss at every error bound, divided by its own running value: a percent is a percent."""

    typical: Tensor
    bucket: Tensor
    inside: Tensor

    def __init__(self, c: PlaneGrid) -> None:
        super().__init__()
        self.register_buffer("typical", torch.zeros(len(CODED_BOUNDS)))
        nearest = np.abs(
            np.log2(1 + np.arange(BOUNDS))[:, None] - np.log2(1 + np.array(CODED_BOUNDS))
        ).argmin(axis=1)
        self.register_buffer("bucket", torch.from_numpy(nearest), persistent=False)
        ones = torch.ones(1, c.height, c.width, c.channels, dtype=torch.uint8)
        self.register_buffer("inside", split_planes(ones, c).float(), persistent=False)

    def balanced(self, losses: Tensor, bounds: Tensor) -> Tensor:
        """Losses (N,) at bounds (N,) -> one number."""
        bucket = self.bucket[bounds]
        with torch.no_grad():
            count = torch.bincount(bucket, minlength=len(CODED_BOUNDS))
            seen = torch.bincount(bucket, losses, len(CODED_BOUNDS)) / count.clamp_min(1)
            moved = torch.where(self.typical > 0, self.typical.lerp(seen, 0.02), seen)
            self.typical.copy_(torch.where(count > 0, moved, self.typical))
        return (losses / self.typical[bucket].clamp_min(1e-9)).mean()


Rebuild = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


class PixelObjective(_EveryBound):
    """The pixel model's twin under its loss: bits.

    ``rebuild`` turns images into what lies under them, for a model that has an underlay.
    """

    def __init__(self, c: PixelConfig, rebuild: Rebuild | None = None) -> None:
        super().__init__(c)
        self.model = PixelTwin(c)
        self._rebuild = rebuild

    def prepare(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """uint8 (N, H, W, C) -> what ``forward`` takes: planes, and those that lie under them."""
        sources = [images, self._rebuild(images)] if self._rebuild else [images]
        c = self.model.config
        return torch.cat([split_planes(torch.from_numpy(each), c) for each in sources], 1)

    def forward(self, planes: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        """uint8 planes (N, P or 2P, R, S) -> loss, bpp without loss and at a max error of 8."""
        del progress  # the same from beginning to end
        bounds = draw_bounds(len(planes), EXACT_SHARE).to(planes.device)
        loss = self.balanced(self.image_bits(planes, bounds), bounds)
        c = self.model.config
        shown = self.typical.tolist()
        pixels = c.height * c.width
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

    def __init__(self, c: DequantizerConfig) -> None:
        super().__init__(c)
        self.model = DequantizerTwin(c)

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> what ``forward`` takes."""
        return split_planes(torch.from_numpy(images), self.model.config)

    def forward(self, planes: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        """uint8 planes (N, P, R, S) -> loss, and the PSNR at max errors of 8 and 32."""
        del progress
        bounds = draw_bounds(len(planes), 0.0).to(planes.device)
        wide = bounds[:, None, None, None]
        step = 2 * wide + 1
        known = ((planes + wide) // step * step).clamp(max=255) * self.inside
        moved = (known + self.model(known / 64, bounds) * wide).clamp(0, 255)
        errors = ((moved - planes).square() * self.inside).flatten(1).sum(1) / self.inside.sum()
        loss = self.balanced(errors, bounds)
        shown = [10 * math.log10(65025 / max(v, 1e-9)) for v in self.typical.tolist()]
        return loss, {"psnr_at_8": shown[4], "psnr_at_32": shown[6]}


def draw_bounds(count: int, exact_share: float) -> Tensor:
    """(count,) error bounds for training: a share of 0, the others log-uniform over 1..127."""
    drawn = torch.exp(torch.rand(count) * math.log(BOUNDS)).floor().long().clamp(1, BOUNDS - 1)
    return torch.where(torch.rand(count) < exact_share, torch.zeros_like(drawn), drawn)
