"""Float networks of layer L: the encoder, and the twin of its decoder.

Both linear paths start at zero: where they start at PCA, training stays there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.nets.latent_decoder import (
    LATENT_BITS,
    LATENT_MAX,
    LOW,
    PIXEL_BITS,
    AutoencoderConfig,
    layer_shapes,
)
from aecodec.nets.layers import LayerArrays
from aecodec.targets import QUALITIES
from aecodec.twins.layers import TwinLayer, activation, round_through
from aecodec.twins.starting import conv, dense, normal, normal_, zeros


class ResidualBlock(nn.Module):
    """Residual pair of 3x3 convolutions that starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = conv(channels, channels)
        self.b = conv(channels, channels)
        for parameter in self.b.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W), twice."""
        branch: Tensor = self.b(F.relu(self.a(F.relu(x))))
        return x + branch


class Encoder(nn.Module):
    """Float encoder: images in units of 256 gray levels to latents in the same unit."""

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        w = c.encoder
        pixels = c.padded[0] * c.padded[1] * c.channels
        grid = c.grid[0] * c.grid[1]
        self.linear = dense(pixels, c.latents)
        self.stem = conv(4 * c.channels, w)
        self.fine = ResidualBlock(w)
        self.down = conv(w, 2 * w, stride=2)
        self.coarse = ResidualBlock(2 * w)
        self.head = dense(2 * w * grid, c.latents)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        normal_(self.head.weight, 1.5 / math.sqrt(self.head.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Padded images (N, C, H4, W4) -> latents (N, D)."""
        y = self.linear(x.flatten(1))
        h = F.pixel_unshuffle(4 * x - 1, 2).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and x.device.type == "cpu"
        ):
            h = self.fine(self.stem(h))
            h = self.coarse(self.down(F.relu(h)))
            h = F.relu(h).permute(0, 2, 3, 1).flatten(1)  # channels-last, as it lies in memory
            h = self.head(h)
        latents: Tensor = y + h.float()
        return latents


class DecoderTwin(nn.Module):
    """Float twin of :class:`ExactDecoder`; latents and pixels in units of 256 gray levels."""

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        shapes = layer_shapes(c)
        wide = {"in_bits": LATENT_BITS, "input_max": LATENT_MAX, "dtype": torch.float64}
        self.layers = nn.ModuleDict()
        for name, shape in shapes.items():
            fan_in = math.prod(shape[1:])
            weight = normal(*shape) * math.sqrt(2 / fan_in)
            if name.endswith("out") or (name[-1] == "b" and len(shape) == 4):
                weight = weight * 0.05
            elif name == "linear":
                weight = zeros(*shape)
            kwargs: dict[str, object] = {}
            if name == "linear":
                kwargs = {**wide, "out_bits": PIXEL_BITS}
            elif name == "dense1":
                kwargs = {**wide, "weight_max": 32767}
            elif name.endswith("out"):
                kwargs = {"out_bits": PIXEL_BITS}
            self.layers[name] = TwinLayer(weight, zeros(shape[0]), **kwargs)  # type: ignore[arg-type]

    def layer(self, name: str) -> TwinLayer:
        """The layer of this name; ModuleDict itself does not know its type."""
        return cast(TwinLayer, self.layers[name])

    def forward(self, y_hat: Tensor, low: int = 0) -> Tensor:
        """Latents (N, D) -> images (N, C, H4, W4), the first ``low`` of them by the low trunk."""
        c = self.config
        layer = self.layer
        linear = layer("linear").floor_through(layer("linear")(y_hat))
        h = activation(layer("dense1")(y_hat))
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and h.device.type == "cpu"
        ):
            r = layer("dense2")(h)
            r = r.view(-1, *c.grid, c.coarse).permute(0, 3, 1, 2)
            r = layer("dense2").floor_through(r)
            parts = [(LOW, r[:low]), ("", r[low:])]
            outs = [self._trunk(name, part) for name, part in parts if len(part)]
        out = F.pixel_shuffle(torch.cat(outs) if len(outs) > 1 else outs[0], 2)
        return linear.view_as(out) + out

    def _trunk(self, name: str, r: Tensor) -> Tensor:
        c, up, out = self.config, self.layer(name + "up"), self.layer(name + "out")
        for i in range(c.coarse_blocks):
            r = r + self._branch(f"{name}coarse{i}", r)
        r = up.floor_through(up(activation(r)))
        r = F.pixel_shuffle(r, 2).contiguous(memory_format=torch.channels_last)
        for i in range(c.fine_blocks):
            r = r + self._branch(f"{name}fine{i}", r)
        return out.floor_through(out(activation(r)).float())

    def _branch(self, name: str, r: Tensor) -> Tensor:
        a, b = self.layer(name + "a"), self.layer(name + "b")
        return b.floor_through(b(activation(a(activation(r)))))

    def arrays(self) -> dict[str, LayerArrays]:
        """The integer layers that the decoder is stored as, by name."""
        return {name: self.layer(name).arrays() for name in self.layers}


class Autoencoder(nn.Module):
    """Encoder, gains and decoder twin: what training optimizes.

    ``log_step`` (9, D) is the logarithm of the quantizer step of each quality and latent; steps are
    in units of 256 gray levels. Encoding divides by the step. Decoding multiplies by the gain: the
    step times exp(``log_shrink``), rounded to an integer.
    """

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        self.encoder = Encoder(c)
        self.decoder = DecoderTwin(c)
        self.log_step = nn.Parameter(zeros(QUALITIES, c.latents))
        self.log_shrink = nn.Parameter(zeros(QUALITIES, c.latents))

    @torch.no_grad()
    def scale_latents(self, spread: float) -> None:
        """Let the initial network give latents of this spread, in units of 256 gray levels."""
        self.encoder.head.weight.mul_(spread)
        self.decoder.layer("dense1").weight.div_(spread)

    @torch.no_grad()
    def load(
        self,
        encoder: Mapping[str, np.ndarray],
        layers: Mapping[str, LayerArrays],
        gains: np.ndarray,
    ) -> None:
        """Take over a stored model, except for what rounding lost.

        ``encoder`` holds the encoder's tensors and ``log_step``; ``gains`` are (9, D).
        """
        weights = {name: torch.from_numpy(tensor.copy()) for name, tensor in encoder.items()}
        self.log_step.copy_(weights.pop("log_step"))
        self.encoder.load_state_dict(weights)
        units = torch.from_numpy(gains.astype(np.float32)) / (1 << LATENT_BITS)
        self.log_shrink.copy_(units.log() - self.log_step)
        for name, layer in layers.items():
            self.decoder.layer(name).load(layer)

    def gains(self) -> Tensor:
        """The decoder's gains (9, D), in units of 256 gray levels.

        They are whole multiples, 1 to 32767, of 1/8 gray level.
        """
        unit = float(1 << LATENT_BITS)
        g = torch.exp(self.log_step + self.log_shrink) * unit
        return round_through(g).clamp(1, LATENT_MAX) / unit

    def quantize(self, y: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize latents (N, D) at qualities of their own.

        ``place`` (N,) is quality - 1, 0.0 to 8.0; two rows of steps and gains are interpolated.
        Returns latents in units of the step, y_hat and the logarithms of the steps, each (N, D).
        """
        row = place.floor().clamp(max=QUALITIES - 2).long()
        share = (place - row)[:, None]
        log_step = torch.lerp(self.log_step[row], self.log_step[row + 1], share)
        unit, gains = float(1 << LATENT_BITS), self.gains()
        gain = round_through(torch.lerp(gains[row], gains[row + 1], share) * unit) / unit
        v = y * torch.exp(-log_step)
        limit = LATENT_MAX / unit
        return v, (round_through(v) * gain).clamp(-limit, limit), log_step


def pad_images(images: np.ndarray, c: AutoencoderConfig) -> Tensor:
    """Images uint8 (N, H, W, C) -> float (N, C, H4, W4), gray / 256, padded by their edges."""
    x = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 256
    bottom, right = c.padded[0] - c.height, c.padded[1] - c.width
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
