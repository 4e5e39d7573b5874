"""Decoded chunks, kept up to a number of bytes: those that were used last. Threads share them."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Images, Indices
from aecodec.container.modes import MODES
from aecodec.io.locks import ForkLock

if TYPE_CHECKING:
    from aecodec.codec.decode import OpenChunk


class DecodedChunk:
    """A chunk of images (H, W, C) and what has been decoded of it.

    A chunk with latents is decoded image by image, as images are asked for; others all at once.
    One thread at a time decodes.
    """

    def __init__(self, opened: OpenChunk, shape: tuple[int, int, int]) -> None:
        count = opened.chunk.image_count
        self._lock = ForkLock()
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
        opened = self._opened
        return self._images.nbytes + (0 if opened is None else opened.nbytes)

    def take(self, indices: Indices) -> Images:
        """Images (n, H, W, C) at these positions in the chunk."""
        if self._opened is not None:
            with self._lock:
                self._decode(indices)
        taken: Images = self._images[indices]
        return taken

    def _decode(self, indices: Indices) -> None:
        """Decode those of these images that are not decoded yet."""
        if self._opened is None:
            return
        missing = np.unique(indices[self._left[indices]])
        if len(missing):
            self._images[missing] = self._opened.take(missing)
            self._left[missing] = False
            if not self._left.any():
                self._finish()

    def _finish(self) -> None:
        """Nothing is left to decode: payload and symbols are not needed any more."""
        self._opened = None
        self._left = np.zeros(0, np.bool_)


class Claim:
    """A chunk that one thread is decoding; other threads that need it wait for this one."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._chunk: DecodedChunk | None = None

    def finish(self, chunk: DecodedChunk | None) -> None:
        """The chunk, for those that wait; None where it could not be decoded."""
        self._chunk = chunk
        self._done.set()

    def result(self) -> DecodedChunk | None:
        """The chunk, once the other thread has it; None where that failed."""
        self._done.wait()
        return self._chunk


class ChunkCache:
    """Decoded chunks by number; those used last, up to ``max_nbytes`` in all.

    Threads share it: its own lock is held for moments, and never while anything is decoded. A
    forked child keeps what was decoded before.
    """

    def __init__(self, max_nbytes: int) -> None:
        if max_nbytes < 0:
            raise ValueError(f"cache_nbytes is {max_nbytes}, expected 0 or more")
        self.max_nbytes = max_nbytes
        self.nbytes = 0  # of all chunks
        self._chunks: OrderedDict[int, tuple[DecodedChunk, int]] = OrderedDict()  # with its bytes
        self._claims: dict[int, Claim] = {}  # of the chunks that are being decoded
        self._lock, self._pid = ForkLock(), os.getpid()

    def __len__(self) -> int:
        return len(self._chunks)

    def claim(
        self, numbers: Iterable[int]
    ) -> tuple[dict[int, DecodedChunk], dict[int, Claim], dict[int, Claim]]:
        """The chunks that are here, the caller's claims to others, and those of other threads.

        The caller decodes what it has claimed, and calls ``put`` or ``give_up`` for each.
        """
        here: dict[int, DecodedChunk] = {}
        mine: dict[int, Claim] = {}
        others: dict[int, Claim] = {}
        with self._lock:
            self._start_anew_after_fork()
            for number in numbers:
                if number in self._chunks:
                    self._chunks.move_to_end(number)
                    here[number] = self._chunks[number][0]
                elif number in self._claims:
                    others[number] = self._claims[number]
                else:
                    mine[number] = self._claims[number] = Claim()
        return here, mine, others

    def put(self, number: int, chunk: DecodedChunk) -> None:
        """Keep a chunk that the caller claimed, where there is room, and hand it to who waits."""
        with self._lock:
            self._chunks[number] = chunk, 0
            self._measure(number, chunk)
            claim = self._claims.pop(number, None)
        if claim is not None:
            claim.finish(chunk)

    def give_up(self, claims: Mapping[int, Claim]) -> None:
        """End those of the caller's claims for which nothing was put: who waits tries by itself."""
        with self._lock:
            failed = [n for n, claim in claims.items() if self._claims.get(n) is claim]
            for number in failed:
                del self._claims[number]
        for number in failed:
            claims[number].finish(None)

    def measure(self, number: int, chunk: DecodedChunk) -> None:
        """Count a chunk's bytes anew, after images were taken from it."""
        with self._lock:
            self._measure(number, chunk)

    def clear(self) -> None:
        """Drop all chunks."""
        with self._lock:
            self._chunks.clear()
            self.nbytes = 0

    def _measure(self, number: int, chunk: DecodedChunk) -> None:
        """Count a chunk's bytes; those used longest ago are dropped where there is no room."""
        kept, before = self._chunks.get(number, (None, 0))
        if kept is chunk:
            after = chunk.nbytes
            self._chunks[number] = chunk, after
            self.nbytes += after - before
            while self._chunks and self.nbytes > self.max_nbytes:
                _, (_, nbytes) = self._chunks.popitem(last=False)
                self.nbytes -= nbytes

    def _start_anew_after_fork(self) -> None:
        """Forget the claims of threads that are not in this process, and count all bytes anew."""
        if self._pid != os.getpid():
            self._claims = {}
            self.nbytes = sum(nbytes for _, nbytes in self._chunks.values())
            self._pid = os.getpid()

    def __reduce__(self) -> tuple[type[ChunkCache], tuple[int]]:
        """Without what was decoded."""
        return ChunkCache, (self.max_nbytes,)
