"""Decoded chunks, kept up to a number of bytes: those that were used last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Images, Indices
from aecodec.container.modes import MODES

if TYPE_CHECKING:
    from aecodec.codec.decode import OpenChunk


class DecodedChunk:
    """A chunk of images (H, W, C) and what has been decoded of it.

    A chunk with latents is decoded image by image, as images are asked for; others all at once.
    """

    def __init__(self, opened: OpenChunk, shape: tuple[int, int, int]) -> None:
        count = opened.chunk.image_count
        self._opened: OpenChunk | None = opened
        if any(MODES[sub.mode].holds_latents for sub in opened.chunk.sub_payloads):
            self._images = np.empty((count, *shape), np.uint8)
            self._left = np.ones(count, np.bool_)
        else:
            self._images = opened.all()
            self._finish()

    @property
    def nbytes(self) -> int:
        """The memory that it takes: images, and payload and symbols while they are needed."""
        if self._opened is None:
            return self._images.nbytes
        return self._images.nbytes + self._opened.nbytes

    def take(self, indices: Indices) -> Images:
        """Images (n, H, W, C) at these positions in the chunk."""
        if self._opened is not None:
            missing = np.unique(indices[self._left[indices]])
            if len(missing):
                self._images[missing] = self._opened.take(missing)
                self._left[missing] = False
                if not self._left.any():
                    self._finish()
        taken: Images = self._images[indices]
        return taken

    def _finish(self) -> None:
        """Nothing is left to decode: payload and symbols are not needed any more."""
        self._opened = None
        self._left = np.zeros(0, np.bool_)


class ChunkCache:
    """Decoded chunks by number; those used last, up to ``max_nbytes`` in all.

    A chunk's size changes as images are taken from it, so they are taken through the cache, which
    keeps the sum.
    """

    def __init__(self, max_nbytes: int) -> None:
        if max_nbytes < 0:
            raise ValueError(f"cache_nbytes is {max_nbytes}, expected 0 or more")
        self.max_nbytes = max_nbytes
        self.nbytes = 0  # of all chunks
        self._chunks: OrderedDict[int, tuple[DecodedChunk, int]] = OrderedDict()  # with its bytes

    def __contains__(self, number: int) -> bool:
        return number in self._chunks

    def take(self, number: int, indices: Indices) -> Images:
        """Images (n, H, W, C) of a chunk that is here, which counts as used now."""
        chunk, nbytes = self._chunks.pop(number)
        self.nbytes -= nbytes
        images = chunk.take(indices)
        self._insert(number, chunk)
        return images

    def put(self, number: int, chunk: DecodedChunk) -> None:
        """Keep a chunk; those used longest ago are dropped where there is no room for all."""
        self._insert(number, chunk)
        while self._chunks and self.nbytes > self.max_nbytes:
            _, (_, nbytes) = self._chunks.popitem(last=False)
            self.nbytes -= nbytes

    def clear(self) -> None:
        """Drop all chunks."""
        self._chunks.clear()
        self.nbytes = 0

    def _insert(self, number: int, chunk: DecodedChunk) -> None:
        nbytes = chunk.nbytes
        self._chunks[number] = chunk, nbytes
        self.nbytes += nbytes
