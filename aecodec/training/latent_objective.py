"""The loss of layer L: rate plus lmbda times distortion, at all nine qualities at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.latent_decoder import AutoencoderConfig
from aecodec.nets.layers import LayerArrays
from aecodec.targets import PEAK_SQUARED, QUALITIES, QUALITY_UNIT
from aecodec.training.draws import Draws, uniform, uniform_like
from aecodec.training.factorized_prior import FactorizedPrior, soft_round
from aecodec.training.objective import Objective
from aecodec.twins.autoencoder import Autoencoder, pad_images
from aecodec.twins.starting import zeros

SHARPENING = 0.25  # share of the training after which soft rounding has its full sharpness
PRIOR_IMAGES = 4096  # a prior is fitted to the latents of so many, to continue from a model


class LatentObjective(Objective):
    """The autoencoder with a prior that only training uses.

    The loss of each quality is ``lmbda * mse_255 + bpp``. It is divided by its own running value,
    so that a relative gain counts the same at every quality. It is then weighted: the middle
    qualities, where latents are at their best, count about twice as much as the ends. A batch is
    split evenly over the qualities; the quality of each image is then moved by a random amount, up
    to halfway to the next one.
    """

    typical: Tensor
    lmbdas: Tensor
    weights: Tensor

    def __init__(
        self,
        images: np.ndarray,
        c: AutoencoderConfig,
        lmbdas: np.ndarray,
        sharpness: float = 0.0,
    ) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.model = Autoencoder(c)
        self.register_buffer("lmbdas", torch.from_numpy(lmbdas).float())
        self.register_buffer("typical", zeros(QUALITIES))
        away = (torch.arange(QUALITIES, device="cpu").float() - 3) / 1.6  # from quality 4
        weights = 0.5 + 0.6 * torch.exp(-away.square() / 2)
        self.register_buffer("weights", weights / weights.sum())
        # at this uniform step one more bit saves 1/lmbda of squared error, in an orthonormal basis
        step = np.sqrt(12 / (2 * math.log(2) * lmbdas)) / 256
        mean, spread = _mean_and_spread(images, c)
        with torch.no_grad():
            self.model.log_step.copy_(torch.from_numpy(np.log(step))[:, None])
            self.model.scale_latents(spread)
            self.model.decoder.layer("linear").bias.copy_(mean)
        self.prior = FactorizedPrior(spread / torch.exp(self.model.log_step.detach()) + 0.3)

    def start_from(
        self,
        images: np.ndarray,
        encoder: Mapping[str, np.ndarray],
        layers: Mapping[str, LayerArrays],
        gains: np.ndarray,
    ) -> None:
        """Continue from a stored model's weights, with a prior fitted to its latents."""
        self.model.load(encoder, layers, gains)
        with torch.no_grad():
            y = self.model.encoder(self.prepare(images[:PRIOR_IMAGES]))
            v = y[None] * torch.exp(-self.model.log_step)[:, None]
        self.prior = FactorizedPrior.fitted(v)

    def rate_parameters(self) -> list[nn.Parameter]:
        """Steps and gains of the quantizer, and the prior."""
        return [self.model.log_step, self.model.log_shrink, *self.prior.parameters()]

    def linear_paths(self) -> list[Tensor]:
        """The linear paths of encoder and decoder."""
        return [self.model.encoder.linear.weight, self.model.decoder.layer("linear").weight]

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> float (N, C, H4, W4), padded."""
        return pad_images(images, self.model.config)

    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """Images float (N, C, H4, W4) -> loss, and the middle quality's bpp and PSNR."""
        model, c, generator = self.model, self.model.config, draws.on(x.device)
        level = torch.arange(QUALITIES, device=x.device).repeat_interleave(len(x) // QUALITIES)
        moved = uniform(len(level), generator)
        place = (level + moved - 0.5).clamp(0, QUALITIES - 1)
        v, y_hat, log_step = model.quantize(model.encoder(x), place)
        low = sum(c.is_low(QUALITY_UNIT * (1 + q)) for q in range(QUALITIES)) * len(x) // QUALITIES
        x_hat = model.decoder(y_hat, low)[:, :, : c.height, : c.width]
        v = soft_round(v, self.sharpness * min(1.0, progress / SHARPENING))
        # the prior of a quality is in units of its steps: the steps drawn are wider or narrower
        width = torch.exp(log_step - model.log_step[level])
        noisy = ((v + uniform_like(v, generator) - 0.5) * width).view(QUALITIES, -1, c.latents)
        bits = self.prior.rate_est_bits(noisy, width.view(noisy.shape)).sum(2)
        rate = bits.mean(1) / (c.height * c.width)
        error = (x_hat - x[:, :, : c.height, : c.width]).square().flatten(1).mean(1) * 65536
        each = (self._lmbda(place) * error).view(QUALITIES, -1).mean(1) + rate
        seen = each.detach()
        self.typical.copy_(torch.where(self.typical > 0, self.typical.lerp(seen, 0.01), seen))
        mse_255 = error.detach().view(QUALITIES, -1).mean(1)
        loss = (self.weights * each / self.typical).sum()
        return loss, _numbers(seen.mean(), rate.detach(), mse_255)

    def _lmbda(self, place: Tensor) -> Tensor:
        """lmbda at places (N,), 0.0 to 8.0: geometric between those of qualities 1 and 9."""
        log_lmbda = self.lmbdas.log()
        return torch.exp(log_lmbda[0] + (log_lmbda[-1] - log_lmbda[0]) * place / (QUALITIES - 1))


def _numbers(loss: Tensor, rate: Tensor, mse_255: Tensor) -> dict[str, float]:
    """Numbers to show, of rates and squared errors (9,): those of the middle quality."""
    middle = QUALITIES // 2
    shown = torch.stack([loss, rate[middle], mse_255[middle]]).tolist()
    psnr = 10 * math.log10(PEAK_SQUARED / max(shown[2], 1e-9))
    return {"loss": shown[0], "bpp": shown[1], "psnr": psnr}


def _mean_and_spread(images: np.ndarray, c: AutoencoderConfig) -> tuple[Tensor, float]:
    """Mean image (P,) of the padded pixels and the starting spread of a latent.

    The spread is that of one latent when all share the images' variance evenly.
    """
    x = pad_images(images[:: max(1, len(images) // 20_000)], c).flatten(1)
    variance = float(x.var(0, unbiased=False).sum())
    return x.mean(0), math.sqrt(max(variance, 0.01) / c.latents)
