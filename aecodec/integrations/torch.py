"""An ``.aez`` as a PyTorch data set: decoded chunk by chunk, shuffled with respect for chunks.

dataset = AezDataset("digits.aez", transform=lambda x: x.float() / 255)
sampler = ChunkBatchSampler(dataset, 128, workers=2)
loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, persistent_workers=True)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from aecodec.archive.array import Archive
from aecodec.integrations.chunk_cache import ChunkCache, DecodedChunk
from aecodec.integrations.sampling import ChunkBatchSampler

if TYPE_CHECKING:
    from aecodec.models.model import Model

__all__ = ["AezDataset", "ChunkBatchSampler"]

CACHE_NBYTES = 256 << 20


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
        self._cache = ChunkCache(cache_nbytes)
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
        planes = np.ascontiguousarray(self._take(asked).transpose(0, 3, 1, 2))  # on no threads
        batch = torch.from_numpy(planes)
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
            if number in self._cache:
                here = chunk_of == number
                out[here] = self._cache.take(number, indices[here] - number * self.chunk_images)
        missing = [number for number in numbers if number not in self._cache]
        for number, opened in zip(missing, self.archive.open_chunks(missing), strict=True):
            chunk = DecodedChunk(opened, self.image_shape)
            here = chunk_of == number
            out[here] = chunk.take(indices[here] - number * self.chunk_images)
            self._cache.put(number, chunk)
        return out

    def __getstate__(self) -> dict[str, Any]:
        empty = ChunkCache(self._cache.max_nbytes)
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
