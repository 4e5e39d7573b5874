"""Values of a column to little-endian bytes without loss, and which texts are allowed (aez.md 16).

Needs the standard library alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aecodec.annotations.foreign import plain_values

if TYPE_CHECKING:
    import numpy.typing as npt

Value = int | float | str | bool

TEXT: Final = "text"
# name -> (number in the file, struct code); the names are NumPy's, except for "text"
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
NAME_MAX_NBYTES: Final = 255
TEXT_MAX_NBYTES: Final = 65535


class PackedValues(NamedTuple):
    """``data`` and ``texts`` as in :class:`aecodec.annotations.column.Column`, and their dtype."""

    dtype: str
    data: bytes
    texts: tuple[str, ...] = ()


def pack_values(values: Iterable[Any], dtype: str | None, where: str) -> PackedValues:
    """The bytes of values of ``dtype``; ValueError if that dtype does not hold them all exactly.

    Without a ``dtype`` it is the array's own, or else follows from the types of the values.
    """
    plain = plain_values(values, where)
    if isinstance(plain, list):
        listed, dtype = plain, dtype or _guess(plain, where)
    else:
        own = _dtype_name(plain, where)
        if own != TEXT and dtype in (None, own):  # bit for bit: NaNs keep their payloads
            if own == "bool":  # whose bytes may be any, where another library made them
                plain = plain.view("uint8") != 0
            return PackedValues(own, plain.astype(plain.dtype.newbyteorder("<")).tobytes())
        listed, dtype = plain.tolist(), dtype or own
    if dtype not in DTYPES:
        raise ValueError(f"{where}: dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
    if dtype == TEXT:
        return PackedValues(TEXT, *pack_texts(listed, where))
    return PackedValues(dtype, _pack_numbers(listed, dtype, where))


def _dtype_name(array: npt.NDArray[Any], where: str) -> str:
    """The name of an array's dtype in a file; ValueError if a column cannot have it."""
    kind = array.dtype.kind
    name = TEXT if kind in "UT" else str(array.dtype.name)
    if name in DTYPES:
        return name
    hint = ""
    if kind in "Mm":
        hint = "; .astype(str) makes texts of times"
    elif kind == "S":
        hint = "; numpy.char.decode(values, 'utf-8') makes texts of bytes"
    raise ValueError(f"{where}: dtype is {array.dtype}, expected one of {', '.join(DTYPES)}{hint}")


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
    for i, value in enumerate(values):
        is_nan = isinstance(value, float) and math.isnan(value) and str in kinds
        if value is None or is_nan or type(value).__name__ in ("NAType", "NaTType"):
            raise ValueError(f"{where}: value {i} is missing ({value}), the others are not")
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


def pack_texts(values: Iterable[Any], where: str) -> tuple[bytes, tuple[str, ...]]:
    """Numbers of texts, u32, and the texts, all different and in order of first use.

    ValueError for a value that is no text, or a text that UTF-8 or the format does not hold.
    """
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
