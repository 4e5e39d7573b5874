"""Per-image columns: one value for each image.

Needs the standard library alone; ``Column.array`` imports NumPy when it is asked for.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

from aecodec.annotations.values import (
    DTYPES,
    NAME_MAX_NBYTES,
    TEXT,
    Value,
    pack_texts,
    pack_values,
    text_fault,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_TEXT_LENGTH_NBYTES = 2  # before each text in the file


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
    texts: tuple[str, ...] = field(default=(), repr=False)

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
        texts = sum(len(text.encode()) + _TEXT_LENGTH_NBYTES for text in self.texts)
        return len(self.data) + texts

    @property
    def values(self) -> tuple[Value, ...]:
        """The values as Python's int, float, bool or str."""
        code = "I" if self.dtype == TEXT else DTYPES[self.dtype][1]
        numbers = struct.unpack(f"<{len(self)}{code}", self.data)
        return tuple(self.texts[i] for i in numbers) if self.dtype == TEXT else numbers

    @property
    def array(self) -> npt.NDArray[Any]:
        """The values as a NumPy array (N,) of ``dtype``; texts as an array of str."""
        import numpy as np

        if self.dtype == TEXT:
            numbers = np.frombuffer(self.data, "<u4")
            texts: npt.NDArray[Any] = np.array(self.texts or ("",), dtype=np.str_)[numbers]
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

    @overload
    def __getitem__(self, key: int) -> Value: ...

    @overload
    def __getitem__(self, key: slice) -> Column: ...

    def __getitem__(self, key: int | slice) -> Value | Column:
        """A value for an int, a column of the same name for a slice."""
        if isinstance(key, slice):
            return self.take(range(len(self))[key])
        index = operator.index(key)
        if not -len(self) <= index < len(self):
            raise IndexError(f"column {self.name}: value {index}, it holds {len(self)}")
        at = index % len(self) * self.width
        piece = replace(self, data=self.data[at : at + self.width])
        return piece.values[0]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def take(self, indices: Sequence[int]) -> Column:
        """The values at these indices, none of them negative."""
        width, data = self.width, self.data
        if isinstance(indices, range) and indices.step == 1:
            return _renumbered(
                replace(self, data=data[indices.start * width : indices.stop * width])
            )
        taken = b"".join(data[i * width : (i + 1) * width] for i in indices)
        return _renumbered(replace(self, data=taken))


def _renumbered(column: Column) -> Column:
    """The same column, its texts numbered by first use again; unused texts are left out."""
    if column.dtype != TEXT:
        return column
    data, texts = pack_texts(column.values, f"column {column.name}")
    return replace(column, data=data, texts=texts)
