"""The loss of the latent prior: bits of quantized latents, at all qualities at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from aecodec.nets.latent_prior import (
    INPUT_MAX,
    MEAN_SHIFT,
    SYMBOL_COUNT,
    SYMBOL_OFFSET,
    PriorConfig,
)
from aecodec.targets import QUALITIES
from aecodec.training.draws import Draws, uniform
from aecodec.training.objective import Objective
from aecodec.twins.latent_prior import PriorTwin, row_shares
from aecodec.twins.mixture import SPREAD_UNIT, mixture_bits
from aecodec.twins.starting import evenly, zeros

TYPICAL_SPREAD = 20  # of a value, in its unit: the initial scale
ORDERING_ROW = 3  # of the quality at which entropies decide the order of the latents


class PriorObjective(Objective):
    """The prior's twin under its loss: bits, at each quality divided by their own running value.

    ``y`` float (N, D) are latents of the training images, and ``log_step`` and ``gains`` (9, D) are
    the model's. They determine the order of coding and the units of values. ``pixels`` is the
    number of pixels of an image, for bpp.
    """

    typical: Tensor
    log_step: Tensor
    gains: Tensor
    scale: Tensor

    def __init__(
        self, c: PriorConfig, y: np.ndarray, log_step: np.ndarray, gains: np.ndarray, pixels: int
    ) -> None:
        super().__init__()
        self.pixels = pixels
        symbols = np.floor(y * np.exp(-log_step[ORDERING_ROW]) + 0.5)
        self.order = np.argsort(-_entropies(symbols), kind="stable")
        spread = (symbols * gains[ORDERING_ROW].astype(np.float64)).std(axis=0)
        unit = np.floor(np.log2(np.maximum(spread, 1) / 16)).clip(0, 15)
        self.unit = unit.astype(np.uint8)
        self.register_buffer("log_step", torch.from_numpy(log_step[:, self.order].copy()))
        self.register_buffer("gains", torch.from_numpy(gains[:, self.order].astype(np.float32)))
        scale = torch.from_numpy(np.exp2(unit[self.order])).float()
        self.register_buffer("scale", scale)
        self.register_buffer("typical", zeros(QUALITIES))
        self.model = PriorTwin(c)
        k = c.mixtures
        with torch.no_grad():
            nats = torch.log(TYPICAL_SPREAD * scale / self.gains)
            self.model.out_rows[..., k : 2 * k] = (nats * SPREAD_UNIT / 512)[..., None]
            self.model.out_rows[..., :k] = evenly(-0.3, 0.3, k)

    def prepare(self, images: np.ndarray) -> Tensor:
        """Latents float32 (N, D) -> the same in the order of coding."""
        return torch.from_numpy(images[:, self.order])

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Latents (N, D) in the order of coding -> loss, and bpp at qualities 3 and 5."""
        share = uniform(len(x), draws.on(x.device))
        quality = 1 + (QUALITIES - 1) * share
        bits = self.latent_bits(x, quality)
        row = (quality - 1).round().long()
        with torch.no_grad():
            count = torch.bincount(row, minlength=QUALITIES)
            seen = torch.bincount(row, bits, QUALITIES) / count.clamp_min(1)
            moved = torch.where(self.typical > 0, self.typical.lerp(seen, 0.02), seen)
            self.typical.copy_(torch.where(count > 0, moved, self.typical))
        shown = [bits / self.pixels for bits in self.typical.tolist()]
        loss = (bits / self.typical[row].clamp_min(1e-9)).mean()
        return loss, {"bpp_at_3": shown[2], "bpp_at_5": shown[4]}

    def latent_bits(self, y: Tensor, quality: Tensor) -> Tensor:
        """Latents (N, D) in the order of coding, qualities (N,) -> bits of each image (N,)."""
        share = row_shares(quality)
        gains = torch.floor(share @ self.gains + 0.5).clamp_min(1)
        symbols = torch.floor(y * torch.exp(-(share @ self.log_step)) + 0.5)
        symbols = symbols.clamp(-SYMBOL_OFFSET, SYMBOL_OFFSET - 1)
        values = torch.floor(symbols * gains / self.scale + 0.5).clamp(-INPUT_MAX, INPUT_MAX - 1)
        out = self.model.predict(values / 64, share)
        k = self.model.config.mixtures
        means = out[..., :k] * (self.scale / gains)[..., None] + (SYMBOL_OFFSET << MEAN_SHIFT)
        raw = torch.cat([means, out[..., k:]], -1)
        ones = torch.ones_like(symbols)
        bits = mixture_bits(raw, symbols + SYMBOL_OFFSET, ones, ones * SYMBOL_COUNT)
        total: Tensor = bits.sum(1)
        return total


def _entropies(symbols: np.ndarray) -> np.ndarray:
    """(D,) order-0 entropy of each column, in bits."""
    bits = []
    for column in symbols.T:
        count = np.unique(column, return_counts=True)[1]
        bits.append(math.log2(len(column)) - (count * np.log2(count)).sum() / len(column))
    return np.array(bits)
