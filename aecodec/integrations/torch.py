"""An ``.aez`` as a PyTorch data set: decoded chunk by chunk, shuffled with respect for chunks.

dataset = AezDataset("digits.aez", transform=lambda x: x.float() / 255)
sampler = ChunkBatchSampler(dataset, 128, workers=2)
loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, persistent_workers=True)
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from aecodec.archive.array import Archive
from aecodec.container.modes import MODES

if TYPE_CHECKING:
    from aecodec.codec.decode import OpenChunk
    from aecodec.models.model import Model

CACHE_NBYTES = 256 << 20
WINDOW_IMAGES, WINDOW_NBYTES = 8192, 64 << 20
PIECES = 8  # for each worker, of a file of few chunks


class AezDataset(Dataset[Any]):
    """The images of an ``.aez`` file, uint8 tensors (C, H, W), each with its label.

    ``labels`` names the column to take for labels; True is the file's own, if it has one, and then
    an item is (image, label); otherwise it is the image alone. ``transform`` is applied to each
    image, ``target_transform`` to each label. Decoded chunks are kept up to ``cache_nbytes``, in
    each worker; of chunks of latents only the images asked for are decoded. ``source`` is a path
    or bytes, ``model`` as in ``aecodec.open``. It pickles, and may be used after a fork.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        labels: bool | str = True,
        transform: Callable[[torch.Tensor], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        cache_nbytes: int = CACHE_NBYTES,
        model: Model | str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(source, str | os.PathLike | bytes):
            raise TypeError(f"source: expected a path or bytes, found {type(source).__name__}")
        self.source, self.model = source, model
        self.transform, self.target_transform = transform, target_transform
        self._cache = _Cache(cache_nbytes)
        self._archive: Archive | None = None
        self._opened_by = 0  # a process: a file handle is not to be shared over a fork
        with Archive(source, model=model) as archive:
            self.classes = archive.classes
            self.labels = _labels_of(archive, labels)
            self.chunk_images = archive.reader.header.chunk_images
            self.image_shape = archive.image_shape
            self._count = len(archive)

    @property
    def archive(self) -> Archive:
        """The open file, this process's own."""
        if self._archive is None or self._opened_by != os.getpid():
            inherited = self._archive
            codec = inherited.codec if inherited is not None else None
            self._archive = Archive(self.source, model=self.model, codec=codec)
            if inherited is not None:
                inherited.close()
            self._opened_by = os.getpid()
        return self._archive

    def close(self) -> None:
        """Close the file and drop what was decoded; the next access opens it again."""
        self._cache.clear()
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def __del__(self) -> None:
        if getattr(self, "_archive", None) is not None:  # none of it after a failed __init__
            self.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401  # what the transforms make
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items at these indices; each chunk they touch is decoded once."""
        asked = np.asarray(indices, np.intp)
        if len(asked) and not (-self._count <= asked.min() and asked.max() < self._count):
            raise IndexError(f"image {int(asked.max())}, the file holds {self._count}")
        asked %= max(self._count, 1)
        batch = torch.from_numpy(self._take(asked)).permute(0, 3, 1, 2).contiguous()
        images: Sequence[Any] = batch.unbind()
        if self.transform is not None:
            images = [self.transform(image) for image in images]
        if self.labels is None:
            return list(images)
        labels = self.labels[asked].tolist()
        if self.target_transform is not None:
            labels = [self.target_transform(label) for label in labels]
        return list(zip(images, labels, strict=True))

    def _take(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """Images uint8 (n, H, W, C)."""
        out = np.empty((len(indices), *self.image_shape), np.uint8)
        chunk_of = indices // self.chunk_images
        numbers = [int(i) for i in np.unique(chunk_of)]
        for number in numbers:
            if (chunk := self._cache.get(number)) is not None:
                here = chunk_of == number
                out[here] = chunk.take(indices[here] - number * self.chunk_images)
        missing = [number for number in numbers if number not in self._cache]
        for number, opened in zip(missing, self.archive.open_chunks(missing), strict=True):
            chunk = _DecodedChunk(opened, self.image_shape)
            here = chunk_of == number
            out[here] = chunk.take(indices[here] - number * self.chunk_images)
            self._cache.put(number, chunk)
        return out

    def __getstate__(self) -> dict[str, Any]:
        empty = _Cache(self._cache.max_nbytes)
        return {**self.__dict__, "_archive": None, "_opened_by": 0, "_cache": empty}


def _labels_of(archive: Archive, wanted: bool | str) -> npt.NDArray[Any] | None:
    if wanted is True:
        return archive.labels
    if wanted is False:
        return None
    if wanted not in archive.columns:
        have = ", ".join(archive.columns) or "none"
        raise ValueError(f"{archive.name}: labels: no column {wanted!r}, it has {have}")
    return archive.columns[wanted].array


class _DecodedChunk:
    """A chunk with what has been decoded of it: all at once, or image by image if of latents."""

    def __init__(self, opened: OpenChunk, shape: tuple[int, int, int]) -> None:
        count = opened.chunk.image_count
        self._opened: OpenChunk | None = opened
        by_latents = any(MODES[sub.mode].holds_latents for sub in opened.chunk.sub_payloads)
        if by_latents:
            self._images = np.empty((count, *shape), np.uint8)
            self._left = np.ones(count, np.bool_)
        else:
            self._images = opened.all()
            self._finish()

    @property
    def nbytes(self) -> int:
        if self._opened is None:
            return self._images.nbytes
        return self._images.nbytes + self._opened.nbytes

    def take(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        if self._opened is not None:
            missing = np.unique(indices[self._left[indices]])
            if len(missing):
                self._images[missing] = self._opened.take(missing)
                self._left[missing] = False
                if not self._left.any():
                    self._finish()
        taken: npt.NDArray[np.uint8] = self._images[indices]
        return taken

    def _finish(self) -> None:
        """Nothing is left to decode: payload and symbols are not needed any more."""
        self._opened = None
        self._left = np.zeros(0, np.bool_)


class _Cache:
    """Decoded chunks by number, those used last, of so many bytes in all."""

    def __init__(self, max_nbytes: int) -> None:
        if max_nbytes < 0:
            raise ValueError(f"cache_nbytes is {max_nbytes}, expected 0 or more")
        self.max_nbytes = max_nbytes
        self._chunks: OrderedDict[int, _DecodedChunk] = OrderedDict()

    def __contains__(self, number: int) -> bool:
        return number in self._chunks

    @property
    def nbytes(self) -> int:
        return sum(chunk.nbytes for chunk in self._chunks.values())

    def get(self, number: int) -> _DecodedChunk | None:
        if number in self._chunks:
            self._chunks.move_to_end(number)
        return self._chunks.get(number)

    def put(self, number: int, chunk: _DecodedChunk) -> None:
        self._chunks[number] = chunk
        while self._chunks and self.nbytes > self.max_nbytes:
            self._chunks.popitem(last=False)

    def clear(self) -> None:
        self._chunks.clear()


class ChunkBatchSampler(Sampler[list[int]]):
    """Batches in random order, such that each chunk is decoded once in an epoch.

    Chunks come in random order, are pooled to windows of about 8192 images (64 MiB at most), and
    within a window images are shuffled. With the loader's number of ``workers``, each chunk goes
    to one worker alone, the same in every epoch. Every epoch has an order of its own, which ``seed`` and ``set_epoch`` fix;
    without ``shuffle`` images come in the file's order.
    """

    def __init__(
        self,
        dataset: AezDataset,
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
        return min(self._chunk_images, self._count - int(chunk) * self._chunk_images)

    def _batches(
        self, chunks: npt.NDArray[np.intp], rng: np.random.Generator
    ) -> Iterator[list[int]]:
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

    def _windows(self, chunks: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
        """Indices of the images of some chunks at a time, about a window full."""
        pooled: list[npt.NDArray[np.intp]] = []
        for chunk in chunks:
            start = int(chunk) * self._chunk_images
            pooled.append(np.arange(start, start + self._size(int(chunk))))
            if sum(map(len, pooled)) >= self._window:
                yield np.concatenate(pooled)
                pooled = []
        if pooled:
            yield np.concatenate(pooled)
