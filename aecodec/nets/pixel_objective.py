"""What layer R is trained for: bits of the pixels, over all error bounds at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.pixel_model import (
    BOUNDS,
    CODED_BOUNDS,
    PixelConfig,
    PixelTwin,
    split_planes,
)

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


class PixelObjective(nn.Module):
    """The pixel model's twin under its loss: bits, each bound divided by its own running value."""

    typical: Tensor
    bucket: Tensor
    inside: Tensor

    def __init__(self, c: PixelConfig) -> None:
        super().__init__()
        self.model = PixelTwin(c)
        self.register_buffer("typical", torch.zeros(len(CODED_BOUNDS)))
        nearest = np.abs(
            np.log2(1 + np.arange(BOUNDS))[:, None] - np.log2(1 + np.array(CODED_BOUNDS))
        ).argmin(axis=1)
        self.register_buffer("bucket", torch.from_numpy(nearest), persistent=False)
        ones = torch.ones(1, c.height, c.width, c.channels, dtype=torch.uint8)
        self.register_buffer("inside", split_planes(ones, c).float(), persistent=False)

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> what ``forward`` takes."""
        return split_planes(torch.from_numpy(images), self.model.config)

    def forward(self, planes: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        """uint8 planes (N, P, R, S) -> loss, and bpp without loss and at a max error of 8."""
        del progress  # the same from beginning to end
        bounds = draw_bounds(len(planes)).to(planes.device)
        bits = self.image_bits(planes, bounds)
        bucket = self.bucket[bounds]
        with torch.no_grad():
            count = torch.bincount(bucket, minlength=len(CODED_BOUNDS))
            seen = torch.bincount(bucket, bits, len(CODED_BOUNDS)) / count.clamp_min(1)
            moved = torch.where(self.typical > 0, self.typical.lerp(seen, 0.02), seen)
            self.typical.copy_(torch.where(count > 0, moved, self.typical))
        loss = (bits / self.typical[bucket]).mean()
        c = self.model.config
        shown = self.typical.tolist()
        pixels = c.height * c.width
        return loss, {"bpp": shown[0] / pixels, "bpp_at_8": shown[4] / pixels}

    def image_bits(self, planes: Tensor, bounds: Tensor) -> Tensor:
        """uint8 planes (N, P, R, S), bounds (N,) -> bits of each image (N,)."""
        step = (2 * bounds + 1).float()[:, None, None, None]
        levels = torch.floor((255 + bounds).float() / (2 * bounds + 1)) + 1
        levels = levels[:, None, None, None].expand(planes.shape)
        symbols = torch.floor((planes + bounds[:, None, None, None]) / step)
        known = (symbols * step).clamp(max=255) * self.inside / 64
        raw = torch.stack([self.model.predict(k, known, bounds) for k in range(planes.shape[1])], 1)
        bits = mixture_bits(raw, symbols, step.expand(planes.shape), levels)
        total: Tensor = (bits * self.inside).flatten(1).sum(1)
        return total


def draw_bounds(count: int) -> Tensor:
    """(count,) error bounds for training: some 0, the others log-uniform over 1..127."""
    drawn = torch.exp(torch.rand(count) * math.log(BOUNDS)).floor().long().clamp(1, BOUNDS - 1)
    return torch.where(torch.rand(count) < EXACT_SHARE, torch.zeros_like(drawn), drawn)
