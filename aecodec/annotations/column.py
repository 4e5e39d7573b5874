"""Per-image columns: one value for each image.

Needs the standard library alone; ``Column.array`` imports NumPy when it is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
        at = key % len(self) * self.width
        piece = replace(self, data=self.data[at : at + self.width])
        return piece.values[0]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def take(self, indices: Any) -> Column:  # noqa: ANN401  # as NumPy's arrays
        """The values at these indices: a slice, a mask or integers, negatives from the end."""
        width, data = self.width, self.data
        if isinstance(indices, slice):
            indices = range(len(self))[indices]
        is_run = isinstance(indices, range) and indices.step == 1
        if is_run and 0 <= indices.start < indices.stop <= len(self):
            piece = data[indices.start * width : indices.stop * width]
            return _renumbered(replace(self, data=piece))
        from aecodec.arrays import positions

        chosen = positions(indices, len(self), self._out_of_range).ravel().tolist()
        taken = b"".join(data[i * width : (i + 1) * width] for i in chosen)
        return _renumbered(replace(self, data=taken))

    @property
    def _out_of_range(self) -> str:
        name = self.name.replace("{", "{{").replace("}", "}}")  # format fills in the index
        return f"column {name}: value {{}}, it holds {len(self)}"


def _renumbered(column: Column) -> Column:
    """The same column, its texts numbered by first use again; unused texts are left out."""
    if column.dtype != TEXT:
        return column
    data, texts = pack_texts(column.values, f"column {column.name}")
    return replace(column, data=data, texts=texts)
