"""Writing ``.npz``: the images, and in arrays beside them whatever such a file can hold."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import ABOUT, Annotations, label_name
from aecodec.annotations.column import Column
from aecodec.annotations.values import TEXT
from aecodec.arrays import Shape
from aecodec.images.beside import CLASSES, LABEL_COLUMN, NAMES
from aecodec.images.column_names import with_free_names
from aecodec.images.members import NPZ_MEMBER
from aecodec.images.npz import RESERVED
from aecodec.images.streams import StreamSink, start_npy

BLOCK_NBYTES = 1 << 20  # of an array that is written at once
BESIDE_MAX_NBYTES = 1 << 30  # of an array of texts


class NpzSink(StreamSink):
    """Writes other arrays first, then the pixels.

    An array of texts takes the room of its longest text for each: what would take over
    BESIDE_MAX_NBYTES is left out, and so is a text that ends in U+0000, which NumPy drops. Columns
    whose names have another use in an ``.npz`` get others.
    """

    def __init__(
        self,
        target: IO[bytes],
        dims: tuple[int, ...],
        shape: Shape,
        names: Sequence[str] | None,
        annotations: Annotations,
    ) -> None:
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(target, "w"))
            annotations, notes = with_free_names(annotations, RESERVED, "/\\")
            self._notes, self._left_out = notes, tuple(_write_beside(archive, names, annotations))
            is_big = math.prod(dims) >= 1 << 31  # the room for sizes is fixed before they are known
            stream = stack.enter_context(archive.open(_entry(NPZ_MEMBER), "w", force_zip64=is_big))
            super().__init__(shape, dims[0], start_npy(stream, dims, stack))
            self._closer = stack.pop_all()

    @property
    def notes(self) -> tuple[str, ...]:
        """Which columns have another name."""
        return self._notes

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns and names that no array can hold, with the reasons."""
        return self._left_out


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, the start of zip time
    entry.create_system = 3  # Unix, also on Windows: the same bytes
    entry.external_attr = 0o644 << 16
    return entry


class _Array(NamedTuple):
    """An array (N,) that is made block by block; ``fault`` is why there can be none."""

    dtype: np.dtype[Any]
    values: Any  # an array, or an iterable of texts
    fault: str | None = None


def _write_beside(
    archive: zipfile.ZipFile, names: Sequence[str] | None, annotations: Annotations
) -> Iterator[str]:
    """Write all arrays but the images; yield what is left out, and why."""
    held: dict[str, None] = {}
    for column in annotations.columns:
        array = _of_column(column)
        if array.fault is not None:
            yield f"column {column.name}: {array.fault}"
            continue
        held[column.name] = None
        _write_blocks(archive, column.name, array)
    for name in ABOUT:
        if (text := getattr(annotations, name)) is not None:
            _write_whole(archive, name, np.array(text))
    if annotations.classes and annotations.label in held:
        _write_whole(archive, CLASSES, np.array(annotations.classes))
    if names is not None:
        held[NAMES] = None
        array = _of_texts(names, names, len(names))
        if array.fault is not None:
            yield f"names: {array.fault}"
        else:
            _write_blocks(archive, NAMES, array)
    label = annotations.label
    if label in held and label != label_name(held):
        _write_whole(archive, LABEL_COLUMN, np.array(label))


def _of_column(column: Column) -> _Array:
    if column.dtype == TEXT:
        return _of_texts(column.texts, column, len(column))
    dtype = np.dtype(column.dtype)
    return _Array(dtype, np.frombuffer(column.data, dtype.newbyteorder("<")))


def _of_texts(texts: Sequence[str], values: Any, count: int) -> _Array:  # noqa: ANN401  # N texts
    """The array of ``count`` values, each of which is one of the texts."""
    width = 1
    for text in texts:
        width = max(width, len(text))
        if text.endswith("\0"):
            return _Array(np.dtype("U1"), values, "a text ends in U+0000, NumPy drops that")
    nbytes = 4 * width * count
    fault = None
    if nbytes > BESIDE_MAX_NBYTES:
        fault = (
            f"{nbytes:,} bytes as an array of texts, all as wide as the longest, of {width:,} "
            f"characters; the limit is {BESIDE_MAX_NBYTES:,}"
        )
    return _Array(np.dtype(f"U{width}"), values, fault)


def _write_blocks(archive: zipfile.ZipFile, name: str, array: _Array) -> None:
    count, rows = len(array.values), max(1, BLOCK_NBYTES // array.dtype.itemsize)
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (count,)}
    with archive.open(_entry(name), "w") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        if isinstance(array.values, np.ndarray):
            for at in range(0, count, rows):
                stream.write(array.values[at : at + rows].astype(array.dtype).tobytes())
            return
        texts = iter(array.values)
        while block := list(islice(texts, rows)):
            stream.write(np.array(block, array.dtype).tobytes())


def _write_whole(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    with archive.open(_entry(name), "w") as stream:
        np.lib.format.write_array(stream, array, allow_pickle=False)
