"""Layer L: the integer-exact decoder of latents (clause 9 of aez.md).

    x -> Encoder -> y -> (step of the quality, rounding) -> symbols -> ExactDecoder -> x_hat

The decoder is a sum of two paths: a linear one from the latents to all pixels, and a convolutional
trunk, which starts as a dense layer at a quarter of the resolution and is upsampled twice by pixel
shuffle. A model may have a second trunk for low qualities, whose few symbols need other details.
The encoder pads images to a multiple of 4 by repeating their edges; the decoder crops its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.errors import ModelCorruptError
from aecodec.nets.exactness import exact_matmul
from aecodec.nets.layers import ACT_MAX, ExactLayer, LayerArrays, clamp_activation, prove_layer
from aecodec.targets import QUALITY_UNIT

# The float side works in units of 256 gray levels, so pixels are 0..1 and weights near 1.
LATENT_BITS = 11  # y_hat is an integer in units of 1/8 gray level
LATENT_MAX = 32767
PIXEL_BITS = 12  # both paths end in units of 1/16 gray level
GRAY_BITS = PIXEL_BITS - 8
LOW = "low_"  # how the names of the layers of the trunk for low qualities begin
NEW_LOW_BELOW = 7 * QUALITY_UNIT // 2  # in new models, that trunk is for qualities below 3.5


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shapes of layer L: ``height``, ``width`` and ``channels`` of images, and widths of layers."""

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
    low_below: int = 0  # the low trunk is for stored qualities below this; 0: there is none

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the coarse grid: the padded image over 4."""
        return -(-self.height // 4), -(-self.width // 4)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the padded image."""
        return self.grid[0] * 4, self.grid[1] * 4

    def decoding(self) -> dict[str, int]:
        """The config of the part: what decoding reads, and so what the fingerprint covers.

        ``low_below`` is a tensor of the part instead.
        """
        return {k: v for k, v in asdict(self).items() if k not in ("encoder", "low_below")}

    @property
    def widest(self) -> int:
        """How many numbers the widest layer of the decoder gives for one image."""
        cells = self.grid[0] * self.grid[1]
        largest = max(self.coarse, 4 * self.fine, 16 * self.channels)
        return max(cells * largest, self.hidden, self.latents)

    def is_low(self, stored_quality: int) -> bool:
        """Whether images of this quality are decoded by the low trunk."""
        return stored_quality < self.low_below

    @property
    def trunks(self) -> tuple[str, ...]:
        """What the names of each trunk's layers begin with."""
        return ("", LOW) if self.low_below else ("",)

    @classmethod
    def for_shape(cls, height: int, width: int, channels: int) -> AutoencoderConfig:
        """Default widths: a decoder of 0.6 MB at 28x28 gray, other shapes in proportion."""
        cells = -(-height // 4) * -(-width // 4)
        samples = height * width * channels
        latents = min(128 if samples <= 1024 else 192, max(16, samples // 4))
        coarse = 32 if cells <= 64 else 16
        return cls(height, width, channels, latents, 216, coarse, 16, low_below=NEW_LOW_BELOW)


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


class ExactDecoder(nn.Module):
    """Integer decoder on a torch device: symbols and gains to uint8 images.

    ModelCorruptError for layers that cannot be proven to decode exactly.
    """

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
        """Integer symbols (N, D) and gains (N, D) or (D,) -> images uint8 (N, H, W, C).

        ``low`` takes the low trunk.
        """
        c, trunk = self.config, LOW if low else ""
        with exact_matmul(symbols.device):
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
    """Prove the exact range (aez.md 9.3) of every layer and sum.

    ModelCorruptError names the layer whose proof fails.
    """
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
