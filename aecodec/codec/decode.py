"""Chunks to images, by the mode of each sub-payload.

A payload is unpacked once. Layer L's decoder runs for the images that are asked for, and no others.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images, Indices
from aecodec.container import Chunk
from aecodec.container.modes import MODES, PIXELS_DEQUANTIZED, ZSTD, Mode
from aecodec.entropy import zstd
from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.locks import ForkLock
from aecodec.latents.coders import CODERS_BY_MODE, SYMBOL_NBYTES, LatentSource
from aecodec.latents.quantizer import gains_at
from aecodec.latents.rows import SymbolRows
from aecodec.limits import DEFAULT_LIMITS
from aecodec.pixels.layer import Dequantizer
from aecodec.pixels.payloads import Refiner, decode_payloads

TOGETHER_IMAGES = 4096  # whose latents are decoded at once


class NetworkSource(LatentSource, Protocol):
    """Where a chunk gets its networks; each method raises ModelMissingError if there is none."""

    def refiner(self) -> Refiner:
        """The pixel model, and its underlay if it has one."""

    def dequantizer(self) -> Dequantizer:
        """The network that moves pixels inside their quantization cells."""


class OpenChunk:
    """Random access within one chunk of images (H, W, C); ``where`` names it for errors.

    Threads may share it.
    """

    def __init__(
        self,
        networks: NetworkSource,
        chunk: Chunk,
        shape: tuple[int, int, int],
        where: str,
        max_memory_nbytes: int = DEFAULT_LIMITS.max_memory_nbytes,
    ) -> None:
        self.networks, self.chunk, self.shape, self.where = networks, chunk, shape, where
        self.max_memory_nbytes = max_memory_nbytes
        self._assignment = np.frombuffer(chunk.assignment, np.uint8)
        self.counts = np.bincount(self._assignment, minlength=len(chunk.sub_payloads))
        self.unpacked: dict[int, Images | SymbolRows] = {}  # by sub-payload
        self._lock = ForkLock()  # of what is unpacked

    @property
    def nbytes(self) -> int:
        """The memory that the payloads and what is unpacked of them take."""
        payload = sum(len(sub.data) for sub in self.chunk.sub_payloads)
        return payload + sum(rows.nbytes for rows in list(self.unpacked.values()))

    def take(self, indices: Indices) -> Images:
        """The images at these positions of the chunk, (len(indices), H, W, C)."""
        if len(self.counts) == 1:
            return self._decode(0, indices)
        out = np.empty((len(indices), *self.shape), np.uint8)
        which = self._assignment[indices]
        for index in np.unique(which):
            here = which == index
            out[here] = self._decode(int(index), self._position[indices[here]])
        return out

    def all(self) -> Images:
        """All images (n, H, W, C); AezCorruptError if they do not have the chunk's hash."""
        images = self._all()
        digest = hashlib.sha256(images.data).digest()
        if digest != self.chunk.pixels_sha256:
            raise AezCorruptError(
                f"{self.where}: decoded pixels have sha256 {digest.hex()}, "
                f"expected {self.chunk.pixels_sha256.hex()}"
            )
        return images

    def _all(self) -> Images:
        """All images, a new array; no position is made for each where they are stored as pixels."""
        if len(self.counts) == 1:
            return self._whole(0)
        out = np.empty((self.chunk.image_count, *self.shape), np.uint8)
        for index in range(len(self.counts)):
            out[self._assignment == index] = self._whole(index)
        return out

    def _whole(self, index: int) -> Images:
        """All images of a sub-payload, a new array."""
        if MODES[self.chunk.sub_payloads[index].mode].holds_latents:
            return self._decode(index, np.arange(self.counts[index]))
        return self._take(index, slice(None)).copy()

    @cached_property
    def _position(self) -> npt.NDArray[np.int64]:
        """The position of each image among those of its sub-payload."""
        position = np.arange(len(self._assignment))
        for index, count in enumerate(self.counts if len(self.counts) > 1 else ()):
            position[self._assignment == index] = np.arange(count)
        return position

    def latents(self, indices: Indices) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """Dequantized latents (m, D) of those of n images that have any, and which have, (n,)."""
        found = np.zeros(len(indices), np.bool_)
        rows: list[npt.NDArray[np.int32]] = []
        for i, image in enumerate(indices):
            index = int(self._assignment[image])
            sub = self.chunk.sub_payloads[index]
            if MODES[sub.mode].holds_latents:
                gains = gains_at(self.networks.latents().gains, sub.parameter)
                rows.append(self._take(index, self._position[image : image + 1])[0] * gains)
                found[i] = True
        return np.array(rows, np.int32), found

    def _decode(self, index: int, positions: npt.NDArray[np.int64]) -> Images:
        """The images at these positions of a sub-payload."""
        sub = self.chunk.sub_payloads[index]
        if not MODES[sub.mode].holds_latents:
            return self._take(index, positions)
        networks = self.networks.latents()
        out = np.empty((len(positions), *self.shape), np.uint8)
        for start in range(0, len(positions), TOGETHER_IMAGES):
            some = slice(start, start + TOGETHER_IMAGES)
            out[some] = networks.synthesize(self._take(index, positions[some]), sub.parameter)
        return out

    def _take(self, index: int, positions: npt.NDArray[np.int64] | slice) -> npt.NDArray[Any]:
        """The images or symbols at these positions of a sub-payload."""
        with self._lock:
            if index not in self.unpacked:
                _unpack([(self, index)])
            rows = self.unpacked[index]
            if isinstance(rows, np.ndarray):
                taken: npt.NDArray[Any] = rows[positions]
            else:
                taken = rows.take(np.arange(self.counts[index])[positions])
        return taken


Place = tuple[OpenChunk, int]  # a chunk, and the number of one of its sub-payloads


def unpack_together(chunks: Sequence[OpenChunk]) -> None:
    """Decode the ANS payloads of chunks of one file, alike ones side by side.

    Those of one mode and parameter are alike. Where their latents together take too much memory,
    each is left to be decoded alone.
    """
    alike: dict[tuple[int, int], list[Place]] = defaultdict(list)
    for opened in chunks:
        for index, sub in enumerate(opened.chunk.sub_payloads):
            if MODES[sub.mode].is_under_ans and index not in opened.unpacked:
                alike[sub.mode, sub.parameter].append((opened, index))
    for places in alike.values():
        if _symbols_nbytes(places) <= places[0][0].max_memory_nbytes:
            _unpack(places)


def _unpack(places: Sequence[Place]) -> None:
    """Unpack sub-payloads of one mode and parameter, of chunks of one file."""
    subs = [opened.chunk.sub_payloads[index] for opened, index in places]
    payloads = [sub.data for sub in subs]
    counts = [int(opened.counts[index]) for opened, index in places]
    where = [opened.where for opened, _ in places]
    first, mode, parameter = places[0][0], MODES[subs[0].mode], subs[0].parameter
    unpacked: Sequence[Images | SymbolRows]
    require_memory(_symbols_nbytes(places), first.max_memory_nbytes, first.where)
    if mode.holds_latents:
        coder = CODERS_BY_MODE[mode.number].of(first.networks)
        unpacked = coder.unpack(payloads, counts, parameter, where)
    elif mode.is_bounded:
        dequantizer = first.networks.dequantizer() if mode is PIXELS_DEQUANTIZED else None
        unpacked = decode_payloads(
            first.networks.refiner(), payloads, counts, parameter, first.shape, where, dequantizer
        )
    else:
        unpacked = [
            _stored_pixels(payload, (count, *first.shape), name, packed=mode is ZSTD)
            for payload, count, name in zip(payloads, counts, where, strict=True)
        ]
    for (opened, index), rows in zip(places, unpacked, strict=True):
        opened.unpacked[index] = rows


def _symbols_nbytes(places: Sequence[Place]) -> int:
    opened, index = places[0]
    count = sum(int(opened.counts[index]) for opened, index in places)
    return symbols_nbytes(opened.networks, MODES[opened.chunk.sub_payloads[index].mode], count)


def symbols_nbytes(networks: NetworkSource, mode: Mode, image_count: int) -> int:
    """The bytes that the latents of images take while their payload is decoded, which is whole.

    Those under zstd are unpacked when they are taken, and count nothing.
    """
    latents = 0
    if mode.holds_latents and mode.is_under_ans:
        latents = networks.latents().config.latents
    elif mode.is_bounded and (underlay := networks.refiner().underlay):
        latents = underlay.latents
    return SYMBOL_NBYTES * latents * image_count


def require_memory(nbytes: int, most: int, where: str) -> None:
    """AezLimitError for more bytes of latents than ``max_memory_nbytes``."""
    if nbytes > most:
        raise AezLimitError(
            f"{where}: {nbytes} bytes of latents under ANS, max_memory_nbytes allows {most}"
        )


def _stored_pixels(
    payload: bytes, shape: tuple[int, int, int, int], where: str, *, packed: bool
) -> Images:
    """Pixels that are stored as they are, or under zstd if ``packed``."""
    nbytes = math.prod(shape)
    raw = zstd.decompress_bytes(payload, nbytes, where) if packed else payload
    if len(raw) != nbytes:
        raise AezCorruptError(f"{where}: {len(raw)} bytes stored, expected {nbytes}")
    return np.frombuffer(raw, np.uint8).reshape(shape)
