"""What layer L is trained for: rate plus lmbda times distortion, at all nine qualities at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.nets.latent_decoder import AutoencoderConfig
from aecodec.nets.layers import LayerArrays
from aecodec.targets import QUALITIES, QUALITY_UNIT
from aecodec.training.factorized_prior import FactorizedPrior, soft_round
from aecodec.twins.autoencoder import Autoencoder, pad_images

SHARPENING = 0.25  # share of the training after which rounding is as sharp as it gets
PRIOR_IMAGES = 4096  # that a prior is fitted to where training goes on from a model


class LatentObjective(nn.Module):
    """The autoencoder with its training-only prior.

    The loss of each quality is ``lmbda * mse_255 + bpp``, divided by its own running value so that
    a percent is a percent at every quality, then weighed: the middle qualities, where latents are
    at their best, count about twice as much as the ends. A batch is split evenly over the qualities,
    and each image's is drawn from around its own, up to halfway to the next.
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
        self.register_buffer("typical", torch.zeros(QUALITIES))
        away = (torch.arange(QUALITIES) - 3) / 1.6  # from quality 4
        weights = 0.5 + 0.6 * torch.exp(-away.square() / 2)
        self.register_buffer("weights", weights / weights.sum())
        # the uniform step at which a bit buys 1/lmbda of squared error, in an orthonormal basis
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
        """Begin with a stored model's weights, and with a prior that suits its latents."""
        self.model.load(encoder, layers, gains)
        with torch.no_grad():
            y = self.model.encoder(self.prepare(images[:PRIOR_IMAGES]))
            v = y[None] * torch.exp(-self.model.log_step)[:, None]
        self.prior = FactorizedPrior.fitted(v)

    def prepare(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> what ``forward`` takes."""
        return pad_images(images, self.model.config)

    def forward(self, x: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        """Images float (N, C, H4, W4) -> loss, and the middle quality's bpp and PSNR.

        ``progress`` is the share of training that is done, 0 to 1.
        """
        model, c = self.model, self.model.config
        level = torch.arange(QUALITIES, device=x.device).repeat_interleave(len(x) // QUALITIES)
        place = (level + torch.rand(len(level), device=x.device) - 0.5).clamp(0, QUALITIES - 1)
        v, y_hat, log_step = model.quantize(model.encoder(x), place)
        low = sum(c.is_low(QUALITY_UNIT * (1 + q)) for q in range(QUALITIES)) * len(x) // QUALITIES
        x_hat = model.decoder(y_hat, low)[:, :, : c.height, : c.width]
        v = soft_round(v, self.sharpness * min(1.0, progress / SHARPENING))
        # a prior for each quality, in its own steps: those drawn are somewhat wider or narrower
        width = torch.exp(log_step - model.log_step[level])
        noisy = ((v + torch.rand_like(v) - 0.5) * width).view(QUALITIES, -1, c.latents)
        bits = self.prior.rate_est_bits(noisy, width.view(noisy.shape)).sum(2)
        rate = bits.mean(1) / (c.height * c.width)
        error = (x_hat - x[:, :, : c.height, : c.width]).square().flatten(1).mean(1) * 65536
        log_lmbda = self.lmbdas.log()
        lmbda = torch.exp(log_lmbda[0] + (log_lmbda[-1] - log_lmbda[0]) * place / (QUALITIES - 1))
        mse_255 = error.view(QUALITIES, -1).mean(1)
        each = (lmbda * error).view(QUALITIES, -1).mean(1) + rate
        seen = each.detach()
        self.typical.copy_(torch.where(self.typical > 0, self.typical.lerp(seen, 0.01), seen))
        middle = QUALITIES // 2
        shown = torch.stack([seen.mean(), rate.detach()[middle], mse_255.detach()[middle]]).tolist()
        psnr = 10 * math.log10(65025 / max(shown[2], 1e-9))
        numbers = {"loss": shown[0], "bpp": shown[1], "psnr": psnr}
        return (self.weights * each / self.typical).sum(), numbers


def _mean_and_spread(images: np.ndarray, c: AutoencoderConfig) -> tuple[Tensor, float]:
    """Mean image (P,) of the padded pixels and the starting spread of a latent.

    The spread is that of one latent when all share the images' variance evenly.
    """
    x = pad_images(images[:: max(1, len(images) // 20_000)], c).flatten(1)
    variance = float(x.var(0, unbiased=False).sum())
    return x.mean(0), math.sqrt(max(variance, 0.01) / c.latents)
