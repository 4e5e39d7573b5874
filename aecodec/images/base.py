"""The two kinds of open image sets: sources that yield batches, and sinks that take them."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.advice import Advice, advised
from aecodec.annotations.annotations import Annotations
from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.conversion import conversion_hint
from aecodec.io.left_out import Note, PassedOver, Skipped, tell

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

READ_NBYTES = 1 << 20
SKIPPED_SHOWN = 3  # in an error
ALLOWED_NONE = Advice(python="strict=True allows none", command="--strict allows none")
__all__ = [
    "DAMAGE",
    "READ_NBYTES",
    "ImageSink",
    "ImageSource",
    "Layout",
    "Note",
    "PassedOver",
    "Skipped",
    "damage_named",
    "layout_of",
    "read_up_to",
]
# What the standard library raises for damaged data.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


class Layout(NamedTuple):
    """The shape of a whole set."""

    image_count: int
    shape: Shape
    has_channel_axis: bool


def layout_of(
    label: str,
    dims: tuple[int, ...],
    dtype: npt.DTypeLike = np.uint8,
    values: npt.NDArray[Any] | None = None,
) -> Layout:
    """The layout of a set of this dtype and shape; ``values`` are those known, for advice.

    ImageSetError unless it is uint8, (N, H, W) or (N, H, W, C), sides of 1 or more, C in 1..4.
    """
    dtype = np.dtype(dtype)
    if dtype != np.uint8:
        hint = conversion_hint(dtype, values)
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


class ImageSource(ABC):
    """An image set, read from front to back; as a context manager it closes what it opened.

    ``kind`` is one of KINDS, or "array". ``names`` are the paths of a folder's pictures below it,
    with /, in image order. ``skipped`` are entries that were left out, ``notes`` tell what is
    different in images that were taken. Unless ``is_settled``, the number of images, names,
    annotations, and what was skipped, are final only when the source has been read to its end.
    """

    kind: str
    image_count: int
    shape: Shape
    has_channel_axis: bool
    names: tuple[str, ...] | None = None
    annotations: Annotations = Annotations()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[Note, ...] = ()
    is_settled: bool = True
    label: str = "array"
    _is_strict: bool = False

    def __init__(self, kind: str, layout: Layout) -> None:
        self.kind = kind
        self.image_count, self.shape, self.has_channel_axis = layout
        self._closer = ExitStack()

    def batches(self, batch_images: int) -> Iterator[Images]:
        """Yield uint8 (n, H, W, C), C-contiguous; n is ``batch_images``, less in the last batch.

        Each call starts at the first image; ValueError for a second call on a pipe. ImageSetError
        for damage, which is found when it is reached.
        """
        if batch_images < 1:
            raise ValueError(f"batch_images is {batch_images}, expected at least 1")
        return self._read_batches(batch_images)

    def require_all(self) -> None:
        """Let nothing be skipped: ImageSetError now, or when an entry cannot be taken."""
        self._is_strict = True
        self._check_skipped(self.skipped)

    def _check_skipped(self, skipped: Sequence[Skipped]) -> None:
        if self._is_strict and skipped:
            shown = ", ".join(f"{name} ({reason})" for name, reason in skipped[:SKIPPED_SHOWN])
            more = len(skipped) - SKIPPED_SHOWN
            others = f" and {more} more" if more > 0 else ""
            raise advised(
                ImageSetError(f"{self.label}: would be skipped: {shown}{others}"), ALLOWED_NONE
            )

    def _tell(self) -> None:
        """Tell the command that reads the set what is left out of it, and what is different."""
        tell(self.label, (*self.skipped, *self.notes))

    @abstractmethod
    def _read_batches(self, batch_images: int) -> Iterator[Images]: ...

    def close(self) -> None:
        """Close what the source opened."""
        self._closer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ImageSink(ABC):
    """An image set that is written batch by batch; ``close`` checks that it is complete.

    ``notes`` tell what has another name there than it was given, ``left_out`` what the set could
    not take, both as words for people; they are final when all images are written.
    """

    def __init__(self, shape: Shape, image_count: int) -> None:
        self.shape, self.image_count = shape, image_count
        self.written_count = 0
        self._closer = ExitStack()

    @property
    def notes(self) -> tuple[str, ...]:
        """What has another name than it was given."""
        return ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the set could not take: "column NAME: reason", or "names: reason"."""
        return ()

    def write(self, batch: Images) -> None:
        """Append uint8 (n, H, W, C).

        TypeError for another dtype, ValueError for another shape or too many images.
        """
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
            self._closer.close()  # the output is given up, so images may be missing


def read_up_to(stream: IO[bytes], nbytes: int) -> bytearray:
    """Read ``nbytes`` bytes, fewer only at the end.

    Memory grows with the data that comes: ``nbytes`` may be a lie.
    """
    data = bytearray()
    while len(data) < nbytes:
        piece = stream.read(min(READ_NBYTES, nbytes - len(data)))
        if not piece:
            break
        data += piece
    return data


@contextmanager
def damage_named(label: str, *more: type[Exception]) -> Iterator[None]:
    """Turn the exceptions in DAMAGE, and ``more``, into ImageSetError, which names ``label``."""
    causes: tuple[type[Exception], ...] = (*DAMAGE, *more)
    try:
        yield
    except ImageSetError:
        raise
    except causes as error:
        raise ImageSetError(f"{label}: damaged, {error}") from error
