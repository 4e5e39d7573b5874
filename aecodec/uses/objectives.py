"""The losses of maps, generation and denoising."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.held_rows import Rows
from aecodec.training.draws import Draws, integers, normal_like, uniform, uniform_like
from aecodec.training.objective import Objective
from aecodec.twins.autoencoder import pad_images
from aecodec.twins.starting import zeros
from aecodec.uses.means import mean_and_spread, mean_image
from aecodec.uses.networks import (
    Denoiser,
    DenoiserConfig,
    DenseAutoencoder,
    FloatAutoencoder,
    LinearAutoencoder,
    gaussian_nll,
)

BERNOULLI, GAUSSIAN = "bernoulli", "gaussian"
LEAST_SPREAD = 1e-30  # float32 holds it, and its inverse
NOISES = ("gaussian", "salt-and-pepper", "masking")


class TableMapObjective(Objective):
    """Mean squared error of rows (N, P), less ``mean`` and divided by ``spread``."""

    mean: Tensor
    spread: Tensor

    def __init__(self, model: LinearAutoencoder | DenseAutoencoder, rows: Rows) -> None:
        super().__init__()
        self.model = model
        self.exact_mean, spread = mean_and_spread(rows)
        spread = spread if spread > LEAST_SPREAD else 1.0  # rows that are all equal
        self.register_buffer("mean", torch.from_numpy(self.exact_mean).float())
        self.register_buffer("spread", zeros() + spread)

    def linear_paths(self) -> list[Tensor]:
        """All of a linear autoencoder, none of a dense one."""
        if isinstance(self.model, DenseAutoencoder):
            return []
        return [p for p in self.model.parameters() if p.dim() == 2]

    def prepare(self, images: np.ndarray) -> Tensor:
        """Rows of numbers (N, P) -> float32, less the mean and divided by the spread."""
        x = torch.from_numpy(images.astype(np.float32))
        return (x - self.mean.cpu()) / self.spread.cpu()

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Prepared rows (N, P) -> loss, and the same as a number."""
        loss = F.mse_loss(self.model.decode(self.model.encode(x)), x)
        return loss, {"loss": float(loss.detach())}


class ImageMapObjective(Objective):
    """Mean squared error of images through a bottleneck of few latents."""

    def __init__(self, model: FloatAutoencoder, images: Rows) -> None:
        super().__init__()
        self.model = model
        mean = mean_image(images, model.config)
        with torch.no_grad():
            model.decoder.linear.bias.copy_(mean.flatten())

    def linear_paths(self) -> list[Tensor]:
        """The linear paths of encoder and decoder."""
        return [self.model.encoder.linear.weight, self.model.decoder.linear.weight]

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> float (N, C, H4, W4), padded."""
        return pad_images(images, self.model.config)

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Images float (N, C, H4, W4) -> loss, and the squared error in gray levels squared."""
        c = self.model.config
        x_hat = self.model.decode(self.model.encode(x))
        mse = F.mse_loss(x_hat, x[:, :, : c.height, : c.width])
        return 100 * mse, {"loss": float(mse.detach()) * 65536}


class VaeObjective(Objective):
    """The negative evidence lower bound (Kingma and Welling 2014), nats per image.

    Pixels are gray / 255. ``bernoulli`` takes them as probabilities of a binary pixel, so the bound
    is that of random binary images whose mean is the image. ``gaussian`` is a density of continuous
    pixels in 0..1, with one learned spread for all pixels.
    """

    def __init__(self, model: FloatAutoencoder, likelihood: str, images: np.ndarray) -> None:
        super().__init__()
        self.model, self.likelihood = model, likelihood
        self.log_sigma = nn.Parameter(zeros(1) - 1.5, requires_grad=likelihood == GAUSSIAN)
        mean = self.prepare(images[:: max(1, len(images) // 20_000)]).mean(0).flatten()
        with torch.no_grad():
            self.start(mean)

    def rate_parameters(self) -> list[nn.Parameter]:
        """The spread of the pixels."""
        return [self.log_sigma]

    def linear_paths(self) -> list[Tensor]:
        """The linear paths of encoder and decoder."""
        return [self.model.encoder.linear.weight, self.model.decoder.linear.weight]

    def start(self, mean: Tensor) -> None:
        """Let the decoder start at the mean image (P,), gray / 255."""
        mean = mean.clamp(0.01, 0.99)
        linear = self.model.decoder.linear
        linear.bias.copy_(torch.logit(mean) if self.likelihood == BERNOULLI else mean)

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> float (N, C, H4, W4) in 0..1, padded."""
        return pad_images(images, self.model.config) * (256 / 255)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (N, D) of the latents of images (N, C, H4, W4)."""
        mean, log_variance = self.model.encode(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def nll(self, x: Tensor, y: Tensor) -> Tensor:
        """(N,) -log p(x | y), nats."""
        c = self.model.config
        x = x[:, :, : c.height, : c.width]
        out = self.model.decode(y)
        if self.likelihood == BERNOULLI:
            each = F.binary_cross_entropy_with_logits(out, x, reduction="none")
        else:
            each = gaussian_nll(x, out, self.log_sigma)
        return each.flatten(1).sum(1)

    def terms(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(N,) -log p(x | y) at one sample of the latents, and the KL divergence from N(0, 1)."""
        mean, log_variance = self.heads(x)
        y = mean + torch.exp(0.5 * log_variance) * normal_like(mean, generator)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return self.nll(x, y), kl

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Images float (N, C, H4, W4) -> loss, and the bound and its KL divergence in nats."""
        nll, kl = (each.mean() for each in self.terms(x, draws.on(x.device)))
        loss = nll + kl
        numbers = {"loss": float(loss.detach()), "kl": float(kl.detach())}
        return loss / 100, numbers

    def means(self, y: Tensor) -> Tensor:
        """Expected pixels (N, C, H, W) in 0..1."""
        out = self.model.decode(y)
        return torch.sigmoid(out) if self.likelihood == BERNOULLI else out.clamp(0, 1)


class DenoiseObjective(Objective):
    """Mean squared error to the clean image, from one with noise.

    The noise of each image is of one of the kinds ``noises``, at a level drawn evenly from 0 to
    ``sigma``. One network thus learns all kinds and levels, and is not given the level.
    """

    def __init__(self, c: DenoiserConfig, sigma: float, noises: tuple[str, ...]) -> None:
        super().__init__()
        self.model = Denoiser(c)
        self.sigma, self.noises = sigma, noises

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> float (N, C, H4, W4) in 0..1, padded."""
        return pad_to_four(torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255)

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Images float (N, C, H4, W4) -> loss, and the PSNR in dB."""
        each, g = (len(x), 1, 1, 1), draws.on(x.device)
        kind = integers(len(self.noises), each, g)
        level = self.sigma * uniform(len(x), g).view(each)
        noisy = x
        for i, name in enumerate(self.noises):
            noisy = torch.where(kind == i, add_noise(x, name, level, g), noisy)
        mse = F.mse_loss(self.model(noisy), x)
        return 100 * mse, {"psnr": -10 * math.log10(max(float(mse.detach()), 1e-9))}


def add_noise(
    x: Tensor, noise: str, level: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Images (N, C, H, W) in 0..1 with noise; ``level`` broadcasts to them.

    ``gaussian``: standard deviation ``level``, clipped to 0..1. ``salt-and-pepper``: that share of
    the pixels becomes black or white. ``masking``: that share becomes black.
    """
    if noise == "gaussian":
        return (x + level * normal_like(x, generator)).clamp(0, 1)
    hit = uniform_like(x[:, :1], generator) < level
    if noise == "salt-and-pepper":
        return torch.where(hit, (uniform_like(x[:, :1], generator) < 0.5).float(), x)
    return torch.where(hit, torch.zeros_like(x), x)


def pad_to_four(x: Tensor) -> Tensor:
    """Images (N, C, H, W) with their edges repeated to a multiple of 4."""
    bottom, right = -x.shape[2] % 4, -x.shape[3] % 4
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
