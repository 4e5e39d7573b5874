"""Columns <-> the payload of a COLM section (aez.md 16.3)."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from aecodec.annotations.column import Column
from aecodec.annotations.values import DTYPES, NAME_MAX_NBYTES, TEXT, text_fault
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError
from aecodec.io.cursor import Cursor
from aecodec.io.untrusted import inflate, inflate_exactly
from aecodec.limits import DEFAULT_LIMITS

_DTYPE_OF_NUMBER: Final = {number: name for name, (number, _) in DTYPES.items()}
_START = struct.Struct("<BIIB")  # dtype, text_count, texts_nbytes, name_nbytes
_LENGTH = struct.Struct("<H")  # of a text


def pack_column(column: Column) -> bytes:
    """The payload of a COLM section."""
    texts = b"".join(
        _LENGTH.pack(len(encoded)) + encoded for encoded in (t.encode() for t in column.texts)
    )
    name = column.name.encode("utf-8")
    start = _START.pack(DTYPES[column.dtype][0], len(column.texts), len(texts), len(name))
    numbers = column.data
    width = column.width
    if column.dtype == TEXT:
        width = _number_nbytes(len(column.texts))
        numbers = b"".join(column.data[i : i + width] for i in range(0, len(column.data), 4))
    planes = b"".join(numbers[i::width] for i in range(width))
    return start + name + zlib.compress(texts + planes, 9)


def unpack_column(
    payload: bytes, image_count: int, where: str, max_nbytes: int = DEFAULT_LIMITS.max_column_nbytes
) -> Column:
    """The column that a COLM payload holds for ``image_count`` images.

    AezLimitError if it unpacks to more than ``max_nbytes``; that is known before it is unpacked.
    """
    where = f"{where}: section COLM"
    cursor = Cursor(payload, where)
    start = _take_start(cursor)
    name = _unpack_name(cursor.take(start.name_nbytes, "name"), where)
    where = f"{where} {name}"
    dtype, text_count = start.dtype, start.text_count
    if (text_count == 0) != (dtype != TEXT or image_count == 0) or text_count > image_count:
        raise AezCorruptError(
            f"{where}: text_count is {text_count} for {image_count} values of {dtype}"
        )
    memory = image_count * (4 if dtype == TEXT else start.width) + start.texts_nbytes
    if memory > max_nbytes:
        raise AezLimitError(f"{where}: {memory} bytes unpacked, max_column_nbytes is {max_nbytes}")
    stream = cursor.take(cursor.left_nbytes, "zlib")
    raw = inflate_exactly(stream, start.texts_nbytes + image_count * start.width, where)
    texts = _unpack_texts(raw[: start.texts_nbytes], text_count, where)
    data = _join_planes(raw[start.texts_nbytes :], image_count, start.width)
    if dtype == TEXT:
        return Column(name, TEXT, _text_numbers(data, start.width, text_count, where), texts)
    if dtype == "bool" and data.translate(None, b"\0\1"):
        raise AezCorruptError(f"{where}: a bool is neither 0 nor 1")
    return Column(name, dtype, data)


def column_length(
    payload: bytes, where: str, max_nbytes: int = DEFAULT_LIMITS.max_column_nbytes
) -> int:
    """How many values a COLM payload holds, where the number of images is unknown."""
    cursor = Cursor(payload, where)
    start = _take_start(cursor)
    cursor.take(start.name_nbytes, "name")
    stream = cursor.take(cursor.left_nbytes, "zlib")
    raw = inflate(stream, where, ("max_column_nbytes", max_nbytes))
    return max(0, len(raw) - start.texts_nbytes) // start.width


class _Start(NamedTuple):
    dtype: str
    text_count: int
    texts_nbytes: int
    name_nbytes: int

    @property
    def width(self) -> int:
        """Bytes of a value as stored."""
        if self.dtype == TEXT:
            return _number_nbytes(self.text_count)
        return struct.calcsize(DTYPES[self.dtype][1])


def _take_start(cursor: Cursor) -> _Start:
    number, *others = _START.unpack(cursor.take(_START.size, "start"))
    dtype = _DTYPE_OF_NUMBER.get(number)
    if dtype is None:
        last = max(_DTYPE_OF_NUMBER)
        raise AezUnsupportedError(f"{cursor.where}: dtype is {number}, this reader knows 0..{last}")
    return _Start(dtype, *others)


def _number_nbytes(text_count: int) -> int:
    """Bytes of a number below ``text_count``."""
    return 1 if text_count <= 1 << 8 else 2 if text_count <= 1 << 16 else 4


def _unpack_name(encoded: bytes, where: str) -> str:
    try:
        name = encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AezCorruptError(f"{where}: name is not UTF-8: {error}") from None
    if fault := text_fault(name, NAME_MAX_NBYTES):
        raise AezCorruptError(f"{where}: name {name!r} {fault}")
    return name


def _join_planes(planes: bytes, count: int, width: int) -> bytes:
    """Values from their bytes 0, their bytes 1 and so on, ``count`` bytes each."""
    data = bytearray(count * width)
    for i in range(width):
        data[i::width] = planes[i * count : (i + 1) * count]
    return bytes(data)


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
    """Numbers of texts as u32; AezCorruptError unless they are by first use and use all texts."""
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
