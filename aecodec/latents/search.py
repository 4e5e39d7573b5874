"""Better latents for the same decoder, by gradient descent on the latents of each image.

The encoder gives all latents in one pass. Here each image's latents start there and descend the
gradient of ``lmbda * mse_255 + bpp``, through the decoder's float twin. Rounding is soft at first
and hardens step by step (after Yang, Bamler and Mandt 2020, but without their noise, which only
costs steps here). The decoder does not change, so any reader decodes the files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aecodec.arrays import Bits, Floats, Images, Symbols
from aecodec.forks import fork_safe
from aecodec.nets.exactness import float_inference, full_precision, gradients
from aecodec.nets.latent_decoder import LATENT_BITS, AutoencoderConfig
from aecodec.nets.latent_prior import (
    INPUT_MAX,
    MEAN_SHIFT,
    SYMBOL_COUNT,
    SYMBOL_OFFSET,
    PriorConfig,
)
from aecodec.nets.layers import LayerArrays
from aecodec.targets import QUALITY_UNIT
from aecodec.twins.autoencoder import DecoderTwin, pad_images
from aecodec.twins.latent_prior import PriorTwin, row_shares
from aecodec.twins.mixture import mixture_bits

BATCH_IMAGES = 512  # images in the networks at once
LEARNING_RATE = 0.05  # of Adam, in units of a symbol, for up to forty steps
SHARPNESS = (4.0, 600.0)  # of rounding, at the first step and the last
RARE_BITS = 20.0  # of a symbol that does not occur, at most


class Rate(Protocol):
    """A rate of softly rounded symbols, in bits."""

    def bits(self, lower: Tensor, share: Tensor) -> Tensor:
        """Bits (N,) of images with symbols ``lower`` + ``share``, floats (N, D), share 0 to 1."""


class FrequencyRate:
    """The rate of each latent under its own frequencies, to which zstd comes close.

    The frequencies are counted on ``symbols`` (N, D).
    """

    def __init__(self, symbols: Symbols, device: torch.device | str) -> None:
        low, high = int(symbols.min()) - 2, int(symbols.max()) + 2
        levels = np.arange(low, high + 1)
        table = np.empty((symbols.shape[1], len(levels)), np.float32)
        unseen = 0.3 * np.exp(-np.abs(levels))
        for column, row in zip(symbols.T, table, strict=True):
            count = np.bincount(column.astype(np.int64) - low, minlength=len(levels)) + unseen
            row[:] = np.minimum(-np.log2(count / count.sum()), RARE_BITS)
        self._low = low
        with gradients():
            self._table = torch.from_numpy(table).to(device)
            self._columns = torch.arange(symbols.shape[1], device=device)

    def bits(self, lower: Tensor, share: Tensor) -> Tensor:
        """Bits (N,) of images, as :meth:`Rate.bits`."""
        index = (lower.long() - self._low).clamp(0, self._table.shape[1] - 2)
        floor, ceiling = self._table[self._columns, index], self._table[self._columns, index + 1]
        return torch.lerp(floor, ceiling, share).sum(1)


class PriorRate:
    """The rate under the learned prior: of each latent, given the groups before it.

    ``tensors`` are the prior's; ``gains`` (D,) are those at the stored quality.
    """

    def __init__(
        self,
        c: PriorConfig,
        tensors: Mapping[str, npt.NDArray[np.generic]],
        gains: npt.NDArray[np.int32],
        stored_quality: int,
        device: torch.device,
    ) -> None:
        self._model = PriorTwin(c)
        self._model.load(tensors)
        self._model.requires_grad_(False).to(device)
        order = tensors["order"].astype(np.int64)
        scale = np.exp2(tensors["unit"].astype(np.float32))[order]
        gain = np.maximum(gains, 1).astype(np.float32)[order]
        self._order = torch.from_numpy(order).to(device)
        self._scale, self._gains = (torch.from_numpy(t).to(device) for t in (scale, gain))
        quality = np.array([stored_quality / QUALITY_UNIT], np.float32)
        self._quality = torch.from_numpy(quality).to(device)

    def bits(self, lower: Tensor, share: Tensor) -> Tensor:
        """Bits (N,) of images, as :meth:`Rate.bits`."""
        symbols = (lower + share)[:, self._order]
        values = (symbols * (self._gains / self._scale)).clamp(-INPUT_MAX, INPUT_MAX - 1)
        out = self._model.predict(values / 64, row_shares(self._quality.expand(len(symbols))))
        k = self._model.config.mixtures
        means = out[..., :k] * (self._scale / self._gains)[:, None]
        raw = torch.cat([means + (SYMBOL_OFFSET << MEAN_SHIFT), out[..., k:]], -1)
        ones = torch.ones_like(symbols)
        below = lower[:, self._order] + SYMBOL_OFFSET
        floor = mixture_bits(raw, below, ones, ones * SYMBOL_COUNT)
        ceiling = mixture_bits(raw, below + 1, ones, ones * SYMBOL_COUNT)
        return torch.lerp(floor, ceiling, share[:, self._order]).sum(1)


class LatentSearch(nn.Module):
    """The search for better latents, through the decoder's float twin."""

    def __init__(self, c: AutoencoderConfig, layers: Mapping[str, LayerArrays]) -> None:
        super().__init__()
        self.config = c
        self.decoder = DecoderTwin(c)
        for name, layer in layers.items():
            self.decoder.layer(name).load(layer)
        self.requires_grad_(False)
        self.train()  # reduced precision is enough, as it is in training

    @fork_safe
    def improve(
        self,
        images: Images,
        v: Floats,
        gains: npt.NDArray[np.int32],
        lmbda: float,
        rate: Rate,
        steps: int,
        *,
        low: bool = False,
    ) -> Floats:
        """Better latents (N, D) of images (N, H, W, C) than ``v`` (N, D), in units of a step.

        ``gains`` (D,) are the decoder's, ``lmbda`` weighs squared error in gray levels against bpp.
        ``low`` takes the decoder's low trunk.
        """
        better = np.empty_like(v)
        for start in range(0, len(v), BATCH_IMAGES):
            part = slice(start, start + BATCH_IMAGES)
            with gradients(), full_precision("cpu"):
                better[part] = self._improve(
                    images[part], v[part], gains, lmbda, rate, steps, low=low
                )
        return better

    @fork_safe
    def bits(self, rate: Rate, symbols: Symbols) -> Bits:
        """Bits (N,) of images with symbols (N, D) under a rate."""
        device = self.decoder.layer("linear").weight.device
        found = np.empty(len(symbols))
        for start in range(0, len(symbols), BATCH_IMAGES):
            with float_inference(device):
                lower = torch.from_numpy(symbols[start : start + BATCH_IMAGES]).float().to(device)
                bits = rate.bits(lower, torch.zeros_like(lower)).cpu()
            found[start : start + BATCH_IMAGES] = bits.numpy()
        return found

    def _improve(
        self,
        images: Images,
        start: Floats,
        gains: npt.NDArray[np.int32],
        lmbda: float,
        rate: Rate,
        steps: int,
        *,
        low: bool,
    ) -> Floats:
        c = self.config
        device = self.decoder.layer("linear").weight.device
        x = pad_images(images, c)[:, :, : c.height, : c.width].to(device)
        gain = torch.from_numpy(gains.astype(np.float32)).to(device) / (1 << LATENT_BITS)
        v = torch.from_numpy(start).to(device, copy=True).requires_grad_()
        learning_rate = LEARNING_RATE * min(1.0, math.sqrt(40 / steps))
        optimizer = torch.optim.Adam([v], learning_rate)
        first, last = SHARPNESS
        for step in range(steps):
            done = step / steps
            optimizer.param_groups[0]["lr"] = learning_rate * (1 - done)
            lower, share = soft_symbols(v, first * (last / first) ** done)
            x_hat = self.decoder((lower + share) * gain, low=len(v) if low else 0)
            x_hat = x_hat[:, :, : c.height, : c.width]
            error = (x_hat.clamp(0, 255 / 256) - x).square().flatten(1).mean(1) * 65536
            bpp = rate.bits(lower, share) / (c.height * c.width)
            loss = (lmbda * error + bpp).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        improved: Floats = v.detach().cpu().numpy()
        return improved


def soft_symbols(v: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """Latents in units of a step -> the symbol below each, and its share of the way to the next.

    At sharpness 1 the share is about the latent's fraction; at infinity it is rounded to 0 or 1.
    """
    lower = torch.floor(v.detach())
    fraction = (v - lower).clamp(1e-4, 1 - 1e-4)
    share = torch.sigmoid(sharpness * (torch.atanh(fraction) - torch.atanh(1 - fraction)))
    return lower, share
