"""Files that hold one array or some bytes, read whole; whatever is wrong is an ImageSetError."""

from __future__ import annotations

import gzip
import io
import math
import os
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from aecodec.errors import ImageSetError
from aecodec.images.base import damage_named, read_up_to
from aecodec.images.members import is_npz
from aecodec.images.streams import NpyHeader, read_npy_header

UNZIPPED_MAX_NBYTES = 1 << 30


def unzipped(data: bytes, label: str) -> bytes:
    """Bytes of a file, out of gzip if they are gzipped; ImageSetError if they are too many."""
    if data[:2] != b"\x1f\x8b":
        return data
    with damage_named(label), gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        found = bytes(read_up_to(cast("IO[bytes]", packed), UNZIPPED_MAX_NBYTES + 1))
    if len(found) > UNZIPPED_MAX_NBYTES:
        raise ImageSetError(f"{label}: out of gzip over {UNZIPPED_MAX_NBYTES} bytes, the limit")
    return found


def parse_npy(data: bytes, label: str) -> npt.NDArray[Any]:
    """The array in the bytes of a ``.npy`` file, of any type but objects."""
    stream = io.BytesIO(data)
    header = read_npy_header(stream, label)
    _require_plain(header, label)
    expected, found = math.prod(header.dims) * header.dtype.itemsize, len(data) - stream.tell()
    if found != expected:
        raise ImageSetError(
            f"{label}: expected {expected} bytes for {header.dtype} {header.dims}, found {found}"
        )
    array = np.frombuffer(data, header.dtype, math.prod(header.dims), stream.tell())
    return array.reshape(header.dims, order="F" if header.fortran_order else "C")


def load_npy(path: str | os.PathLike[str], *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file, of any type but objects; read when it is used if ``mapped``."""
    label = os.fspath(path)
    with open(label, "rb") as file:
        if not file.seekable():
            return parse_npy(file.read(), label)
        if is_npz(file.read(4)):
            raise ImageSetError(f"{label}: found an .npz, expected one array in a .npy file")
        file.seek(0)
        _require_plain(read_npy_header(file, label), label)
    with damage_named(label, ValueError):
        array: npt.NDArray[Any] = np.load(
            label, mmap_mode="r" if mapped else None, allow_pickle=False
        )
    return array


def _require_plain(header: NpyHeader, label: str) -> None:
    """ImageSetError for objects, which would be unpickled, and for values of no bytes."""
    if header.dtype.hasobject or not header.dtype.itemsize:
        found = f"{header.dtype!s:.80} {header.dims}"
        raise ImageSetError(
            f"{label}: found {found}, expected no objects, and values of some bytes"
        )
