"""Columns: any value back bit for bit, the bytes of the format, and every kind of damage."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecodec.annotations.column import Column
from aecodec.annotations.payload import pack_column, unpack_column
from aecodec.annotations.values import DTYPES
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError

NUMBERS = [name for name in DTYPES if name != "text"]


def again(column: Column) -> Column:
    return unpack_column(pack_column(column), len(column), "x.aez")


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("count", [0, 1, 300])
def test_arrays_come_back_bit_for_bit(dtype, count):
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, count * np.dtype(dtype).itemsize, np.uint8)
    array = (raw & 1 if dtype == "bool" else raw).tobytes()
    array = np.frombuffer(array, dtype)  # NaNs of every kind among the floats
    column = again(Column.of("c", array))
    assert column.array.dtype == array.dtype
    assert column.array.tobytes() == array.tobytes()
    assert column.data == array.astype(np.dtype(dtype).newbyteorder("<")).tobytes()


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20)))
def test_any_texts_come_back(values):
    column = again(Column.of("c", values))
    assert list(column) == values
    assert list(column.values) == values
    assert len(column) == len(values)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_any_integers_come_back(values):
    column = again(Column.of("c", values))
    assert column.dtype == "int64"
    assert list(column) == values


@given(st.lists(st.floats(), min_size=1))
def test_any_floats_come_back(values):
    column = again(Column.of("c", values))
    assert struct.pack(f"<{len(values)}d", *column) == struct.pack(f"<{len(values)}d", *values)


@pytest.mark.parametrize("count", [2, 256, 257, 65536, 65537])
def test_many_different_texts(count):
    values = [f"text {i}" for i in range(count)]
    assert again(Column.of("c", values)).values == tuple(values)


def test_guessed_dtypes():
    cases = [([], "text"), (["a"], "text"), ([True], "bool"), ([1, -1], "int64")]
    cases += [([2**63], "uint64"), ([1.5, 2], "float64"), (np.array(["a", "bc"]), "text")]
    for values, dtype in cases:
        assert Column.of("c", values).dtype == dtype


def test_indexing_and_slices():
    column = Column.of("c", ["b", "a", "b", "c"])
    assert (column[0], column[-1]) == ("b", "c")
    assert column[1:3] == Column.of("c", ["a", "b"])
    assert column[::2] == Column.of("c", ["b", "b"])
    assert column.take([3, 0]) == Column.of("c", ["c", "b"])
    assert np.asarray(column).tolist() == ["b", "a", "b", "c"]
    with pytest.raises(IndexError, match="column c: value 4, it holds 4"):
        column[4]


@pytest.mark.parametrize(
    "key",
    [
        slice(None, None, -1),
        [3, -1, 0],
        [],
        np.array([1, 2], np.uint8),
        np.array([True, False, False, True]),
        [False, True, False, False],
        range(3, 0, -2),
    ],
    ids=repr,
)
def test_several_values(key):
    values = np.array(["b", "a", "b", "c"])
    column = Column.of("c", values)
    for taken in (column[key], column.take(key)):
        assert taken == Column.of("c", values[key].tolist())
    assert column[np.int8(-2)] == column[np.array(2)] == "b"


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ([0, 4], IndexError, "column {c}: value 4, it holds 4"),
        (-5, IndexError, "column {c}: value -5, it holds 4"),
        (np.int64(4), IndexError, "column {c}: value 4, it holds 4"),
        ([True, False], IndexError, "mask has shape"),
        (True, TypeError, "found a single boolean"),
        (1.0, TypeError, "found float"),
        ([0.5], TypeError, "found list"),
        ("b", TypeError, "found str"),
        (None, TypeError, "found None"),
    ],
    ids=repr,
)
def test_refused_indices(key, kind, message):
    with pytest.raises(kind, match=message):
        Column.of("{c}", [1, 2, 3, 4])[key]


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([1, "a"], None, "values are of int, str, expected all int, float, bool or str"),
        ([1, None], None, "value 1 is missing \\(None\\)"),
        (["a", 1], "text", "1 is of int, expected str"),
        ([256], "uint8", "not every value is a uint8"),
        ([2**64], None, "not every value is a uint64"),
        ([0.1], "float32", "0.1 is not exact as float32"),
        ([2**53 + 1, 0.5], None, f"{2**53 + 1} is not exact as float64"),
        ([0], "bool", "expected True or False"),
        ([0], "complex64", "dtype is 'complex64', expected one of"),
        (["a" * 65536], None, "a text of 65536 bytes of UTF-8, expected at most 65535"),
        (["\ud800"], None, "is not UTF-8"),
        (np.zeros((2, 2)), None, r"shape is \(2, 2\), expected one value for each image"),
        (np.zeros(2, complex), None, "dtype is complex128"),
    ],
)
def test_what_no_column_holds(values, dtype, message):
    with pytest.raises(ValueError, match=message):
        Column.of("c", values, dtype)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "x" * 256, "\ud800"])
def test_names_that_cannot_be_shown(name):
    with pytest.raises(ValueError, match="column name"):
        Column.of(name, [1])


def test_nan_is_exact():
    assert math.isnan(Column.of("c", [math.nan], "float32")[0])


# ---------------------------------------------------------------- bytes


def payload(number, text_count, texts, name, values):
    start = struct.pack("<BII", number, text_count, len(texts))
    return start + bytes([len(name)]) + name + zlib.compress(texts + values)


def test_bytes_of_numbers():
    expected = payload(7, 0, b"", b"ab", b"\x01\xff\x34" + b"\x00\xff\x12")
    packed = pack_column(Column.of("ab", [1, -1, 0x1234], "int16"))
    assert packed[:12] == expected[:12] == bytes.fromhex("07 00000000 00000000 02 6162")
    assert zlib.decompress(packed[12:]) == b"\x01\xff\x34\x00\xff\x12"
    assert unpack_column(expected, 3, "x") == Column.of("ab", [1, -1, 0x1234], "int16")


def test_bytes_of_texts():
    expected = payload(0, 2, b"\x03\0cat\x04\0d\xc3\xb6g", b"k", b"\0\1\0")
    column = Column.of("k", ["cat", "dög", "cat"])
    packed = pack_column(column)
    assert packed[:11] == expected[:11]
    assert zlib.decompress(packed[11:]) == zlib.decompress(expected[11:])
    assert unpack_column(expected, 3, "x") == column


def test_names_of_dtypes_are_numpys():
    assert [np.dtype(name).name for name in NUMBERS] == NUMBERS
    assert [number for number, _ in DTYPES.values()] == list(range(13))


# ---------------------------------------------------------------- damage

CAT = b"\x03\0cat\x03\0dog"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "section COLM: start needs 10 bytes, 0 are left"),
        (struct.pack("<BIIB", 2, 0, 0, 5) + b"ab", "name needs 5 bytes, 2 are left"),
        (payload(2, 0, b"", b"", b"123"), "name '' is empty"),
        (payload(2, 0, b"", b"\xff", b"123"), "name is not UTF-8"),
        (payload(2, 0, b"", b"a\x1b", b"123"), "has control characters"),
        (payload(2, 0, b"", b"a", b"12"), "COLM a: unpacks to 2 bytes, expected 3"),
        (payload(2, 0, b"", b"a", b"1234"), "unpacks to more than 3 bytes, expected 3"),
        (payload(2, 0, b"", b"a", b"123") + b"x", "zlib data cut, or followed by other bytes"),
        (payload(2, 0, b"", b"a", b"123")[:-1], "zlib data cut, or followed by other bytes"),
        (payload(2, 0, b"", b"a", b"123")[:-9] + b"12345678", "damaged zlib|unpacks to"),
        (struct.pack("<BIIB", 2, 0, 0, 1) + b"a" + b"junk", "damaged zlib data"),
        (payload(2, 1, b"\0\0", b"a", b"123"), "text_count is 1 for 3 values of uint8"),
        (payload(0, 0, b"", b"a", b"\0\0\0"), "text_count is 0 for 3 values of text"),
        (payload(0, 4, CAT, b"a", b"\0\1\0"), "text_count is 4 for 3 values of text"),
        (payload(0, 3, CAT, b"a", b"\0\1\0"), "2 texts in 10 bytes, expected 3 in 10"),
        (payload(0, 1, CAT, b"a", b"\0\0\0"), "1 texts in 5 bytes, expected 1 in 10"),
        (payload(0, 2, CAT[:-1], b"a", b"\0\1\0"), "text 1 goes beyond texts_nbytes"),
        (payload(0, 2, CAT[:6], b"a", b"\0\1\0"), "text 1 goes beyond texts_nbytes"),
        (payload(0, 2, b"\1\0\xff\0\0", b"a", b"\0\1\0"), "text 0 is not UTF-8"),
        (payload(0, 2, b"\0\0\0\0", b"a", b"\0\1\0"), "a text occurs twice"),
        (payload(0, 2, CAT, b"a", b"\1\0\0"), "value 0 is text 1, expected 0..0"),
        (payload(0, 2, CAT, b"a", b"\0\1\2"), "value 2 is text 2, expected 0..2"),
        (payload(0, 2, CAT, b"a", b"\0\0\0"), "1 of 2 texts are used"),
        (payload(1, 0, b"", b"a", b"\0\1\2"), "a bool is neither 0 nor 1"),
    ],
)
def test_damage(data, message):
    with pytest.raises(AezCorruptError, match=message):
        unpack_column(data, 3, "x.aez")


def test_a_dtype_from_the_future():
    with pytest.raises(AezUnsupportedError, match=r"dtype is 13, this reader knows 0\.\.12"):
        unpack_column(payload(13, 0, b"", b"a", b"123"), 3, "x.aez")


def test_limit_comes_before_unpacking():
    bomb = payload(2, 0, b"", b"a", bytes(1 << 20))
    assert len(unpack_column(bomb, 1 << 20, "x.aez")) == 1 << 20
    with pytest.raises(AezLimitError, match="bytes unpacked, max_column_nbytes allows 1048575"):
        unpack_column(bomb, 1 << 20, "x.aez", ("max_column_nbytes", (1 << 20) - 1))
    lie = struct.pack("<BIIB", 0, 1, 0xFFFF_FFFF, 1) + b"a" + zlib.compress(b"")
    with pytest.raises(AezLimitError, match="max_column_nbytes allows 268435456"):
        unpack_column(lie, 3, "x.aez")


@given(st.binary(max_size=60), st.integers(0, 12))
def test_junk_is_corrupt_or_a_column(junk, number):
    data = struct.pack("<BIIB", number, len(junk) % 3, len(junk) % 7, 1) + b"a"
    try:
        column = unpack_column(data + zlib.compress(junk), 3, "x.aez")
    except AezCorruptError:
        return
    assert len(column.values) == 3


def test_booleans_of_any_byte():
    made = np.array([0, 1, 2, 255], np.uint8).view(np.bool_)
    column = Column.of("a", made[::-1])
    assert column.values == (True, True, True, False)
    assert column.data == b"\1\1\1\0"


@pytest.mark.parametrize("changed", [None, 299_999, 262_144, 5])
def test_numbers_of_many_texts_are_by_first_use(changed):
    values = [f"t{i % 300}" for i in range(300_000)]
    column = Column.of("a", values)
    data = bytearray(column.data)
    if changed is not None:
        data[4 * changed : 4 * changed + 4] = (300 if changed > 5 else 6).to_bytes(4, "little")
    packed = pack_column(replace(column, data=bytes(data)))
    if changed is None:
        assert unpack_column(packed, len(values), "x.aez") == column
        return
    with pytest.raises(AezCorruptError, match=f"value {changed} is text"):
        unpack_column(packed, len(values), "x.aez")
