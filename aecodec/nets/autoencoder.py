"""Layer L: a float convolutional encoder and an integer-exact decoder (clause 9 of aez.md).

    x -> Encoder -> y -> (gain of the quality, rounding) -> symbols -> Decoder -> x_hat

The decoder is a sum of two paths: a linear one from the latents to all pixels, and a convolutional
trunk from a dense layer at a quarter of the resolution, upsampled twice by pixel shuffle. A model may
have a second trunk for low qualities: what is made of few bits is not what is made of many. Both
linear paths start at zero: started at PCA, training stays there. Images are padded to a multiple of 4 by repeating their edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.errors import ModelCorruptError
from aecodec.nets.integer import (
    ACT_MAX,
    ExactLayer,
    LayerArrays,
    TwinLayer,
    activation,
    clamp_activation,
    exact_matmul,
    prove_layer,
    round_through,
)

QUALITIES = 9
# The float side works in units of 256 gray levels, so pixels are 0..1 and weights near 1.
LATENT_BITS = 11  # y_hat is an integer in units of 1/8 gray level
LATENT_MAX = 32767
PIXEL_BITS = 12  # both paths end in units of 1/16 gray level
GRAY_BITS = PIXEL_BITS - 8
LOW = "low_"  # layers of the trunk for low qualities are called after those of the other
LOW_BELOW = 3 * 256 + 128  # which in new models is below this stored quality


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shapes of layer L. height, width, channels are the image's; the rest are layer widths."""

    height: int
    width: int
    channels: int
    latents: int
    hidden: int
    coarse: int  # channels at 1/4 of the resolution
    fine: int  # channels at 1/2 of the resolution
    coarse_blocks: int = 1
    fine_blocks: int = 1
    encoder: int = 24  # encoder channels at 1/2 of the resolution; not read by decoding
    low_below: int = 0  # stored quality that the low trunk ends below, 0 for none; told by a tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the coarse grid: the padded image over 4."""
        return -(-self.height // 4), -(-self.width // 4)

    @property
    def padded(self) -> tuple[int, int]:
        return self.grid[0] * 4, self.grid[1] * 4

    def decoding(self) -> dict[str, int]:
        """What decoding reads, and so what the fingerprint covers."""
        return {k: v for k, v in asdict(self).items() if k not in ("encoder", "low_below")}

    @property
    def widest(self) -> int:
        """How many numbers of an image any layer of the decoder gives, at most."""
        cells = self.grid[0] * self.grid[1]
        largest = max(self.coarse, 4 * self.fine, 16 * self.channels)
        return max(cells * largest, self.hidden, self.latents)

    def is_low(self, stored_quality: int) -> bool:
        """Whether the low trunk is for this quality."""
        return stored_quality < self.low_below

    @property
    def trunks(self) -> tuple[str, ...]:
        """What the names of each trunk's layers begin with."""
        return ("", LOW) if self.low_below else ("",)

    @classmethod
    def for_shape(cls, height: int, width: int, channels: int) -> AutoencoderConfig:
        """Defaults that fit 0.6 MB of decoder at 28x28 gray; other shapes in proportion."""
        cells = -(-height // 4) * -(-width // 4)
        samples = height * width * channels
        latents = min(128 if samples <= 1024 else 192, max(16, samples // 4))
        coarse = 32 if cells <= 64 else 16
        return cls(height, width, channels, latents, 216, coarse, 16, low_below=LOW_BELOW)


def layer_shapes(c: AutoencoderConfig) -> dict[str, tuple[int, ...]]:
    """Weight shapes of the decoder's layers, in the order in which they run."""
    grid = c.grid[0] * c.grid[1]
    pixels = c.padded[0] * c.padded[1] * c.channels
    shapes: dict[str, tuple[int, ...]] = {
        "linear": (pixels, c.latents),
        "dense1": (c.hidden, c.latents),
        "dense2": (grid * c.coarse, c.hidden),
    }
    for trunk in c.trunks:
        for i in range(c.coarse_blocks):
            for half in "ab":
                shapes[f"{trunk}coarse{i}{half}"] = (c.coarse, c.coarse, 3, 3)
        shapes[f"{trunk}up"] = (4 * c.fine, c.coarse, 3, 3)
        for i in range(c.fine_blocks):
            for half in "ab":
                shapes[f"{trunk}fine{i}{half}"] = (c.fine, c.fine, 3, 3)
        shapes[f"{trunk}out"] = (4 * c.channels, c.fine, 3, 3)
    return shapes


# ---------------------------------------------------------------- training twins


class Encoder(nn.Module):
    """Float encoder: images as float 0..1 (gray / 256) to latents in the same unit."""

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        w = c.encoder
        pixels = c.padded[0] * c.padded[1] * c.channels
        grid = c.grid[0] * c.grid[1]
        self.linear = nn.Linear(pixels, c.latents)
        self.stem = nn.Conv2d(4 * c.channels, w, 3, padding=1)
        self.fine = _FloatBlock(w)
        self.down = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.coarse = _FloatBlock(2 * w)
        self.head = nn.Linear(2 * w * grid, c.latents)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.head.weight, std=1.5 / math.sqrt(self.head.in_features))

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H4, W4) -> (N, D)
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


class _FloatBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.b.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.b(F.relu(self.a(F.relu(x))))
        return x + branch


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
            weight = torch.randn(shape) * math.sqrt(2 / fan_in)
            if name.endswith("out") or (name[-1] == "b" and len(shape) == 4):
                weight = weight * 0.05
            elif name == "linear":
                weight = torch.zeros(shape)
            kwargs: dict[str, object] = {}
            if name == "linear":
                kwargs = {**wide, "out_bits": PIXEL_BITS}
            elif name == "dense1":
                kwargs = {**wide, "weight_max": 32767}
            elif name.endswith("out"):
                kwargs = {"out_bits": PIXEL_BITS}
            self.layers[name] = TwinLayer(weight, torch.zeros(shape[0]), **kwargs)  # type: ignore[arg-type]

    def layer(self, name: str) -> TwinLayer:
        """One layer, with the type that ModuleDict forgets."""
        return cast(TwinLayer, self.layers[name])

    def forward(self, y_hat: Tensor, low: int = 0) -> Tensor:
        """Latents (N, D) -> images (N, C, H4, W4), the first ``low`` by the low trunk."""
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
        return {name: self.layer(name).arrays() for name in self.layers}


class Autoencoder(nn.Module):
    """Encoder, gains and decoder twin: what training optimizes.

    ``log_step`` (9, D) is the quantizer step of each quality and latent in units of 256 gray levels;
    encoding divides by it, decoding multiplies by its rounded integer twin.
    """

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.config = c
        self.encoder = Encoder(c)
        self.decoder = DecoderTwin(c)
        self.log_step = nn.Parameter(torch.zeros(QUALITIES, c.latents))
        self.log_shrink = nn.Parameter(torch.zeros(QUALITIES, c.latents))

    @torch.no_grad()
    def scale_latents(self, spread: float) -> None:
        """Start latents at this spread, in units of 256 gray levels."""
        self.encoder.head.weight.mul_(spread)
        self.decoder.layer("dense1").weight.div_(spread)

    @torch.no_grad()
    def load(
        self,
        encoder: Mapping[str, np.ndarray],
        layers: Mapping[str, LayerArrays],
        gains: np.ndarray,
    ) -> None:
        """Take over a stored model, up to what its rounding lost; ``encoder`` has ``log_step``."""
        weights = {name: torch.from_numpy(tensor.copy()) for name, tensor in encoder.items()}
        self.log_step.copy_(weights.pop("log_step"))
        self.encoder.load_state_dict(weights)
        units = torch.from_numpy(gains.astype(np.float32)) / (1 << LATENT_BITS)
        self.log_shrink.copy_(units.log() - self.log_step)
        for name, layer in layers.items():
            self.decoder.layer(name).load(layer)

    def gains(self) -> Tensor:
        """(9, D) decoder gains on their integer grid of 1/8 gray level, 1..32767 as integers."""
        unit = float(1 << LATENT_BITS)
        g = torch.exp(self.log_step + self.log_shrink) * unit
        return round_through(g).clamp(1, LATENT_MAX) / unit

    def quantize(self, y: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (N, D) and place (N,) of their quality, 0.0 to 8.0, to what is between two rows.

        Returns scaled latents, y_hat and the log of the steps, each (N, D).
        """
        row = place.floor().clamp(max=QUALITIES - 2).long()
        share = (place - row)[:, None]
        log_step = torch.lerp(self.log_step[row], self.log_step[row + 1], share)
        unit, gains = float(1 << LATENT_BITS), self.gains()
        gain = round_through(torch.lerp(gains[row], gains[row + 1], share) * unit) / unit
        v = y * torch.exp(-log_step)
        limit = LATENT_MAX / unit
        return v, (round_through(v) * gain).clamp(-limit, limit), log_step


# ---------------------------------------------------------------- the exact decoder


class ExactDecoder(nn.Module):
    """Integer decoder on a torch device: symbols and gains to uint8 images."""

    def __init__(self, c: AutoencoderConfig, layers: Mapping[str, LayerArrays]) -> None:
        super().__init__()
        self.config = c
        prove_decoder(c, layers)
        self.layers = nn.ModuleDict()
        for name, arrays in layers.items():
            wide = name in ("linear", "dense1")
            layer = ExactLayer(arrays, torch.float64 if wide else torch.float32)
            if layer.weight.dim() == 4:  # a kernel, laid out as the images are
                layer.weight = layer.weight.contiguous(memory_format=torch.channels_last)
            self.layers[name] = layer

    def forward(self, symbols: Tensor, gains: Tensor, *, low: bool = False) -> Tensor:
        """symbols (N, D) integer, gains (N, D) or (D,) integer -> uint8 (N, H, W, C).

        By the low trunk if ``low``.
        """
        c, trunk = self.config, LOW if low else ""
        with exact_matmul():
            z = (symbols.double() * gains.double()).clamp_(-LATENT_MAX, LATENT_MAX)
            h = clamp_activation(self.layers["dense1"](z)).float()
            r = self.layers["dense2"](h).view(-1, *c.grid, c.coarse).permute(0, 3, 1, 2)
            for i in range(c.coarse_blocks):
                r = self._block(f"{trunk}coarse{i}", r)
            r = F.pixel_shuffle(self.layers[f"{trunk}up"](clamp_activation(r)), 2)
            r = r.contiguous(memory_format=torch.channels_last)
            for i in range(c.fine_blocks):
                r = self._block(f"{trunk}fine{i}", r)
            out: Tensor = F.pixel_shuffle(self.layers[f"{trunk}out"](clamp_activation(r)), 2)
            out = out + self.layers["linear"](z).view_as(out)
            half = 1 << (GRAY_BITS - 1)
            pixels = out.add_(half).mul_(1 / (1 << GRAY_BITS)).floor_().clamp_(0, 255)
            pixels = pixels.to(torch.uint8)[:, :, : c.height, : c.width]
            return pixels.permute(0, 2, 3, 1).contiguous()

    def _block(self, name: str, r: Tensor) -> Tensor:
        h = clamp_activation(r.clone(memory_format=torch.preserve_format))
        h = clamp_activation(self.layers[name + "a"](h))
        branch: Tensor = self.layers[name + "b"](h)
        return branch.add_(r)


def prove_decoder(c: AutoencoderConfig, layers: Mapping[str, LayerArrays]) -> None:
    """Prove the exact range (aez.md 9.3) of every layer and sum; ModelCorruptError if one fails."""
    largest = {}
    for name in layer_shapes(c):
        wide = name in ("linear", "dense1")
        largest[name] = prove_layer(
            f"layer {name}", layers[name], LATENT_MAX if wide else ACT_MAX, 53 if wide else 24
        )
    for trunk in c.trunks:
        for start, kind, blocks in (
            ("dense2", f"{trunk}coarse", c.coarse_blocks),
            (f"{trunk}up", f"{trunk}fine", c.fine_blocks),
        ):
            total = largest[start]
            for i in range(blocks):
                total += largest[f"{kind}{i}b"]
                _check_sum(f"layer {kind}{i}b", total, 24)
        _check_sum(f"layer {trunk}out", largest["linear"] + largest[f"{trunk}out"] + 8, 53)


def _check_sum(name: str, total: int, mantissa_bits: int) -> None:
    if total >= 1 << mantissa_bits:
        raise ModelCorruptError(
            f"{name}: its sum can reach {total}, the exact range ends at {1 << mantissa_bits}"
        )


def pad_images(images: np.ndarray, c: AutoencoderConfig) -> Tensor:
    """uint8 (N, H, W, C) -> float (N, C, H4, W4) in 0..1 (gray / 256), edges repeated."""
    x = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 256
    bottom, right = c.padded[0] - c.height, c.padded[1] - c.width
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
