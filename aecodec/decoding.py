"""Chunks to images: payloads unpacked once, networks run only as far as images are asked for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aecodec import refinement
from aecodec.container import (
    MODE_LATENTS_ZSTD,
    MODE_PIXELS_ANS,
    MODE_PIXELS_DEQUANTIZED,
    MODE_ZSTD,
    Chunk,
    SubPayload,
)
from aecodec.entropy import zstd
from aecodec.errors import AezCorruptError
from aecodec.nets.latent_layer import LatentLayer
from aecodec.nets.pixel_layer import Dequantizer, PixelLayer
from aecodec.quantizer import gains_at

Images = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]

PIXEL_MODES = (MODE_PIXELS_ANS, MODE_PIXELS_DEQUANTIZED)
TOGETHER_IMAGES = 4096  # of layer R, decoded side by side


class Layers(Protocol):
    """Where the networks come from; each raises ModelMissingError when it is not there."""

    def latent_layer(self) -> LatentLayer: ...
    def pixel_layer(self) -> PixelLayer: ...
    def dequantizer(self) -> Dequantizer: ...


class OpenChunk:
    """Random access within one chunk of images (H, W, C); ``where`` names it for errors."""

    def __init__(
        self, layers: Layers, chunk: Chunk, shape: tuple[int, int, int], where: str
    ) -> None:
        self.layers, self.chunk, self.shape, self.where = layers, chunk, shape, where
        self._assignment = np.frombuffer(chunk.assignment, np.uint8)
        self.counts = np.bincount(self._assignment, minlength=len(chunk.sub_payloads))
        # position of each image among those of its sub-payload
        self._position = np.empty(len(self._assignment), np.int64)
        for index, count in enumerate(self.counts):
            self._position[self._assignment == index] = np.arange(count)
        self.unpacked: dict[int, Images | Symbols] = {}

    def take(self, indices: npt.NDArray[np.intp]) -> Images:
        """Images (len(indices), H, W, C), indices within the chunk."""
        out = np.empty((len(indices), *self.shape), np.uint8)
        which = self._assignment[indices]
        for index in np.unique(which):
            here = which == index
            out[here] = self._decode(int(index), self._position[indices[here]])
        return out

    def _decode(self, index: int, positions: npt.NDArray[np.int64]) -> Images:
        sub = self.chunk.sub_payloads[index]
        if index not in self.unpacked:
            if sub.mode in PIXEL_MODES:
                unpack_pixels([self])
            else:
                self.unpacked[index] = self._unpack(sub, int(self.counts[index]))
        unpacked = self.unpacked[index][positions]
        if sub.mode != MODE_LATENTS_ZSTD:
            return unpacked  # type: ignore[return-value]
        layer = self.layers.latent_layer()
        return layer.synthesize(unpacked, gains_at(layer.gains, sub.parameter))  # type: ignore[arg-type]

    def _unpack(self, sub: SubPayload, count: int) -> Images | Symbols:
        if sub.mode == MODE_LATENTS_ZSTD:
            latents = self.layers.latent_layer().config.latents
            return zstd.unpack_symbols(sub.data, count, latents, self.where)
        nbytes = count * math.prod(self.shape)
        raw = sub.data
        if sub.mode == MODE_ZSTD:
            raw = zstd.decompress_bytes(raw, nbytes, self.where)
        if len(raw) != nbytes:
            raise AezCorruptError(f"{self.where}: {len(raw)} bytes stored, expected {nbytes}")
        return np.frombuffer(raw, np.uint8).reshape(count, *self.shape)


def unpack_pixels(chunks: Sequence[OpenChunk]) -> None:
    """Decode what layer R coded in chunks of one file, those of equal bounds side by side."""
    alike: dict[tuple[int, int], list[tuple[OpenChunk, int]]] = defaultdict(list)
    for chunk in chunks:
        for index, sub in enumerate(chunk.chunk.sub_payloads):
            if sub.mode in PIXEL_MODES and index not in chunk.unpacked:
                alike[sub.mode, sub.parameter].append((chunk, index))
    for (mode, bound), places in alike.items():
        layers = chunks[0].layers
        decoded = refinement.decode_payloads(
            layers.pixel_layer(),
            [chunk.chunk.sub_payloads[index].data for chunk, index in places],
            [int(chunk.counts[index]) for chunk, index in places],
            bound,
            [chunk.where for chunk, _ in places],
            layers.dequantizer() if mode == MODE_PIXELS_DEQUANTIZED else None,
        )
        for (chunk, index), images in zip(places, decoded, strict=True):
            chunk.unpacked[index] = images
