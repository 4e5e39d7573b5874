"""What a pixel model may stand on: images rebuilt from a few latents, coded with them (aez.md 11.8).

The latents' symbols come first in the payload, group by group, then the pixels' planes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.entropy import ans
from aecodec.latent_coding import AnsCoder, decode_symbols
from aecodec.latent_symbols import ChunkLatents

if TYPE_CHECKING:
    from aecodec.nets.latent_layer import LatentLayer
    from aecodec.nets.pixel_layer import PixelLayer
    from aecodec.nets.prior_layer import PriorLayer

Images = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Laid:
    """Of some images the planes (N, P, R, S) that lie under theirs, and what these cost.

    ``intervals`` are int32 (2, N, n), one for each group of latents; ``bits`` (N,).
    """

    planes: Images
    intervals: tuple[ans.Intervals, ...]
    bits: npt.NDArray[np.float64]


class Underlay:
    """Layer L at one stored quality, under its prior; searched for ``steps`` steps at encoding.

    ``lmbda`` gives the weight of squared error against bpp at a stored quality.
    """

    def __init__(
        self,
        latents: LatentLayer,
        prior: PriorLayer,
        quality: int,
        *,
        steps: int = 0,
        lmbda: Callable[[int], float] = lambda stored: 0.0,
    ) -> None:
        self.quality = quality
        self._latents, self._prior = latents, prior
        self._steps, self._lmbda = steps, lmbda

    def lay(self, images: Images, pixels: PixelLayer) -> Laid:
        """What lies under images (N, H, W, C), as planes, and its price."""
        return self.lay_symbols(self._symbols(images), pixels)

    def lay_symbols(self, symbols: Symbols, pixels: PixelLayer) -> Laid:
        """The same for images whose latents are these symbols (N, D)."""
        intervals = AnsCoder(self._prior).intervals(symbols, self.quality)
        bits = np.sum([ans.cost_bits(each).sum(axis=1) for each in intervals], axis=0)
        return Laid(pixels.split(self._synthesize(symbols)), tuple(intervals), bits)

    def rebuild(self, images: Images) -> Images:
        """What lies under images (N, H, W, C), of the same shape."""
        return self._synthesize(self._symbols(images))

    def decode(
        self, decoder: ans.StreamDecoder, counts: Sequence[int], where: str, pixels: PixelLayer
    ) -> Images:
        """The planes (N, P, R, S) under the images of streams, whose latents come next in them."""
        symbols = decode_symbols(decoder, self._prior, counts, self.quality, where)
        return pixels.split(self._synthesize(symbols))

    def _symbols(self, images: Images) -> Symbols:
        """The images' latents (N, D), zeros where they cannot be coded."""
        coder = AnsCoder(self._prior)
        latents = ChunkLatents(images, self._latents, coder, steps=self._steps, lmbda=self._lmbda)
        found, where = latents.at(self.quality)
        symbols = np.zeros((len(images), self._latents.config.latents), np.int16)
        symbols[where] = found
        return symbols

    def _synthesize(self, symbols: Symbols) -> Images:
        return self._latents.synthesize(symbols, self.quality)
