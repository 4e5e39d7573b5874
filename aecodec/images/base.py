"""What every image set is: a source of batches, or a sink for them."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import Annotations
from aecodec.arrays import Images
from aecodec.errors import ImageSetError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

Shape = tuple[int, int, int]  # (H, W, C)

READ_NBYTES = 1 << 20
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


class Skipped(NamedTuple):
    """Something in a set that was not taken, and why not."""

    name: str
    reason: str


class Layout(NamedTuple):
    """The shape of a whole set."""

    image_count: int
    shape: Shape
    has_channel_axis: bool


def layout_of(label: str, dims: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> Layout:
    """Check the dtype and shape of a whole set: uint8, (N, H, W) or (N, H, W, C)."""
    dtype = np.dtype(dtype)
    if dtype != np.uint8:
        hint = _conversion_hint(dtype)
        raise ImageSetError(f"{label}: found dtype {dtype}, expected uint8; {hint}")
    if len(dims) not in (3, 4):
        hint = "; reshape rows of pixels to (N, H, W)" if len(dims) == 2 else ""
        raise ImageSetError(
            f"{label}: found shape {dims}, expected (N, H, W) or (N, H, W, C){hint}"
        )
    count, height, width, channels = (*dims, 1)[:4]
    if count < 0 or height < 1 or width < 1:
        raise ImageSetError(f"{label}: found shape {dims}, expected sides of at least 1 pixel")
    if not 1 <= channels <= 4:
        hint = "; move the channels to the end" if 1 <= height <= 4 < channels else ""
        raise ImageSetError(f"{label}: found {channels} channels in {dims}, expected 1 to 4{hint}")
    return Layout(count, (height, width, channels), len(dims) == 4)


def _conversion_hint(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "for values from 0 to 1: (images * 255).round().astype(np.uint8)"
    if dtype.kind == "b":
        return "images.astype(np.uint8) * 255"
    return "for values from 0 to 255: images.astype(np.uint8)"


class ImageSource(ABC):
    """An image set, read from front to back; a context manager that closes what it opened."""

    kind: str  # one of KINDS, or "array"
    image_count: int
    shape: Shape
    has_channel_axis: bool
    names: tuple[str, ...] | None = None  # folder: paths in it, with /, in image order
    annotations: Annotations = Annotations()
    skipped: tuple[Skipped, ...] = ()
    is_settled: bool = True  # else count, names, columns and what was skipped are known at the end

    def __init__(self, kind: str, layout: Layout) -> None:
        self.kind = kind
        self.image_count, self.shape, self.has_channel_axis = layout
        self._closer = ExitStack()

    def batches(self, batch_images: int) -> Iterator[Images]:
        """Yield uint8 (n, H, W, C), C-contiguous, n = batch_images but in the last batch.

        Starts at the first image each time; ValueError for a second time on a pipe. Only a
        source read to its end has been checked to its end.
        """
        if batch_images < 1:
            raise ValueError(f"batch_images is {batch_images}, expected at least 1")
        return self._read_batches(batch_images)

    @abstractmethod
    def _read_batches(self, batch_images: int) -> Iterator[Images]: ...

    def close(self) -> None:
        self._closer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ImageSink(ABC):
    """Takes the batches of a set in order; close() checks that all the images came."""

    def __init__(self, shape: Shape, image_count: int) -> None:
        self.shape, self.image_count = shape, image_count
        self.written_count = 0
        self._closer = ExitStack()

    def write(self, batch: Images) -> None:
        """Append uint8 (n, H, W, C)."""
        if batch.dtype != np.uint8:
            raise TypeError(f"batch has dtype {batch.dtype}, expected uint8")
        if batch.ndim != 4 or batch.shape[1:] != self.shape:
            expected = "(n, {}, {}, {})".format(*self.shape)
            raise ValueError(f"batch has shape {batch.shape}, expected {expected}")
        if self.written_count + len(batch) > self.image_count:
            raise ValueError(
                f"{self.written_count + len(batch)} images written, expected {self.image_count}"
            )
        self._write(batch)
        self.written_count += len(batch)

    @abstractmethod
    def _write(self, batch: Images) -> None: ...

    def close(self) -> None:
        """Finish the output and close what was opened; ValueError if images are missing."""
        self._closer.close()
        if self.written_count != self.image_count:
            raise ValueError(f"{self.written_count} images written, expected {self.image_count}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._closer.close()  # an output given up: say nothing of what is missing


def read_up_to(stream: IO[bytes], nbytes: int) -> bytearray:
    """Read ``nbytes``, fewer only at the end. Grows as data comes: a size may be a lie."""
    data = bytearray()
    while len(data) < nbytes:
        piece = stream.read(min(READ_NBYTES, nbytes - len(data)))
        if not piece:
            break
        data += piece
    return data


@contextmanager
def damage_named(label: str, *more: type[Exception]) -> Iterator[None]:
    causes: tuple[type[Exception], ...] = (*DAMAGE, *more)
    try:
        yield
    except ImageSetError:
        raise
    except causes as error:
        raise ImageSetError(f"{label}: damaged, {error}") from error
