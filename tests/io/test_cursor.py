"""The cursor over bytes of others: what it takes, and what it says when they are damaged."""

from __future__ import annotations

import pytest

from aecodec.errors import AezCorruptError
from aecodec.io.cursor import Cursor, pack_leb128

NUMBERS = {  # (number, its shortest form)
    0: "00",
    1: "01",
    127: "7f",
    128: "8001",
    300: "ac02",
    (1 << 14) - 1: "ff7f",
    1 << 14: "808001",
    (1 << 32) - 1: "ffffffff0f",
}


@pytest.mark.parametrize(("value", "packed"), NUMBERS.items())
def test_leb128(value, packed):
    assert pack_leb128(value).hex() == packed
    cursor = Cursor(bytes.fromhex(packed) + b"\x80", "it")
    assert cursor.leb128("number") == value
    assert cursor.left_nbytes == 1


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        ("", "it: number is cut, 0 bytes are left"),
        ("ff", "it: number is cut, 1 bytes are left"),
        ("80808080", "it: number is cut, 4 bytes are left"),
        ("808080808000", "it: number is longer than 5 bytes"),
        ("8000", "it: number 0 is not in its shortest form"),
        ("ff00", "it: number 127 is not in its shortest form"),
        ("8080808010", "it: number 4294967296 is over 32 bits"),
    ],
)
def test_bad_leb128(packed, message):
    with pytest.raises(AezCorruptError, match=message):
        Cursor(bytes.fromhex(packed), "it").leb128("number")


def test_taking():
    cursor = Cursor(b"ab\2cd\7", "it")
    assert cursor.take(2, "start") == b"ab"
    assert cursor.take_counted("name") == b"cd"
    assert cursor.left_nbytes == 1
    assert cursor.byte("end") == 7
    assert cursor.take(0, "nothing") == b""
    cursor.finish()


def test_never_past_the_end():
    with pytest.raises(AezCorruptError, match="it: start needs 3 bytes, 2 are left"):
        Cursor(b"ab", "it").take(3, "start")
    with pytest.raises(AezCorruptError, match="it: end needs 1 bytes, 0 are left"):
        Cursor(b"", "it").byte("end")
    with pytest.raises(AezCorruptError, match="it: name length needs 1 bytes, 0 are left"):
        Cursor(b"", "it").take_counted("name")
    with pytest.raises(AezCorruptError, match="it: name needs 4 bytes, 1 are left"):
        Cursor(b"\4a", "it").take_counted("name")


def test_bytes_left_over():
    with pytest.raises(AezCorruptError, match="it: 3 bytes left over"):
        Cursor(b"abc", "it").finish()
