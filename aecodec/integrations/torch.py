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
from aecodec.arrays import Images, Indices, position, positions
from aecodec.integrations.chunk_cache import ChunkCache, Claim, DecodedChunk
from aecodec.integrations.reopening import SharedArchive
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
    each worker; of chunks of latents only the images asked for are decoded. ``source`` is a path,
    a URL or bytes, ``model`` as in ``aecodec.open``.

    Threads may share it, and a chunk that several of them need is decoded once. It may be used
    after a fork, and it pickles, for workers that are spawned. AezChangedError if another file
    lies at the path than the one whose labels were read, here or where a copy is used; if there
    is no file there any more, what is open stays so.
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
        with Archive(source, model=model) as archive:
            self._shared = SharedArchive(archive)
            self.classes = archive.classes
            self.labels = _labels_of(archive, labels)
            self.chunk_images = archive.chunk_images
            self.image_shape = archive.image_shape
            self._count = len(archive)

    @property
    def archive(self) -> Archive:
        """The open file; AezChangedError if another one lies at its path now."""
        return self._shared.open()

    def close(self) -> None:
        """Close the file and drop what was decoded; the next access opens it again."""
        self._cache.clear()
        self._shared.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401  # what the transforms make
        """The item of an integer; for a slice, a mask or several integers a list of items."""
        number = position(index, self._count, self._out_of_range)
        if number is not None:
            return self._items(np.array([number]))[0]
        if isinstance(index, tuple):
            raise TypeError(f"index {index!r}: an item has one index")
        return self.__getitems__(index)

    def __getitems__(self, indices: Sequence[int] | npt.NDArray[Any]) -> list[Any]:
        """The items at these indices; each chunk they touch is decoded once.

        ``indices`` are integers, negatives from the end, or a mask of all images. IndexError for
        what is out of range, TypeError for anything else.
        """
        asked = positions(indices, self._count, self._out_of_range)
        if asked.ndim != 1:
            raise TypeError(f"indices have shape {asked.shape}, expected (n,)")
        return self._items(asked)

    @property
    def _out_of_range(self) -> str:
        return f"image {{}}, the file holds {self._count}"

    def _items(self, asked: Indices) -> list[Any]:
        """The items at these positions 0 to N - 1."""
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

    def _take(self, indices: Indices) -> Images:
        """Images uint8 (n, H, W, C)."""
        archive = self.archive  # before the cache is asked: the file may be another one
        out = np.empty((len(indices), *self.image_shape), np.uint8)
        chunk_of = indices // self.chunk_images

        def place(number: int, chunk: DecodedChunk) -> None:
            here = chunk_of == number
            out[here] = chunk.take(indices[here] - number * self.chunk_images)

        left = {int(i) for i in np.unique(chunk_of)}
        while left:
            kept, mine, others = self._cache.claim(sorted(left))
            self._decode(archive, mine, place)  # first: other threads may wait for these
            for number, chunk in kept.items():
                place(number, chunk)
                self._cache.measure(number, chunk)
            got = {number: claim.result() for number, claim in others.items()}
            for number, found in got.items():
                if found is not None:
                    place(number, found)
                    self._cache.measure(number, found)
            left = {number for number, found in got.items() if found is None}
        return out

    def _decode(
        self,
        archive: Archive,
        claims: dict[int, Claim],
        place: Callable[[int, DecodedChunk], None],
    ) -> None:
        """Decode the chunks that this thread has claimed."""
        numbers = list(claims)
        try:
            for number, opened in zip(numbers, archive.open_chunks(numbers), strict=True):
                chunk = DecodedChunk(opened, self.image_shape)
                place(number, chunk)
                self._cache.put(number, chunk)
        finally:
            self._cache.give_up(claims)


def _labels_of(archive: Archive, wanted: bool | str) -> npt.NDArray[Any] | None:
    if wanted is True:
        return archive.labels
    if wanted is False:
        return None
    if wanted not in archive.columns:
        have = ", ".join(archive.columns) or "none"
        raise ValueError(f"{archive.name}: labels: no column {wanted!r}, it has {have}")
    return archive.columns[wanted].array
