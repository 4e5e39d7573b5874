"""The underlay of a pixel model: images that layer L decodes from a few latents (aez.md 11.8).

The pixel model sees the underlay where pixels are not known yet. A payload holds the symbols of
the latents first, group by group, then the planes of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Bits, Images, Planes, Symbols
from aecodec.entropy import ans
from aecodec.latents.coders import AnsCoder
from aecodec.latents.symbols import ChunkLatents
from aecodec.pixels.planes import split

if TYPE_CHECKING:
    from aecodec.latents.layer import LatentNetworks
    from aecodec.latents.prior import PriorNetwork


@dataclass(frozen=True, eq=False)
class CodedUnderlay:
    """The underlay of N images, as planes (N, P, R, S), and the bits (N,) that it costs.

    ``intervals`` has an array int32 (2, N, n) for each group of latents.
    """

    planes: Planes
    intervals: tuple[ans.Intervals, ...]
    bits: Bits


class Underlay:
    """Layer L at one stored quality, its symbols coded under the prior.

    Encoding does not search for better latents: that would take fourteen times as long, and save
    one byte of 500.
    """

    def __init__(self, latents: LatentNetworks, prior: PriorNetwork, stored_quality: int) -> None:
        self.stored_quality = stored_quality
        self._latents, self._prior = latents, prior

    @property
    def latents(self) -> int:
        """How many latents an image has."""
        return self._latents.config.latents

    def code(self, images: Images) -> CodedUnderlay:
        """The underlay of images (N, H, W, C), and its bits."""
        return self.code_symbols(self._symbols(images))

    def code_symbols(self, symbols: Symbols) -> CodedUnderlay:
        """The underlay of images whose latents have these symbols (N, D)."""
        intervals = AnsCoder(self._prior).intervals(symbols, self.stored_quality)
        bits = np.sum([ans.cost_bits(each).sum(axis=1) for each in intervals], axis=0)
        return CodedUnderlay(split(self._synthesize(symbols)), tuple(intervals), bits)

    def rebuild(self, images: Images) -> Images:
        """The underlay of images (N, H, W, C), as images of their shape."""
        return self._synthesize(self._symbols(images))

    def decode(self, decoder: ans.StreamDecoder, counts: Sequence[int], where: str) -> Planes:
        """The underlay's planes (N, P, R, S), from latents that come next in the streams."""
        symbols = AnsCoder(self._prior).decode(decoder, counts, self.stored_quality, where)
        return split(self._synthesize(symbols))

    def _symbols(self, images: Images) -> Symbols:
        """The symbols (N, D) of images; zeros where symbols are out of range."""
        coder = AnsCoder(self._prior)
        latents = ChunkLatents(images, self._latents, coder)
        found, where = latents.at(self.stored_quality)
        symbols = np.zeros((len(images), self._latents.config.latents), np.int16)
        symbols[where] = found
        return symbols

    def _synthesize(self, symbols: Symbols) -> Images:
        return self._latents.synthesize(symbols, self.stored_quality)
