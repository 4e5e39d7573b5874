"""One training loop for every model: steps, checkpoints, averaging, interruption.

What is trained is an *objective* (a module with ``loss``); what is different between models
lives there. Runs are repeatable: batches and noise of step i depend on (seed, i) alone, so a
resumed run continues as if it had never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from aecodec.files import atomic_path
from aecodec.nets.autoencoder import (
    LATENT_BITS,
    QUALITIES,
    Autoencoder,
    AutoencoderConfig,
    pad_images,
)
from aecodec.nets.rate import FactorizedPrior


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. ``lmbda`` weighs distortion: loss = lmbda * mse_255 + bpp."""

    steps: int = 12_000
    batch_images: int = 576  # a multiple of the nine qualities
    lr: float = 1.5e-3
    lmbda_min: float = 1e-4  # quality 1
    lmbda_max: float = 5e-3  # quality 9
    average: float = 0.999  # decay of the averaged weights that are exported
    clip_norm: float = 0.5
    seed: int = 0
    validation: float = 1 / 12  # share of the images held out
    checkpoint_s: float = 60.0

    def lmbdas(self) -> np.ndarray:
        """(9,) lmbda of each quality, a geometric row."""
        return np.geomspace(self.lmbda_min, self.lmbda_max, QUALITIES)


class Objective(Protocol):
    """What the loop needs: parameters, a loss, and numbers to show."""

    module: nn.Module

    def loss(self, x: Tensor, config: TrainConfig) -> tuple[Tensor, dict[str, float]]: ...


class LatentObjective:
    """Rate and distortion of layer L, all nine qualities in every batch."""

    def __init__(self, images: np.ndarray, c: AutoencoderConfig, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        model = Autoencoder(c)
        mean, basis, spread = _principal_axes(images, c)
        with torch.no_grad():
            model.encoder.linear.weight.copy_(basis)
            model.encoder.linear.bias.copy_(-(basis @ mean))
            model.encoder.spread.copy_(spread)
            layers = model.decoder.layers
            layers["linear"].weight.copy_(basis.t())
            layers["linear"].bias.copy_(mean)
            layers["dense1"].weight.copy_(layers["dense1"].weight / spread)
            # the uniform step at which a bit buys 1/lmbda of squared error
            step = np.sqrt(12 / (2 * math.log(2) * config.lmbdas())) / 256
            model.log_step.copy_(torch.from_numpy(np.log(step))[:, None].expand_as(model.log_step))
        self.module = nn.ModuleDict(
            {
                "model": model,
                "prior": FactorizedPrior(spread / torch.exp(model.log_step.detach()) + 0.3),
            }
        )
        self.typical = torch.zeros(QUALITIES)  # running loss per quality, to weigh them alike

    @property
    def model(self) -> Autoencoder:
        model = self.module["model"]
        assert isinstance(model, Autoencoder)  # noqa: S101
        return model

    def loss(self, x: Tensor, config: TrainConfig) -> tuple[Tensor, dict[str, float]]:
        model, c = self.model, self.model.config
        level = torch.arange(QUALITIES, device=x.device).repeat_interleave(len(x) // QUALITIES)
        v, y_hat = model.quantize(model.encoder(x), level)
        x_hat = model.decoder(y_hat)[:, :, : c.height, : c.width]
        noisy = (v + torch.rand_like(v) - 0.5).view(QUALITIES, -1, c.latents)
        rate = self.module["prior"].rate_est_bits(noisy).sum(2).mean(1) / (c.height * c.width)
        error = (x_hat - x[:, :, : c.height, : c.width]).square().flatten(1).mean(1) * 65536
        mse_255 = error.view(QUALITIES, -1).mean(1)
        lmbda = torch.from_numpy(config.lmbdas()).to(rate)
        each = lmbda * mse_255 + rate
        seen = each.detach().cpu()
        self.typical = torch.where(
            self.typical > 0, self.typical.lerp(seen, 0.01), seen.clone()
        )
        loss = (each / self.typical.to(each)).mean()
        middle = QUALITIES // 2
        return loss, {
            "loss": float(seen.mean()),
            "bpp": float(rate[middle]),
            "psnr": 10 * math.log10(65025 / max(float(mse_255[middle]), 1e-9)),
        }


def _principal_axes(images: np.ndarray, c: AutoencoderConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (P,), basis (D, P) and spread (D,) of the padded pixels, from at most 20,000 images."""
    x = pad_images(images[:: max(1, len(images) // 20_000)], c).flatten(1)
    mean = x.mean(0)
    rank = min(c.latents, *x.shape)
    _, s, v = torch.svd_lowrank(x - mean, q=min(rank + 16, *x.shape), niter=4)
    basis, spread = torch.zeros(c.latents, x.shape[1]), torch.full((c.latents,), 0.02)
    basis[:rank] = v[:, :rank].t()
    spread[:rank] = (s[:rank] / math.sqrt(len(x))).clamp_min(0.02)
    return mean, basis, spread
