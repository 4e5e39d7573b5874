"""JSON of strangers: strict, bounded in depth and memory, and lists of texts piece by piece."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.untrusted_json import json_texts, parse_json, parsed_nbytes

TEXTS = [[], ["a"], ["a", 'b"\\\n', "\ud800", "é😀", ""], ["x" * 100] * 1000]


@pytest.mark.parametrize("texts", TEXTS, ids=len)
@pytest.mark.parametrize("piece_nbytes", [1, 2, 7, 1000])
def test_texts_in_any_pieces(texts, piece_nbytes):
    for data in (json.dumps(texts).encode(), json.dumps(texts, indent=1).encode()):
        pieces = [data[i : i + piece_nbytes] for i in range(0, len(data), piece_nbytes)]
        assert list(json_texts(pieces, "it")) == texts
    raw = '["é😀", "b"]'.encode()
    assert list(json_texts([raw[i : i + 1] for i in range(len(raw))], "it")) == ["é😀", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[", b'["a"', b'["a",]', b'["a" "b"]', b"[1]", b"[null]", b'[["a"]]', b'["a"] x',
        b'{"a": 1}', b'"a"', b'["\x01"]', b'["\\x"]', b'["\\ud8', b'["\xff"]', b"\xef\xbb\xbf[]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_texts(data):
    with pytest.raises(AezCorruptError, match=r"^it: (not |text 0)"):
        list(json_texts([data], "it"))


def test_a_text_without_end_is_not_kept_whole():
    def pieces():
        yield b'["'
        while True:
            yield b"x" * (1 << 18)

    with pytest.raises(AezLimitError, match="it: text 0 has over 1048576 characters"):
        list(json_texts(pieces(), "it"))


def test_many_texts_take_the_memory_of_one():
    tracemalloc.start()
    try:
        pieces = (b'"x",' * 1000 for _ in range(30))
        count = sum(1 for _ in json_texts(iter([b"[", *pieces, b'"y"]']), "it"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 30_001
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"NaN", "NaN is no number in JSON"),
        (b'{"a": [1e999]}', "1e999 is no finite number"),
        (b"-Infinity", "-Infinity is no number"),
        (b"[" * 66 + b"]" * 66, "nested over 64 deep"),
        (b'{"a":' * 66 + b"1" + b"}" * 66, "nested over 64 deep"),
        (b"[" * 100_000, "not JSON: maximum recursion depth"),
        (b"1" * 401, "an integer of 401 digits, expected at most 400"),
        (b'"\xff"', "not JSON: 'utf-8' codec"),
        (b"{", "not JSON: Expecting property name"),
    ],
)
def test_what_is_no_json(data, message):
    with pytest.raises(AezCorruptError, match=f"^it: .*{message}"):
        parse_json(data, "it")


def test_what_is_json():
    value = {"a": [1, -2.5, None, True, "\ud800", {"b": []}], "c": 10**399}
    assert parse_json(json.dumps(value).encode(), "it", ("max_memory_nbytes", 1 << 20)) == value
    assert parse_json(b"[" * 64 + b"]" * 64, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"[]," * 20_000 + b"0]",
        b"[" + b"{}," * 20_000 + b"0]",
        b"[" + b"1000," * 20_000 + b"0]",
        b'["' + b'a","' * 20_000 + b'"]',
        b"{" + b",".join(b'"%d":0' % i for i in range(20_000)) + b"}",
        json.dumps("\U0001f600" * 20_000, ensure_ascii=False).encode(),
        json.dumps("\U0001f600" * 20_000).encode(),
    ],
)
def test_memory_is_told_before_it_is_taken(data):
    tracemalloc.start()
    try:
        value = parse_json(data, "it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert value is not None
    assert peak <= parsed_nbytes(data) + (64 << 10)
    limit = ("max_memory_nbytes", parsed_nbytes(data) - 1)
    with pytest.raises(AezLimitError, match=r"it: JSON of .* max_memory_nbytes allows"):
        parse_json(data, "it", limit)
