"""The arrays beside the images of an ``.npz``: names and columns, all within one limit.

What counts is the memory that they take once they are read, not the bytes that they are stored as.
"""

from __future__ import annotations

import math
import sys
import zipfile
from array import array
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np

from aecodec.annotations.annotations import ABOUT, ABOUT_MAX_NBYTES, CLASSES_MAX
from aecodec.annotations.column import Column
from aecodec.annotations.values import NAME_MAX_NBYTES, TEXT, pack_texts, text_fault
from aecodec.errors import ImageSetError
from aecodec.images.base import read_up_to
from aecodec.images.streams import NpyHeader, read_npy_header
from aecodec.limits import DEFAULT_LIMITS

NAMES, CLASSES, LABEL_COLUMN = "names", "classes", "label_column"
MAX_NBYTES: Final = DEFAULT_LIMITS.max_column_nbytes
TEXT_MAX_CHARS: Final = 1 << 20
BLOCK_NBYTES: Final = 1 << 20  # of texts that are read at once
_VALUE_NBYTES, _TEXT_NBYTES = 8, 112  # of a value, and of a text besides its own, once read


class Beside:
    """Reads arrays of an ``.npz``; what goes over ``MAX_NBYTES`` in all is not read."""

    def __init__(self, archive: zipfile.ZipFile, label: str, reserved: tuple[str, ...]) -> None:
        self._archive, self._label, self._reserved = archive, label, reserved
        self.left_nbytes = MAX_NBYTES

    def read(self, entry: str, image_count: int) -> Column | list[str] | str:
        """A column; names or other texts as a list; or the reason why an array is neither.

        ImageSetError for damage.
        """
        name = entry.removesuffix(".npy")
        if name == entry:
            return "not an array"
        where = f"{self._label}: {entry}"
        with self._archive.open(entry) as stream:
            header = read_npy_header(stream, where)
            if reason := self._refused(name, header, image_count):
                return reason
            count = math.prod(header.dims)
            try:
                if header.dtype.kind == "U":
                    texts = _texts(stream, header.dtype, count, where)
                    is_listed = name in self._reserved
                    return self._listed(texts) if is_listed else self._column(name, texts)
                return self._numbers(name, stream, header, count, where)
            except ValueError as error:
                if isinstance(error, ImageSetError):
                    raise
                return str(error)

    def _refused(self, name: str, header: NpyHeader, image_count: int) -> str | None:
        """Why an array is neither names nor a column, as its header says; None if it may be."""
        dims, dtype = header.dims, header.dtype
        wanted: tuple[int, ...] = (image_count,)
        if name in (*ABOUT, LABEL_COLUMN) and dtype.kind == "U":
            wanted = ()
        elif name == CLASSES and dtype.kind == "U" and len(dims) == 1:
            wanted = dims
        elif name == NAMES and dtype.kind != "U":
            return f"{dtype}{dims}, names of images are texts"
        elif dtype.kind not in "biufU" or (name in self._reserved and name != NAMES):
            return f"{dtype}{dims}, not taken for a column"
        if dims not in (wanted, (*wanted, 1)):  # (N, 1), as in MedMNIST
            return f"shape {dims}, expected {wanted}: one value for each image"
        if name not in self._reserved and (fault := text_fault(name, NAME_MAX_NBYTES)):
            return f"its name {fault}"
        if dtype.kind == "f" and dtype.itemsize > 8:
            return f"{dtype}, wider than a column can be"
        most = ABOUT_MAX_NBYTES if wanted == () else TEXT_MAX_CHARS
        if dtype.kind == "U" and not 0 < dtype.itemsize <= 4 * most:
            return f"{dtype}, expected texts of 1 to {most} characters"
        if name == CLASSES and dims[0] > CLASSES_MAX:
            return f"{dims[0]} classes, expected at most {CLASSES_MAX}"
        return None

    def _numbers(
        self, name: str, stream: IO[bytes], header: NpyHeader, count: int, where: str
    ) -> Column | str:
        nbytes = count * header.dtype.itemsize
        if nbytes > self.left_nbytes:
            return self._too_much(f"its {nbytes:,} bytes")
        self.left_nbytes -= nbytes
        data = read_up_to(stream, nbytes + 1)
        if len(data) != nbytes:
            raise ImageSetError(f"{where}: expected {nbytes} bytes, found {len(data)}")
        if header.dtype.kind == "b":  # whose bytes may be any, and count as True unless they are 0
            return Column.of(name, np.frombuffer(data, np.uint8) != 0)
        return Column.of(name, np.frombuffer(data, header.dtype))

    def _column(self, name: str, texts: Iterator[str]) -> Column | str:
        numbers: dict[str, int] = {}
        values = array("I")
        for text in texts:
            known = len(numbers)
            values.append(numbers.setdefault(text, known))
            self.left_nbytes -= _VALUE_NBYTES
            if len(numbers) > known:
                self.left_nbytes -= sys.getsizeof(text) + _TEXT_NBYTES
            if self.left_nbytes < 0:
                return self._too_much("its texts")
        if sys.byteorder == "big":
            values.byteswap()
        return Column(name, TEXT, values.tobytes(), pack_texts(numbers, f"column {name}")[1])

    def _listed(self, texts: Iterator[str]) -> list[str] | str:
        found = []
        for text in texts:
            self.left_nbytes -= sys.getsizeof(text) + _VALUE_NBYTES
            if self.left_nbytes < 0:
                return self._too_much("its texts")
            found.append(text)
        return found

    def _too_much(self, what: str) -> str:
        return f"{what} go over {MAX_NBYTES:,} bytes, the limit of all arrays beside the images"


def _texts(stream: IO[bytes], dtype: np.dtype[Any], count: int, where: str) -> Iterator[str]:
    """The texts of an array, a block at a time; ImageSetError for damage."""
    rows = max(1, BLOCK_NBYTES // dtype.itemsize)
    for start in range(0, max(count, 1), rows):
        wanted = min(rows, count - start) * dtype.itemsize
        data = read_up_to(stream, wanted)
        if start + rows >= count and len(data) == wanted:
            data += stream.read(1)
        if len(data) != wanted:
            found = start * dtype.itemsize + len(data)
            raise ImageSetError(f"{where}: expected {count * dtype.itemsize} bytes, found {found}")
        try:
            yield from np.frombuffer(data, dtype).tolist() if wanted else ()
        except ValueError as error:
            raise ImageSetError(f"{where}: damaged, {error}") from error
