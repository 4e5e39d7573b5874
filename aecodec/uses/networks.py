"""Autoencoders in floating point, for maps, generation and denoising.

Encoder and decoder have the form of layer L's, but the decoder computes without integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.nets.latent_decoder import AutoencoderConfig
from aecodec.twins.autoencoder import Encoder, ResidualBlock
from aecodec.twins.starting import conv, dense


def small_config(shape: tuple[int, int, int], latents: int) -> AutoencoderConfig:
    """Widths of a small network, below 1 MB as float16 at 28x28 gray; shape (H, W, C)."""
    return AutoencoderConfig(*shape, latents, hidden=128, coarse=24, fine=8, encoder=16)


class FloatDecoder(nn.Module):
    """Latents (N, D) -> images (N, C, H4, W4), by a linear path and a trunk.

    The images are padded as those of the encoder.
    """

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        grid = c.grid[0] * c.grid[1]
        self.linear = dense(c.latents, c.padded[0] * c.padded[1] * c.channels)
        self.dense1 = dense(c.latents, c.hidden)
        self.dense2 = dense(c.hidden, c.hidden)
        self.dense3 = dense(c.hidden, grid * c.coarse)
        self.coarse = ResidualBlock(c.coarse)
        self.up = conv(c.coarse, 4 * c.fine)
        self.fine = ResidualBlock(c.fine)
        self.out = conv(c.fine, 4 * c.channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, y: Tensor) -> Tensor:
        """Latents (N, D) -> images (N, C, H4, W4), gray / 256 or logits, not clamped."""
        c = self.config
        linear = self.linear(y)
        h = F.relu(self.dense2(F.relu(self.dense1(y))))
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and y.device.type == "cpu"
        ):
            r = self.dense3(h).view(-1, *c.grid, c.coarse).permute(0, 3, 1, 2)
            r = F.pixel_shuffle(self.up(F.relu(self.coarse(r))), 2)
            r = self.fine(r.contiguous(memory_format=torch.channels_last))
            out: Tensor = F.pixel_shuffle(self.out(F.relu(r)), 2).float()
        x_hat: Tensor = out + linear.view_as(out)
        return x_hat


class FloatAutoencoder(nn.Module):
    """Layer L's encoder, with ``heads`` outputs for each latent, and the float decoder."""

    def __init__(self, shape: tuple[int, int, int], latents: int, heads: int = 1) -> None:
        super().__init__()
        self.config = small_config(shape, latents)
        self.encoder = Encoder(small_config(shape, heads * latents))
        self.decoder = FloatDecoder(self.config)

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H4, W4) in 0..1 -> (N, heads * D)."""
        y: Tensor = self.encoder(x)
        return y

    def decode(self, y: Tensor) -> Tensor:
        """Latents (N, D) -> images (N, C, H, W), unclamped: gray / 256, or logits."""
        c = self.config
        x_hat: Tensor = self.decoder(y)[:, :, : c.height, : c.width]
        return x_hat


class LinearAutoencoder(nn.Module):
    """Rows (N, P) through a bottleneck of D, without activations."""

    def __init__(self, width: int, latents: int) -> None:
        super().__init__()
        self.linear = nn.ModuleDict(
            {"encode": dense(width, latents), "decode": dense(latents, width)}
        )

    def encode(self, x: Tensor) -> Tensor:
        """Rows (N, P) -> latents (N, D)."""
        y: Tensor = self.linear["encode"](x)
        return y

    def decode(self, y: Tensor) -> Tensor:
        """Latents (N, D) -> rows (N, P)."""
        x_hat: Tensor = self.linear["decode"](y)
        return x_hat


class DenseAutoencoder(nn.Module):
    """Rows (N, P) of any table through a bottleneck of D, three dense layers a side."""

    def __init__(self, width: int, latents: int, hidden: int = 128) -> None:
        super().__init__()
        self.encoder = _dense(width, hidden, latents)
        self.decoder = _dense(latents, hidden, width)

    def encode(self, x: Tensor) -> Tensor:
        """Rows (N, P) -> latents (N, D)."""
        y: Tensor = self.encoder(x)
        return y

    def decode(self, y: Tensor) -> Tensor:
        """Latents (N, D) -> rows (N, P)."""
        x_hat: Tensor = self.decoder(y)
        return x_hat


def _dense(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(
        dense(width_in, hidden),
        nn.ELU(),
        dense(hidden, hidden),
        nn.ELU(),
        dense(hidden, width_out),
    )


@dataclass(frozen=True)
class DenoiserConfig:
    """Widths of the denoiser: channels at 1/2 and at 1/4 of the resolution."""

    channels: int
    fine: int = 24
    coarse: int = 40


class Denoiser(nn.Module):
    """Noisy images -> clean ones: a convolutional autoencoder of two scales.

    A path leads around the coarse scale. No layer depends on the size of images.
    """

    def __init__(self, c: DenoiserConfig) -> None:
        super().__init__()
        self.stem = conv(4 * c.channels, c.fine)
        self.before = ResidualBlock(c.fine)
        self.down = conv(c.fine, c.coarse, stride=2)
        self.coarse = nn.ModuleList([ResidualBlock(c.coarse), ResidualBlock(c.coarse)])
        self.up = conv(c.coarse, 4 * c.fine)
        self.after = ResidualBlock(c.fine)
        self.out = conv(c.fine, 4 * c.channels)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Noisy images (N, C, H4, W4) in 0..1 -> clean ones, not clamped."""
        h = F.pixel_unshuffle(4 * x - 1, 2).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and x.device.type == "cpu"
        ):
            h = self.before(self.stem(h))
            r = self.down(F.relu(h))
            for block in self.coarse:
                r = block(r)
            h = self.after(h + F.pixel_shuffle(self.up(F.relu(r)), 2))
            out: Tensor = F.pixel_shuffle(self.out(F.relu(h)), 2).float()
        return out + 0.5


def gaussian_nll(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Elementwise -log N(x; mean, sigma), nats."""
    z = (x - mean) * torch.exp(-log_sigma)
    return 0.5 * z.square() + log_sigma + 0.5 * math.log(2 * math.pi)
