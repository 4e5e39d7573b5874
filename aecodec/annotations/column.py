"""Per-image columns: one value for each image.

Needs the standard library alone; ``Column.array`` imports NumPy when it is asked for.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aecodec.annotations.texts import Texts
from aecodec.annotations.values import (
    DTYPES,
    NAME_MAX_NBYTES,
    TEXT,
    Value,
    pack_values,
    text_fault,
)
from aecodec.errors import AezLimitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_TEXT_LENGTH_NBYTES = 2  # before each text in the file
ARRAY_MAX_NBYTES = 1 << 30  # of texts in an array


@dataclass(frozen=True)
class Column:
    """One value for each image: ``Column.of`` makes a column, ``values`` gives the values back.

    ``dtype`` is NumPy's name of a dtype, or "text". ``data`` holds the values little-endian, one
    after the other. Values of "text" are u32 numbers in ``data``; they number ``texts``, which are
    all different and in order of first use.
    """

    name: str
    dtype: str
    data: bytes = field(repr=False)
    texts: Sequence[str] = field(default=(), repr=False)

    @classmethod
    def of(cls, name: str, values: Iterable[Any], dtype: str | None = None) -> Column:
        """A column of these values; ValueError if ``dtype`` does not hold them all exactly.

        ``values`` are an array (N,) or (N, 1), a tensor, a series, or any other iterable of
        integers, floats, booleans or texts, NumPy's among them. ``dtype`` defaults to the array's
        own; for others to "text", "bool", "int64" ("uint64" if one is too large for that) or
        "float64". ValueError where a value is missing.
        """
        if isinstance(values, Column):
            dtype = dtype or values.dtype
            values = values.values
        if fault := text_fault(name, NAME_MAX_NBYTES):
            raise ValueError(f"column name {name!r}: {fault}")
        return cls(name, *pack_values(values, dtype, f"column {name}"))

    @property
    def width(self) -> int:
        """Bytes of one value in ``data``."""
        return 4 if self.dtype == TEXT else struct.calcsize(DTYPES[self.dtype][1])

    @property
    def nbytes(self) -> int:
        """Bytes of ``data`` and of the texts with their lengths."""
        texts = self.texts if isinstance(self.texts, Texts) else Texts(self.texts)
        return len(self.data) + texts.utf8_nbytes + _TEXT_LENGTH_NBYTES * len(texts)

    @property
    def values(self) -> tuple[Value, ...]:
        """The values as Python's int, float, bool or str."""
        numbers = struct.unpack(f"<{len(self)}{self._code}", self.data)
        if self.dtype != TEXT:
            return numbers
        texts = tuple(self.texts)
        return tuple(texts[i] for i in numbers)

    @property
    def array(self) -> npt.NDArray[Any]:
        """The values as a NumPy array (N,) of ``dtype``; texts as an array of str.

        AezLimitError where long texts make that over 1 GiB: each takes as much as the longest.
        """
        import numpy as np

        if self.dtype == TEXT:
            numbers = np.frombuffer(self.data, "<u4")
            nbytes = max(len(numbers), len(self.texts)) * 4 * max(map(len, self.texts), default=1)
            if nbytes > ARRAY_MAX_NBYTES:
                raise AezLimitError(
                    f"column {self.name}: its texts as an array of one width take {nbytes} bytes, "
                    f"expected at most {ARRAY_MAX_NBYTES}; iterate over the column instead"
                )
            texts: npt.NDArray[Any] = np.array(tuple(self.texts) or ("",), np.str_)[numbers]
            return texts
        dtype = np.dtype(self.dtype)
        little: npt.NDArray[Any] = np.frombuffer(self.data, dtype.newbyteorder("<"))
        return little.astype(dtype)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[np.generic]:
        del copy  # it is a new array each time
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self) -> int:
        return len(self.data) // self.width

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  # a value, or a column
        """A value for an integer; for a slice, a mask or several integers a column of that name.

        Negatives count from the end. IndexError for what is out of range, TypeError for any other
        kind of key.
        """
        if not isinstance(key, int) or isinstance(key, bool):
            from aecodec.arrays import position

            number = position(key, len(self), self._out_of_range)
            if number is None:
                return self.take(key)
            key = number
        if not -len(self) <= key < len(self):
            raise IndexError(self._out_of_range.format(key))
        (number,) = struct.unpack_from(f"<{self._code}", self.data, key % len(self) * self.width)
        return self.texts[number] if self.dtype == TEXT else number

    def __iter__(self) -> Iterator[Value]:
        for (number,) in struct.iter_unpack(f"<{self._code}", self.data):
            yield self.texts[number] if self.dtype == TEXT else number

    @property
    def _code(self) -> str:
        """The struct code of what is in ``data``."""
        return "I" if self.dtype == TEXT else DTYPES[self.dtype][1]

    def take(self, indices: Any) -> Column:  # noqa: ANN401  # as NumPy's arrays
        """The values at these indices: a slice, a mask or integers, negatives from the end."""
        width, data = self.width, self.data
        if isinstance(indices, slice):
            indices = range(len(self))[indices]
        is_run = isinstance(indices, range) and indices.step == 1
        if is_run and 0 <= indices.start < indices.stop <= len(self):
            return self.take_spans([(indices.start, indices.stop)])
        import numpy as np

        from aecodec.arrays import positions

        chosen = positions(indices, len(self), self._out_of_range).ravel()
        taken = np.frombuffer(data, f"V{width}")[chosen].tobytes()
        return _renumbered(replace(self, data=taken))

    def take_spans(self, spans: Iterable[tuple[int, int]]) -> Column:
        """The values at (first, last + 1) of each of these spans, which lie in the column."""
        pieces = list(spans)
        if pieces == [(0, len(self))]:
            return self
        width = self.width
        data = b"".join(self.data[start * width : stop * width] for start, stop in pieces)
        return _renumbered(replace(self, data=data))

    @property
    def _out_of_range(self) -> str:
        name = self.name.replace("{", "{{").replace("}", "}}")  # format fills in the index
        return f"column {name}: value {{}}, it holds {len(self)}"


def _renumbered(column: Column) -> Column:
    """The same column, its texts numbered by first use again; unused texts are left out."""
    if column.dtype != TEXT:
        return column
    unused = len(column.texts)
    new = array("I", [unused]) * unused  # old number -> number by first use
    used, numbers = array("I"), array("I")
    for (number,) in struct.iter_unpack("<I", column.data):
        if new[number] == unused:
            new[number] = len(used)
            used.append(number)
        numbers.append(new[number])
    if sys.byteorder == "big":
        numbers.byteswap()
    return replace(column, data=numbers.tobytes(), texts=Texts(column.texts[i] for i in used))
