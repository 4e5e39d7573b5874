"""Batches in random order that respect the chunks of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

from aecodec.arrays import Indices

WINDOW_IMAGES, WINDOW_NBYTES = 8192, 64 << 20
PIECES = 8  # for each worker, of a file of few chunks


class ChunkedImages(Protocol):
    """What the sampler asks of a data set: an :class:`AezDataset`."""

    chunk_images: int
    image_shape: tuple[int, int, int]

    def __len__(self) -> int: ...


class ChunkBatchSampler(Sampler[list[int]]):
    """Batches in random order, such that each chunk is decoded once in an epoch.

    Chunks come in random order, are pooled to windows of about 8192 images (64 MiB at most), and
    within a window images are shuffled. With the loader's number of ``workers``, each chunk goes
    to one worker alone, the same in every epoch. Every epoch has an order of its own, which
    ``seed`` and ``set_epoch`` fix. Without ``shuffle``, images come in the file's order.
    """

    def __init__(
        self,
        dataset: ChunkedImages,
        batch_size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        workers: int = 1,
        window_images: int | None = None,
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.seed, self.epoch = seed, 0
        self._count, self._chunk_images = len(dataset), dataset.chunk_images
        self._streams = max(1, workers) if shuffle else 1
        if self._count < self._chunk_images * self._streams:
            # Fewer chunks than workers, as of latents: each takes its share of the images, and
            # decodes no others; what is a chunk from here on is a piece of one.
            self._chunk_images = max(1, self._count // (PIECES * self._streams))
        self._chunks = -(-self._count // self._chunk_images)
        most = max(1, WINDOW_NBYTES // math.prod(dataset.image_shape))
        self._window = window_images or min(WINDOW_IMAGES, most)
        # Batches go to workers in turn, and so do streams. A chunk stays with its worker from
        # epoch to epoch, whose cache may still hold it.
        numbers = np.arange(self._chunks)
        order = np.random.default_rng(seed).permutation(numbers) if shuffle else numbers
        self._dealt = [order[i :: self._streams] for i in range(self._streams)]

    def set_epoch(self, epoch: int) -> None:
        """The order of the next iteration; it counts on from there."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self._batch_count(sum(map(self._size, chunks))) for chunks in self._dealt)

    def _batch_count(self, images: int) -> int:
        """How many batches these images make."""
        return images // self.batch_size if self.drop_last else -(-images // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        rng = np.random.default_rng((self.seed, epoch))
        orders = [rng.permutation(c) if self.shuffle else c for c in self._dealt]
        streams = [self._batches(chunks, rng) for chunks in orders]
        while streams:
            for stream in list(streams):
                batch = next(stream, None)
                if batch is None:
                    streams.remove(stream)
                else:
                    yield batch

    def _size(self, chunk: int) -> int:
        """How many images a chunk has."""
        return min(self._chunk_images, self._count - int(chunk) * self._chunk_images)

    def _batches(self, chunks: Indices, rng: np.random.Generator) -> Iterator[list[int]]:
        """The batches of some chunks, in this order."""
        kept = np.empty(0, np.intp)
        for window in self._windows(chunks):
            if self.shuffle:
                rng.shuffle(window)
            kept = np.concatenate([kept, window])
            whole = len(kept) - len(kept) % self.batch_size
            for start in range(0, whole, self.batch_size):
                yield kept[start : start + self.batch_size].tolist()
            kept = kept[whole:]
        if len(kept) and not self.drop_last:
            yield kept.tolist()

    def _windows(self, chunks: Indices) -> Iterator[Indices]:
        """Indices of the images of some chunks at a time, about a window full."""
        pooled: list[Indices] = []
        images = 0
        for chunk in chunks:
            start, size = int(chunk) * self._chunk_images, self._size(int(chunk))
            pooled.append(np.arange(start, start + size))
            images += size
            if images >= self._window:
                yield np.concatenate(pooled)
                pooled, images = [], 0
        if pooled:
            yield np.concatenate(pooled)
