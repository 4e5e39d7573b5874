"""zlib of strangers: pieces, limits, and what follows or is missing."""

from __future__ import annotations

import zlib

import pytest

from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.untrusted import Inflater, inflate, inflated

LIMIT = ("max_memory_nbytes", 1 << 20)


def test_pieces_are_the_content():
    content = bytes(range(256)) * 20_000
    packed = zlib.compress(content)
    pieces = list(inflated(packed, "it", ("max_memory_nbytes", len(content))))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20
    inflater = Inflater(packed, "it")
    assert inflater.read(3) + inflater.read(0) + inflater.read(1 << 30) == content
    inflater.finish()


def test_no_more_than_the_limit():
    bomb = zlib.compress(bytes(1 << 20), 9)
    assert inflate(bomb, "it", LIMIT) == bytes(1 << 20)
    with pytest.raises(AezLimitError, match="it: unpacks to over 1048575 bytes, max_memory_nbytes"):
        inflate(bomb, "it", ("max_memory_nbytes", (1 << 20) - 1))


@pytest.mark.parametrize("end", ["cut", "longer", "damaged"])
def test_streams_that_are_not_whole(end):
    packed = zlib.compress(b"content")
    bad = {"cut": packed[:-1], "longer": packed + b"x", "damaged": packed[:-1] + b"x"}[end]
    with pytest.raises(AezCorruptError, match=r"zlib data cut, or followed|damaged zlib data"):
        inflate(bad, "it", LIMIT)


def test_another_number_of_bytes_than_expected():
    inflater = Inflater(zlib.compress(b"abc"), "it", 4)
    with pytest.raises(AezCorruptError, match="it: unpacks to 3 bytes, expected 4"):
        list(inflater.pieces(4))
    inflater = Inflater(zlib.compress(b"abcde"), "it", 4)
    assert list(inflater.pieces(4)) == [b"abcd"]
    with pytest.raises(AezCorruptError, match="it: unpacks to more than 4 bytes, expected 4"):
        inflater.finish()
