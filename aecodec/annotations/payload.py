"""Columns <-> the payload of a COLM section (aez.md 16.3)."""

from __future__ import annotations

import io
import struct
import zlib
from array import array
from typing import Final, NamedTuple

from aecodec.annotations.column import Column
from aecodec.annotations.texts import Texts, has_repeats
from aecodec.annotations.values import DTYPES, NAME_MAX_NBYTES, TEXT, text_fault
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError
from aecodec.io.cursor import Cursor
from aecodec.io.untrusted import Inflater, Limit, inflated
from aecodec.limits import DEFAULT_LIMITS

_DTYPE_OF_NUMBER: Final = {number: name for name, (number, _) in DTYPES.items()}
_START = struct.Struct("<BIIB")  # dtype, text_count, texts_nbytes, name_nbytes
_LENGTH = struct.Struct("<H")  # of a text
_TEXT_NBYTES: Final = 24  # that a text takes besides its own while a column is unpacked
_BLOCK_NBYTES: Final = 1 << 20  # of numbers of texts that are checked at once
_SMALL_NBYTES: Final = 1 << 12  # that need no NumPy
DEFAULT_LIMIT: Final = ("max_column_nbytes", DEFAULT_LIMITS.max_column_nbytes)


def pack_column(column: Column) -> bytes:
    """The payload of a COLM section."""
    texts = bytearray()
    for text in column.texts:
        encoded = text.encode()
        texts += _LENGTH.pack(len(encoded)) + encoded
    name = column.name.encode("utf-8")
    start = _START.pack(DTYPES[column.dtype][0], len(column.texts), len(texts), len(name))
    slot = column.width
    width = _number_nbytes(len(column.texts)) if column.dtype == TEXT else slot
    packer = zlib.compressobj(9)
    packed = bytearray(start + name + packer.compress(texts))
    for i in range(width):  # a plane of all first bytes, one of all second bytes, and so on
        packed += packer.compress(column.data[i::slot])
    return bytes(packed + packer.flush())


class ColumnHead(NamedTuple):
    """What is known of a column before its values are unpacked."""

    name: str
    dtype: str


def column_head(payload: bytes, where: str) -> ColumnHead:
    """The name and dtype of the column in a COLM payload."""
    cursor = Cursor(payload, f"{where}: section COLM")
    start = _take_start(cursor)
    return ColumnHead(
        _unpack_name(cursor.take(start.name_nbytes, "name"), cursor.where), start.dtype
    )


def column_memory_nbytes(column: Column) -> int:
    """The memory that unpacking a column takes, as :func:`unpack_column` counts it."""
    if column.dtype != TEXT:
        return len(column.data)
    lengths = _LENGTH.size * len(column.texts)
    texts = sum(len(text.encode()) for text in column.texts)
    return len(column.data) + 2 * (texts + lengths) + len(column.texts) * _TEXT_NBYTES


def unpack_column(
    payload: bytes, image_count: int, where: str, limit: Limit = DEFAULT_LIMIT
) -> Column:
    """The column that a COLM payload holds for ``image_count`` images.

    AezLimitError if unpacking it takes more memory than ``limit``, a name and bytes, allows; that
    is known before it is unpacked.
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
    memory = image_count * start.slot + 2 * start.texts_nbytes + text_count * _TEXT_NBYTES
    if memory > limit[1]:
        raise AezLimitError(f"{where}: {memory} bytes unpacked, {limit[0]} allows {limit[1]}")
    expected = start.texts_nbytes + image_count * start.width
    inflater = Inflater(cursor.take(cursor.left_nbytes, "zlib"), where, expected)
    texts = _unpack_texts(b"".join(inflater.pieces(start.texts_nbytes)), text_count, where)
    data = _join_planes(inflater, image_count, start.width, start.slot)
    inflater.finish()
    if dtype == TEXT:
        _check_numbers(data, text_count, where)
        return Column(name, TEXT, data, texts)
    if dtype == "bool" and data.translate(None, b"\0\1"):
        raise AezCorruptError(f"{where}: a bool is neither 0 nor 1")
    return Column(name, dtype, data)


def column_length(payload: bytes, where: str, limit: Limit = DEFAULT_LIMIT) -> int:
    """How many values a COLM payload holds, where the number of images is unknown.

    AezLimitError if it unpacks to more bytes than the limit.
    """
    cursor = Cursor(payload, where)
    start = _take_start(cursor)
    cursor.take(start.name_nbytes, "name")
    nbytes = sum(map(len, inflated(cursor.take(cursor.left_nbytes, "zlib"), where, limit)))
    return max(0, nbytes - start.texts_nbytes) // start.width


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

    @property
    def slot(self) -> int:
        """Bytes of a value once it is unpacked."""
        return 4 if self.dtype == TEXT else self.width


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


def _join_planes(inflater: Inflater, count: int, width: int, slot: int) -> bytes:
    """Values of ``slot`` bytes from their bytes 0, their bytes 1 and so on, ``count`` each."""
    out = io.BytesIO()  # whose content becomes bytes without a copy
    if count:
        out.seek(count * slot - 1)
        out.write(b"\0")
        with out.getbuffer() as view:
            for i in range(width):
                at = i
                for piece in inflater.pieces(count):
                    end = at + len(piece) * slot
                    view[at:end:slot] = piece
                    at = end
    return out.getvalue()


def _unpack_texts(raw: bytes, count: int, where: str) -> Texts:
    data, ends = bytearray(), array("Q")
    at = 0
    while at < len(raw) and len(ends) < count:
        end = at + _LENGTH.size
        end += _LENGTH.unpack_from(raw, at)[0] if end <= len(raw) else 0
        if end > len(raw):
            raise AezCorruptError(f"{where}: text {len(ends)} goes beyond texts_nbytes")
        text = raw[at + _LENGTH.size : end]
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AezCorruptError(f"{where}: text {len(ends)} is not UTF-8: {error}") from None
        data += text
        ends.append(len(data))
        at = end
    if at != len(raw) or len(ends) != count:
        raise AezCorruptError(
            f"{where}: {len(ends)} texts in {at} bytes, expected {count} in {len(raw)}"
        )
    texts = Texts.of_utf8(bytes(data), ends)
    if has_repeats(texts):
        raise AezCorruptError(f"{where}: a text occurs twice")
    return texts


def _check_numbers(data: bytes, text_count: int, where: str) -> None:
    """AezCorruptError unless numbers of texts, u32, are by first use and use all texts."""
    next_new = 0
    for start in range(0, len(data), _BLOCK_NBYTES):
        block = data[start : start + _BLOCK_NBYTES]
        if len(block) > _SMALL_NBYTES:
            after = _next_new_after(block, next_new, text_count)
            if after is not None:
                next_new = after
                continue
        for i, (number,) in enumerate(struct.iter_unpack("<I", block), start // 4):
            if number > next_new or number >= text_count:
                raise AezCorruptError(
                    f"{where}: value {i} is text {number}, expected 0..{next_new}"
                )
            next_new += number == next_new
    if next_new != text_count:
        raise AezCorruptError(f"{where}: {next_new} of {text_count} texts are used")


def _next_new_after(block: bytes, next_new: int, text_count: int) -> int | None:
    """The next new number, if each is at most one more than all before it, and that of a text.

    None otherwise, and without NumPy.
    """
    try:
        import numpy as np
    except ImportError:
        return None
    numbers = np.frombuffer(block, "<u4").astype(np.int64)
    most = np.maximum.accumulate(np.concatenate([[next_new - 1], numbers]))
    in_order = (numbers <= most[:-1] + 1).all() and most[-1] < text_count
    return int(most[-1]) + 1 if in_order else None
