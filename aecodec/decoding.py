"""Chunks to images: payloads unpacked once, networks run only as far as images are asked for."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aecodec import latent_coding, refinement
from aecodec.container import (
    MODE_LATENTS_ANS,
    MODE_LATENTS_ZSTD,
    MODE_PIXELS_ANS,
    MODE_PIXELS_DEQUANTIZED,
    MODE_ZSTD,
    Chunk,
    SubPayload,
)
from aecodec.entropy import zstd
from aecodec.errors import AezCorruptError
from aecodec.models import DEQUANTIZER, LATENT_DECODER, LATENT_PRIOR, PIXEL_MODELS
from aecodec.nets.latent_layer import LatentLayer
from aecodec.nets.pixel_layer import Dequantizer
from aecodec.nets.prior_layer import PriorLayer
from aecodec.quantizer import gains_at
from aecodec.refinement import Refiner

Images = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]

LATENT_MODES = (MODE_LATENTS_ZSTD, MODE_LATENTS_ANS)
ANS_MODES = (MODE_LATENTS_ANS, MODE_PIXELS_ANS, MODE_PIXELS_DEQUANTIZED)
TOGETHER_IMAGES = 4096  # whose ANS payloads are decoded side by side
OFTEN = 8  # asked so often for images of a chunk, symbols are all unpacked
TOGETHER_NBYTES = 16 << 20  # of symbols, if they are no more


def parts_needed(mode: int) -> tuple[tuple[str, ...], ...]:
    """The parts that a mode needs, each as the names that will do (aez.md 7)."""
    return _PARTS_NEEDED.get(mode, ())


_PARTS_NEEDED: dict[int, tuple[tuple[str, ...], ...]] = {
    MODE_LATENTS_ZSTD: ((LATENT_DECODER,),),
    MODE_LATENTS_ANS: ((LATENT_DECODER,), (LATENT_PRIOR,)),
    MODE_PIXELS_ANS: (PIXEL_MODELS,),
    MODE_PIXELS_DEQUANTIZED: (PIXEL_MODELS, (DEQUANTIZER,)),
}


class Layers(Protocol):
    """Where the networks come from; each raises ModelMissingError when it is not there."""

    def latent_layer(self) -> LatentLayer: ...
    def latent_prior(self) -> PriorLayer: ...
    def refiner(self) -> Refiner: ...
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
        self._asked: Counter[int] = Counter()  # how often, of symbols still packed
        self.unpacked: dict[int, Images | Symbols | zstd.PackedSymbols] = {}

    def take(self, indices: npt.NDArray[np.intp]) -> Images:
        """Images (len(indices), H, W, C), indices within the chunk."""
        if len(self.counts) == 1:
            return self._decode(0, indices)
        out = np.empty((len(indices), *self.shape), np.uint8)
        which = self._assignment[indices]
        for index in np.unique(which):
            here = which == index
            out[here] = self._decode(int(index), self._position[indices[here]])
        return out

    def latents(
        self, indices: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """Dequantized latents (n, D) of those of these images that have any, and which do (n,)."""
        found = np.zeros(len(indices), np.bool_)
        rows: list[npt.NDArray[np.int32]] = []
        for i, image in enumerate(indices):
            index = int(self._assignment[image])
            sub = self.chunk.sub_payloads[index]
            if sub.mode in LATENT_MODES:
                if index not in self.unpacked:
                    self._decode(index, self._position[image : image + 1])
                gains = gains_at(self.layers.latent_layer().gains, sub.parameter)
                rows.append(self._rows(index, self._position[image : image + 1])[0] * gains)
                found[i] = True
        return np.array(rows, np.int32), found

    def _decode(self, index: int, positions: npt.NDArray[np.int64]) -> Images:
        sub = self.chunk.sub_payloads[index]
        if index not in self.unpacked:
            if sub.mode in ANS_MODES:
                unpack_together([self])
            else:
                self.unpacked[index] = self._unpack(sub, int(self.counts[index]))
        if sub.mode not in LATENT_MODES:
            return self._rows(index, positions)  # type: ignore[return-value]
        layer = self.layers.latent_layer()
        out = np.empty((len(positions), *self.shape), np.uint8)
        for start in range(0, len(positions), TOGETHER_IMAGES):
            some = slice(start, start + TOGETHER_IMAGES)
            out[some] = layer.synthesize(self._rows(index, positions[some]), sub.parameter)  # type: ignore[arg-type]
        return out

    def _rows(self, index: int, positions: npt.NDArray[np.int64]) -> Images | Symbols:
        unpacked = self.unpacked[index]
        if not isinstance(unpacked, zstd.PackedSymbols):
            return unpacked[positions]
        self._asked[index] += 1
        if self._asked[index] < OFTEN or unpacked.symbols_nbytes > TOGETHER_NBYTES:
            return unpacked.take(positions)
        symbols = unpacked.take(np.arange(self.counts[index]))
        self.unpacked[index] = symbols
        return symbols[positions]

    def _unpack(self, sub: SubPayload, count: int) -> Images | zstd.PackedSymbols:
        if sub.mode == MODE_LATENTS_ZSTD:
            latents = self.layers.latent_layer().config.latents
            return zstd.PackedSymbols(sub.data, count, latents, self.where)
        nbytes = count * math.prod(self.shape)
        raw = sub.data
        if sub.mode == MODE_ZSTD:
            raw = zstd.decompress_bytes(raw, nbytes, self.where)
        if len(raw) != nbytes:
            raise AezCorruptError(f"{self.where}: {len(raw)} bytes stored, expected {nbytes}")
        return np.frombuffer(raw, np.uint8).reshape(count, *self.shape)


def unpack_together(chunks: Sequence[OpenChunk]) -> None:
    """Decode the ANS payloads in chunks of one file, alike ones side by side."""
    alike: dict[tuple[int, int], list[tuple[OpenChunk, int]]] = defaultdict(list)
    for chunk in chunks:
        for index, sub in enumerate(chunk.chunk.sub_payloads):
            if sub.mode in ANS_MODES and index not in chunk.unpacked:
                alike[sub.mode, sub.parameter].append((chunk, index))
    for (mode, parameter), places in alike.items():
        payloads = [chunk.chunk.sub_payloads[index].data for chunk, index in places]
        counts = [int(chunk.counts[index]) for chunk, index in places]
        where = [chunk.where for chunk, _ in places]
        layers = chunks[0].layers
        decoded: Sequence[Any]  # images, or symbols
        if mode == MODE_LATENTS_ANS:
            prior = layers.latent_prior()
            decoded = latent_coding.unpack_latents(prior, payloads, counts, parameter, where)
        else:
            mover = layers.dequantizer() if mode == MODE_PIXELS_DEQUANTIZED else None
            decoded = refinement.decode_payloads(
                layers.refiner(), payloads, counts, parameter, where, mover
            )
        for place, (chunk, index) in enumerate(places):
            chunk.unpacked[index] = decoded[place]
