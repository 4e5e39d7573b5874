"""Sets whose pixels are consecutive bytes: arrays, IDX and ``.npy``, in files and pipes."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import (
    READ_NBYTES,
    ImageSink,
    ImageSource,
    Layout,
    damage_named,
    layout_of,
    read_up_to,
)

ADVICE_NBYTES = 16 << 20  # of values that are no uint8, read for what an error advises
IDX_DTYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


class ArraySource(ImageSource):
    """An array in memory, or one mapped from a file."""

    def __init__(self, kind: str, label: str, images: npt.NDArray[Any]) -> None:
        super().__init__(kind, layout_of(label, images.shape, images.dtype, images))
        self._images = images

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        for start in range(0, self.image_count, batch_images):
            batch = np.ascontiguousarray(self._images[start : start + batch_images])
            yield batch.reshape(len(batch), *self.shape)


class StreamSource(ImageSource):
    """Pixels in C order that fill the rest of ``stream``, as in IDX and ``.npy``."""

    def __init__(
        self, kind: str, label: str, layout: Layout, stream: IO[bytes], *, rewindable: bool
    ) -> None:
        super().__init__(kind, layout)
        self._label, self._stream = label, stream
        # The caller says whether it is rewindable: gzip claims to be, even over a pipe.
        self._pixels_offset = stream.tell() if rewindable else None
        self._used = False

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        self._rewind()
        for start in range(0, max(self.image_count, 1), batch_images):
            n = min(batch_images, self.image_count - start)
            pixels = self._read_pixels(start, n)
            if n:
                yield np.frombuffer(pixels, np.uint8).reshape(n, *self.shape)

    def _read_pixels(self, start: int, n: int) -> bytearray:
        image_nbytes = math.prod(self.shape)
        with damage_named(self._label):
            pixels = read_up_to(self._stream, n * image_nbytes)
            if len(pixels) < n * image_nbytes:
                raise self._wrong_size(f"{start * image_nbytes + len(pixels)}, cut short")
            if start + n == self.image_count:
                self._check_end()
        return pixels

    def _rewind(self) -> None:
        if self._used:
            if self._pixels_offset is None:
                raise ValueError(f"{self._label}: a pipe can be read only once")
            self._stream.seek(self._pixels_offset)
        self._used = True

    def _check_end(self) -> None:
        """ImageSetError for bytes after the last pixel; at the end gzip and zip check their CRC."""
        extra_nbytes = len(self._stream.read(READ_NBYTES))
        if extra_nbytes:
            found = self.image_count * math.prod(self.shape) + extra_nbytes
            raise self._wrong_size(f"{found} or more")

    def _wrong_size(self, found: str) -> ImageSetError:
        expected = self.image_count * math.prod(self.shape)
        return ImageSetError(
            f"{self._label}: {self.image_count} images of {self.shape} (H, W, C): "
            f"expected {expected} bytes of pixels, found {found}"
        )


# --- IDX ---


def read_idx_header(stream: IO[bytes], label: str) -> Layout:
    """The layout in an IDX header of images; ImageSetError if it is no such header."""
    dims, dtype = read_idx_dims(stream, label)
    if len(dims) == 1:
        raise ImageSetError(
            f"{label}: IDX of 1 dimension (labels? --labels takes them), expected images: 3 or 4"
        )
    return layout_of(label, dims, dtype)


def read_idx_dims(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], str]:
    """Dimensions and dtype in an IDX header; ImageSetError if it is no IDX header."""
    magic = bytes(read_up_to(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:  # inside a gzip
        raise ImageSetError(f"{label}: holds no IDX file, it starts with {magic!r}")
    dims_nbytes = read_up_to(stream, 4 * magic[3])
    if len(dims_nbytes) < 4 * magic[3]:
        raise ImageSetError(f"{label}: the IDX header is cut after {4 + len(dims_nbytes)} bytes")
    return struct.unpack(f">{magic[3]}I", dims_nbytes), IDX_DTYPES[magic[2]]


# --- npy ---


_NPY_LENGTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # bytes that tell the header's length
NPY_HEADER_MAX_NBYTES = 1 << 16
NPY_DIMS_MAX = 32


class NpyHeader(NamedTuple):
    """The header of a ``.npy`` file."""

    dims: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_npy_header(stream: IO[bytes], label: str) -> NpyHeader:
    """The header at the start of ``stream``; ImageSetError if it is damaged or too new.

    Its sides are 0 or more, and no array of them is larger than any memory.
    """
    start = bytes(read_up_to(stream, 8))
    version = tuple(start[6:8])
    if start[:6] != b"\x93NUMPY" or len(version) < 2:
        raise ImageSetError(f"{label}: the .npy header is damaged, it starts with {start!r}")
    if version not in _NPY_LENGTHS:
        raise ImageSetError(f"{label}: .npy version {version}, expected 1.0, 2.0 or 3.0")
    # NumPy would read as much as the header says that it has before it refuses a long one
    length = bytes(read_up_to(stream, _NPY_LENGTHS[version]))
    nbytes = int.from_bytes(length, "little")
    if nbytes > NPY_HEADER_MAX_NBYTES:
        raise ImageSetError(
            f"{label}: the .npy header is damaged, it has {nbytes} bytes, "
            f"expected at most {NPY_HEADER_MAX_NBYTES}"
        )
    text = io.BytesIO(length + read_up_to(stream, nbytes))
    try:
        # 3.0 differs from 2.0 in the encoding of field names, which no array here has
        parse = np.lib.format.read_array_header_1_0
        parse = parse if version == (1, 0) else np.lib.format.read_array_header_2_0
        header = NpyHeader(*parse(text))
    except Exception as error:  # NumPy and Python's parser raise nearly anything on damage
        raise ImageSetError(f"{label}: the .npy header is damaged, {error!s:.200}") from error
    nbytes = header.dtype.itemsize * math.prod(side for side in header.dims if side)
    if len(header.dims) > NPY_DIMS_MAX or min(header.dims, default=0) < 0 or nbytes >= 1 << 63:
        raise ImageSetError(
            f"{label}: the .npy header is damaged, found shape {header.dims!s:.80} of "
            f"{header.dtype!s:.40}, which no array has"
        )
    return header


def open_npy(stream: IO[bytes], label: str, kind: str, *, rewindable: bool) -> ImageSource:
    """The images of the ``.npy`` file at the start of ``stream``; ImageSetError if it has none."""
    header = read_npy_header(stream, label)
    values = None
    if header.dtype.kind in "iuf" and header.dtype != np.uint8:
        data = read_up_to(stream, ADVICE_NBYTES)
        values = np.frombuffer(data[: len(data) - len(data) % header.dtype.itemsize], header.dtype)
    layout = layout_of(label, header.dims, header.dtype, values)
    if header.fortran_order and layout.image_count:  # an empty array has no order
        return _map_fortran_npy(stream, label, header)
    return StreamSource(kind, label, layout, stream, rewindable=rewindable)


def _map_fortran_npy(stream: IO[bytes], label: str, header: NpyHeader) -> ImageSource:
    """A file in Fortran order, mapped: the pixels of an image are spread over all of it."""
    if not isinstance(getattr(stream, "raw", None), io.FileIO):  # a pipe, or a member of a .npz
        raise ImageSetError(
            f"{label}: Fortran order cannot be streamed; save np.ascontiguousarray(images)"
        )
    offset, found = stream.tell(), os.fstat(stream.fileno()).st_size
    expected = offset + math.prod(header.dims)
    if found != expected:
        raise ImageSetError(f"{label}: expected {expected} bytes for {header.dims}, found {found}")
    images = np.memmap(cast("BinaryIO", stream), np.uint8, "r", offset, header.dims, "F")
    return ArraySource("npy", label, images)


# --- Sinks ---


class StreamSink(ImageSink):
    """Writes pixels in C order to ``stream``, after a header that is there already."""

    def __init__(self, shape: Shape, image_count: int, stream: IO[bytes]) -> None:
        super().__init__(shape, image_count)
        self._stream = stream

    def _write(self, batch: Images) -> None:
        self._stream.write(np.ascontiguousarray(batch).reshape(-1).data)


def start_idx(target: IO[bytes], dims: tuple[int, ...], _: ExitStack) -> IO[bytes]:
    """Write the IDX header of a set of shape ``dims``; return the stream that takes the pixels."""
    if max(dims) >= 1 << 32:
        raise ImageSetError(f"shape {dims}: an IDX file holds sides below 2**32, choose .npy")
    target.write(struct.pack(f">BBBB{len(dims)}I", 0, 0, 0x08, len(dims), *dims))
    return target


def start_idx_gz(target: IO[bytes], dims: tuple[int, ...], stack: ExitStack) -> IO[bytes]:
    """As :func:`start_idx`, gzipped; ``stack`` finishes the gzip."""
    # neither time nor name, so that the bytes depend on the images alone
    packed = stack.enter_context(gzip.GzipFile("", "wb", fileobj=target, mtime=0))
    return start_idx(cast("IO[bytes]", packed), dims, stack)


def start_npy(target: IO[bytes], dims: tuple[int, ...], _: ExitStack) -> IO[bytes]:
    """Write the ``.npy`` header of a set of shape ``dims``; return the stream for the pixels."""
    header = {"descr": "|u1", "fortran_order": False, "shape": dims}
    np.lib.format.write_array_header_1_0(target, header)
    return target
