"""Per-image columns: one value for each image, packed without loss (aez.md 16).

Needs the standard library alone; ``Column.array`` imports NumPy when it is asked for.
"""

from __future__ import annotations

import math
import operator
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError
from aecodec.io.untrusted import inflate, inflate_exactly
from aecodec.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Value = int | float | str | bool

TEXT: Final = "text"
# name -> (number in the file, struct code); the names are NumPy's, but for text
DTYPES: Final = {
    TEXT: (0, ""),
    "bool": (1, "?"),
    "uint8": (2, "B"),
    "uint16": (3, "H"),
    "uint32": (4, "I"),
    "uint64": (5, "Q"),
    "int8": (6, "b"),
    "int16": (7, "h"),
    "int32": (8, "i"),
    "int64": (9, "q"),
    "float16": (10, "e"),
    "float32": (11, "f"),
    "float64": (12, "d"),
}
_BY_NUMBER: Final = {number: name for name, (number, _) in DTYPES.items()}
NAME_MAX_NBYTES: Final = 255
TEXT_MAX_NBYTES: Final = 65535
_START = struct.Struct("<BII")  # dtype, text_count, texts_nbytes
_LENGTH = struct.Struct("<H")


@dataclass(frozen=True)
class Column:
    """One value for each image. ``Column.of`` makes one from values; ``values`` gives them back.

    ``dtype`` is a name of NumPy's, or "text". ``data`` holds the values little-endian, one after
    the other; of a text it holds u32 numbers into ``texts``, which are all different and come in
    order of first use.
    """

    name: str
    dtype: str
    data: bytes = field(repr=False)
    texts: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, name: str, values: Iterable[Any], dtype: str | None = None) -> Column:
        """A column of these values; ValueError for what no dtype holds.

        ``dtype`` defaults to an array's own; otherwise to "text", "bool", "int64" ("uint64" for
        what is above it) or "float64". A NumPy array of integers, floats, booleans or texts will
        do as values, and so will any sequence of the like.
        """
        if fault := text_fault(name, NAME_MAX_NBYTES):
            raise ValueError(f"column name {name!r}: {fault}")
        where = f"column {name}"
        own = _array_dtype(values, where)
        if own not in (None, TEXT) and dtype in (None, own):  # bit for bit, what NaNs carry too
            little = values.dtype.newbyteorder("<")  # type: ignore[attr-defined]
            return cls(name, str(own), values.astype(little).tobytes())  # type: ignore[attr-defined]
        listed = list(values.tolist() if own else values)  # type: ignore[attr-defined]
        dtype = dtype or own or _guess(listed, where)
        if dtype not in DTYPES:
            raise ValueError(f"{where}: dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
        if dtype == TEXT:
            return cls(name, TEXT, *_pack_texts(listed, where))
        return cls(name, dtype, _pack_numbers(listed, dtype, where))

    @property
    def width(self) -> int:
        """Bytes of a value in ``data``."""
        return 4 if self.dtype == TEXT else struct.calcsize(DTYPES[self.dtype][1])

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held."""
        return len(self.data) + sum(len(text.encode()) + _LENGTH.size for text in self.texts)

    @property
    def values(self) -> tuple[Value, ...]:
        """The values as Python has them."""
        code = "I" if self.dtype == TEXT else DTYPES[self.dtype][1]
        numbers = struct.unpack(f"<{len(self)}{code}", self.data)
        return tuple(self.texts[i] for i in numbers) if self.dtype == TEXT else numbers

    @property
    def array(self) -> npt.NDArray[Any]:
        """The values as a NumPy array of ``dtype``; texts as an array of str."""
        import numpy as np

        if self.dtype == TEXT:
            numbers = np.frombuffer(self.data, "<u4")
            texts: npt.NDArray[Any] = np.array(self.texts or ("",), dtype=np.str_)[numbers]
            return texts
        dtype = np.dtype(self.dtype)
        little: npt.NDArray[Any] = np.frombuffer(self.data, dtype.newbyteorder("<"))
        return little.astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[np.generic]:  # noqa: ANN401
        del copy  # it is a new array each time
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self) -> int:
        return len(self.data) // self.width

    def __getitem__(self, key: int | slice) -> Any:  # noqa: ANN401
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


def text_fault(text: str, max_nbytes: int) -> str | None:
    """What keeps a text from being shown on one line of a terminal, or None."""
    if not text:
        return "is empty"
    try:
        nbytes = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        return f"is not UTF-8: {error}"
    if nbytes > max_nbytes:
        return f"has {nbytes} bytes of UTF-8, expected at most {max_nbytes}"
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in text):
        return "has control characters"
    return None


# ---------------------------------------------------------------- values to bytes


def _array_dtype(values: Iterable[Any], where: str) -> str | None:
    """The dtype of a NumPy array; None for anything else."""
    dtype = getattr(values, "dtype", None)
    if dtype is None or not hasattr(values, "tolist"):
        return None
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{where}: shape is {values.shape}, expected one value for each image")  # type: ignore[attr-defined]
    name = TEXT if dtype.kind == "U" else str(dtype.name)
    if name not in DTYPES:
        raise ValueError(f"{where}: dtype is {dtype}, expected one of {', '.join(DTYPES)}")
    return name


def _guess(values: list[Any], where: str) -> str:
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        return TEXT
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "uint64" if max(values) >= 1 << 63 else "int64"
    if kinds <= {int, float}:
        return "float64"
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError(f"{where}: values are of {names}, expected all int, float, bool or str")


def _pack_numbers(values: list[Any], dtype: str, where: str) -> bytes:
    code = DTYPES[dtype][1]
    if dtype.startswith("float"):
        for value in values:
            if isinstance(value, int) and not isinstance(value, bool) and float(value) != value:
                raise ValueError(f"{where}: {value} is not exact as {dtype}")
    elif dtype == "bool" and not all(isinstance(value, bool) for value in values):
        raise ValueError(f"{where}: expected True or False throughout, dtype is bool")
    try:
        data = struct.pack(f"<{len(values)}{code}", *values)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{where}: not every value is a {dtype}: {error}") from error
    if dtype in ("float16", "float32"):
        found = struct.unpack(f"<{len(values)}{code}", data)
        for value, kept in zip(values, found, strict=True):
            if value != kept and not (math.isnan(value) and math.isnan(kept)):
                raise ValueError(f"{where}: {value!r} is not exact as {dtype}")
    return data


def _pack_texts(values: list[Any], where: str) -> tuple[bytes, tuple[str, ...]]:
    numbers: dict[str, int] = {}
    indices = []
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{where}: {value!r} is of {type(value).__name__}, expected str")  # noqa: TRY004
        indices.append(numbers.setdefault(value, len(numbers)))
    for text in numbers:
        try:
            nbytes = len(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}: {text!r} is not UTF-8: {error}") from error
        if nbytes > TEXT_MAX_NBYTES:
            raise ValueError(
                f"{where}: a text of {nbytes} bytes of UTF-8, expected at most {TEXT_MAX_NBYTES}"
            )
    return struct.pack(f"<{len(indices)}I", *indices), tuple(numbers)


def _renumbered(column: Column) -> Column:
    """The same texts, those unused left out, numbered by first use again."""
    if column.dtype != TEXT:
        return column
    data, texts = _pack_texts(list(column.values), f"column {column.name}")
    return replace(column, data=data, texts=texts)


# ---------------------------------------------------------------- the COLM payload


def pack_column(column: Column) -> bytes:
    """The payload of a COLM section (aez.md 16.3)."""
    texts = b"".join(
        _LENGTH.pack(len(encoded)) + encoded for encoded in (t.encode() for t in column.texts)
    )
    name = column.name.encode("utf-8")
    start = _START.pack(DTYPES[column.dtype][0], len(column.texts), len(texts))
    numbers = column.data
    stored = column.width
    if column.dtype == TEXT:
        stored = _index_width(len(column.texts))
        numbers = b"".join(column.data[i : i + stored] for i in range(0, len(column.data), 4))
    planes = b"".join(numbers[i::stored] for i in range(stored))
    return start + bytes([len(name)]) + name + zlib.compress(texts + planes, 9)


def unpack_column(
    payload: bytes, image_count: int, where: str, max_nbytes: int = DEFAULT_LIMITS.max_column_nbytes
) -> Column:
    """The column that a COLM payload holds for ``image_count`` images.

    What it unpacks to is held against ``max_nbytes`` before anything is allocated.
    """
    where = f"{where}: section COLM"
    dtype, text_count, texts_nbytes, width, at = _unpack_start(payload, where)
    least = _START.size + 1
    name = _column_name(payload[least:at], payload[least - 1], where)
    where = f"{where} {name}"
    if (text_count == 0) != (dtype != TEXT or image_count == 0) or text_count > image_count:
        raise AezCorruptError(
            f"{where}: text_count is {text_count} for {image_count} values of {dtype}"
        )
    memory = image_count * (4 if dtype == TEXT else width) + texts_nbytes
    if memory > max_nbytes:
        raise AezLimitError(f"{where}: {memory} bytes unpacked, max_column_nbytes is {max_nbytes}")
    raw = inflate_exactly(payload[at:], texts_nbytes + image_count * width, where)
    texts = _unpack_texts(raw[:texts_nbytes], text_count, where)
    data = bytearray(image_count * width)
    for i in range(width):
        start = texts_nbytes + i * image_count
        data[i::width] = raw[start : start + image_count]
    if dtype == TEXT:
        return Column(name, TEXT, _text_numbers(bytes(data), width, text_count, where), texts)
    if dtype == "bool" and data.translate(None, b"\0\1"):
        raise AezCorruptError(f"{where}: a bool is neither 0 nor 1")
    return Column(name, dtype, bytes(data))


def column_length(
    payload: bytes, where: str, max_nbytes: int = DEFAULT_LIMITS.max_column_nbytes
) -> int:
    """How many values a COLM payload holds, for a reader that does not know the number of images."""
    _, _, texts_nbytes, width, at = _unpack_start(payload, where)
    raw = inflate(payload[at:], where, ("max_column_nbytes", max_nbytes))
    return max(0, len(raw) - texts_nbytes) // width


def _unpack_start(payload: bytes, where: str) -> tuple[str, int, int, int, int]:
    """dtype, text_count, texts_nbytes, bytes of a value as stored, and where the zlib begins."""
    least = _START.size + 1
    if len(payload) < least:
        raise AezCorruptError(f"{where}: {len(payload)} bytes, expected at least {least}")
    number, text_count, texts_nbytes = _START.unpack_from(payload)
    dtype = _BY_NUMBER.get(number)
    if dtype is None:
        raise AezUnsupportedError(f"{where}: dtype is {number}, this reader knows 0..12")
    width = _index_width(text_count) if dtype == TEXT else struct.calcsize(DTYPES[dtype][1])
    return dtype, text_count, texts_nbytes, width, least + payload[least - 1]


def _index_width(text_count: int) -> int:
    """Bytes of a number below ``text_count``."""
    return 1 if text_count <= 1 << 8 else 2 if text_count <= 1 << 16 else 4


def _column_name(encoded: bytes, nbytes: int, where: str) -> str:
    if len(encoded) < nbytes:
        raise AezCorruptError(f"{where}: name needs {nbytes} bytes, {len(encoded)} are left")
    try:
        name = encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AezCorruptError(f"{where}: name is not UTF-8: {error}") from None
    if fault := text_fault(name, NAME_MAX_NBYTES):
        raise AezCorruptError(f"{where}: name {name!r} {fault}")
    return name


def _unpack_texts(raw: bytes, count: int, where: str) -> tuple[str, ...]:
    texts: list[str] = []
    at = 0
    while at < len(raw) and len(texts) < count:
        end = at + _LENGTH.size
        end += _LENGTH.unpack_from(raw, at)[0] if end <= len(raw) else 0
        if end > len(raw):
            raise AezCorruptError(f"{where}: text {len(texts)} goes beyond texts_nbytes")
        try:
            texts.append(raw[at + _LENGTH.size : end].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise AezCorruptError(f"{where}: text {len(texts)} is not UTF-8: {error}") from None
        at = end
    if at != len(raw) or len(texts) != count:
        raise AezCorruptError(
            f"{where}: {len(texts)} texts in {at} bytes, expected {count} in {len(raw)}"
        )
    if len(set(texts)) != count:
        raise AezCorruptError(f"{where}: a text occurs twice")
    return tuple(texts)


def _text_numbers(packed: bytes, width: int, text_count: int, where: str) -> bytes:
    """Numbers of texts as u32, found in range, each first used after the one before it."""
    code = {1: "B", 2: "H", 4: "I"}[width]
    numbers = struct.unpack(f"<{len(packed) // width}{code}", packed)
    next_new = 0
    for i, number in enumerate(numbers):
        if number > next_new or number >= text_count:
            raise AezCorruptError(f"{where}: value {i} is text {number}, expected 0..{next_new}")
        next_new += number == next_new
    if next_new != text_count:
        raise AezCorruptError(f"{where}: {next_new} of {text_count} texts are used")
    return struct.pack(f"<{len(numbers)}I", *numbers)
