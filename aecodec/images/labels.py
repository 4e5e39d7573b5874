"""Labels in files of their own: IDX, ``.npy`` and text."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from aecodec.annotations.column import Column
from aecodec.errors import ImageSetError
from aecodec.images.base import damage_named, read_up_to
from aecodec.images.streams import IDX_DTYPES, read_idx_dims, read_npy_header
from aecodec.images.tables import typed_column

LABELS_MAX_NBYTES = 1 << 30
_IDX_NUMBERS = {name: number for number, name in IDX_DTYPES.items()}
_IDX_INTEGERS = ("uint8", "int8", "int16", "int32")  # the first that holds all labels is used


def read_labels(path: str | os.PathLike[str]) -> Column:
    """The labels in an IDX file (gzipped or not), a ``.npy`` file, or a text of one label a line.

    Lines become numbers if all of them are numbers. Raises ImageSetError for any other file.
    """
    label = os.fspath(path)
    with open(label, "rb") as file, damage_named(label):
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_idx_labels(cast("IO[bytes]", unpacked), label)
        if head.startswith(b"\0\0"):
            return _read_idx_labels(file, label)
        if head.startswith(b"\x93NUMPY"):
            return _read_npy_labels(file, label)
    try:
        lines = Path(label).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ImageSetError(
            f"{label}: expected labels in an IDX file, .npy or text, one a line: {error}"
        ) from error
    return typed_column("label", lines)


def _read_idx_labels(stream: IO[bytes], label: str) -> Column:
    dims, dtype = read_idx_dims(stream, label)
    if len(dims) != 1:
        raise ImageSetError(f"{label}: IDX of {len(dims)} dimensions, expected 1: labels")
    stored = np.dtype(dtype).newbyteorder(">")
    nbytes = dims[0] * stored.itemsize
    if nbytes > LABELS_MAX_NBYTES:
        raise ImageSetError(f"{label}: {nbytes} bytes of labels, the limit is {LABELS_MAX_NBYTES}")
    data = read_up_to(stream, nbytes)
    if len(data) != nbytes or stream.read(1):
        found = f"more than {nbytes}" if len(data) == nbytes else str(len(data))
        raise ImageSetError(f"{label}: expected {nbytes} bytes of labels, found {found}")
    return Column.of("label", np.frombuffer(data, stored).astype(dtype))


def _read_npy_labels(stream: BinaryIO, label: str) -> Column:
    header = read_npy_header(stream, label)
    nbytes = os.fstat(stream.fileno()).st_size - stream.tell()
    if len(header.dims) != 1 or header.dtype.hasobject:
        raise ImageSetError(
            f"{label}: found {header.dtype} {header.dims}, "
            "expected one number or text for each image"
        )
    if nbytes != header.dims[0] * header.dtype.itemsize:
        expected = header.dims[0] * header.dtype.itemsize
        raise ImageSetError(f"{label}: expected {expected} bytes of labels, found {nbytes}")
    return _of_array("label", np.frombuffer(stream.read(), header.dtype), label)


def _of_array(name: str, array: npt.NDArray[Any], label: str) -> Column:
    try:
        return Column.of(name, array)
    except ValueError as error:
        raise ImageSetError(f"{label}: {error}") from error


def idx_labels(labels: Column, *, compress: bool = False) -> bytes:
    """The bytes of an IDX file of labels, gzipped with ``compress``.

    ImageSetError for texts, and for numbers that IDX has no type for.
    """
    array = labels.array
    dtype = labels.dtype if labels.dtype in _IDX_NUMBERS else None
    if labels.dtype == "bool":
        dtype = "uint8"
    if dtype is None and array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if len(array) else (0, 0)
        fits = (n for n in _IDX_INTEGERS if np.iinfo(n).min <= low and high <= np.iinfo(n).max)
        dtype = next(fits, None)
    if dtype is None:
        raise ImageSetError(
            f"column {labels.name}: IDX cannot hold {labels.dtype}; choose .npz or a folder"
        )
    start = struct.pack(">BBBBI", 0, 0, _IDX_NUMBERS[dtype], 1, len(array))
    data = start + array.astype(np.dtype(dtype).newbyteorder(">")).tobytes()
    return gzip.compress(data, mtime=0) if compress else data


def labels_path(images_path: str | os.PathLike[str]) -> Path:
    """The path for the labels of an IDX file of images: "labels" replaces "images" in its name."""
    path = Path(images_path)
    if "images" in path.name:
        name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
        return path.with_name(name)
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-labels{dot}{suffixes}")
