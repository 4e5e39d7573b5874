"""A read-only array of images that are decoded when they are asked for, indexed as NumPy's are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class LazyImages(ABC):
    """Images uint8 (N, H, W) or (N, H, W, C) by any index that NumPy has, but for new axes.

    A subclass says what shape they have, and decodes them.
    """

    __contains__: ClassVar[None] = None  # of pixels, as NumPy has it, or of images? compare arrays

    # ------------------------------------------------------------ what a subclass gives

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""

    @property
    @abstractmethod
    def has_channel_axis(self) -> bool:
        """Whether images have shape (H, W, C) in Python; else it is (H, W)."""

    @property
    @abstractmethod
    def chunk_images(self) -> int:
        """How many images each chunk has; the last one may have fewer."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Chunk by chunk, uint8 (n, H, W, C)."""

    @abstractmethod
    def check_decoded(self, image_count: int) -> None:
        """AezLimitError if this many images are more than may be decoded at once."""

    @abstractmethod
    def _decode(self, indices: npt.NDArray[np.intp] | range) -> npt.NDArray[np.uint8]:
        """The images at these positions 0 to N - 1, a new array (n, H, W, C)."""

    @property
    @abstractmethod
    def _out_of_range(self) -> str:
        """The message for an index out of range, with ``{}`` for the index."""

    # ------------------------------------------------------------ as an array

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W), or (N, H, W, C) when the images came with a channel axis."""
        full = (len(self), *self.image_shape)
        return full if self.has_channel_axis else full[:3]

    @property
    def ndim(self) -> int:
        """The number of axes, 3 or 4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of samples, N * H * W * C."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all images, decoded; a sample is a byte."""
        return self.size

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """uint8, always."""
        import numpy as np

        return np.dtype(np.uint8)

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of a chunk: what is read together, whose shape suits blocks of Dask."""
        return min(self.chunk_images, max(1, len(self))), *self.shape[1:]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """All images, decoded; ValueError for ``copy=False``, since there is no array to share."""
        if copy is False:
            raise ValueError("copy=False: the images are decoded into a new array")
        images: npt.NDArray[Any] = self[:]
        return images if dtype is None else images.astype(dtype, copy=False)

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        for batch in self.batches():
            yield from self._squeeze(batch)

    # ------------------------------------------------------------ indexing

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401  # as NumPy's
        """What NumPy's array of all images gives; the images that are touched are decoded.

        ``key`` is an integer, a slice, ``...``, a mask of N booleans, integers in a list or an
        array, or a tuple of one of these and of what further axes take. Negatives count from the
        end. IndexError for what is out of range, TypeError for any other kind of key.
        """
        import numpy as np

        from aecodec.arrays import position, positions, split_key

        before, first, after = split_key(key, self.ndim)
        if first is Ellipsis or isinstance(first, slice):
            run = range(len(self))[slice(None) if first is Ellipsis else first]
            if run.step == 1:  # no number for each image is made
                images = self._images(run)
                return images[(*before, slice(None), *after)] if before or after else images
        index = position(first, len(self), self._out_of_range)
        place: Any = 0  # on the first axis of the decoded images
        if index is not None:
            chosen = np.array([index])
        else:
            chosen = positions(first, len(self), self._out_of_range)
            place = np.arange(chosen.size).reshape(chosen.shape)
        images = self._images(chosen.ravel())
        if isinstance(first, slice):
            place = slice(None)
        elif index is None and chosen.ndim == 1 and not after:
            return images
        found: npt.NDArray[np.uint8] = images[(*before, place, *after)]
        return found

    def take(self, indices: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401  # as NumPy's arrays
        """The images at these indices, uint8 (n, H, W, C); every chunk they touch is read once.

        ``indices`` are a list, an array or a range of integers, a mask of N booleans or a slice.
        IndexError for what is out of range, TypeError for anything else.
        """
        from aecodec.arrays import positions

        chosen = positions(indices, len(self), self._out_of_range)
        if chosen.ndim != 1:
            raise TypeError(f"indices have shape {chosen.shape}, expected (n,)")
        self.check_decoded(len(chosen))
        return self._decode(chosen)

    def _images(self, indices: npt.NDArray[np.intp] | range) -> npt.NDArray[np.uint8]:
        """The images at these positions, with a channel axis if they have one."""
        self.check_decoded(len(indices))
        return self._squeeze(self._decode(indices))

    def _squeeze(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return images if self.has_channel_axis else images[..., 0]
