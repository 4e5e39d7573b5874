"""META of any JSON, and JSON that is small packed and large parsed."""

from __future__ import annotations

import json
from collections.abc import Callable

from making import assemble
from making.hostile.kind import Kind, file_with, packed_section

TEXTS = {
    "nan": b'{"title":NaN,"source":NaN}',
    "infinity": b'{"source":1e999,"label":-1e999,"x":Infinity}',
    "integer of 5,000 digits": b'{"x":' + b"9" * 5000 + b"}",
    "integer of 4,000 digits": b'{"source":' + b"9" * 4000 + b"}",
    "lone surrogates": b'{"source":"\\ud800","title":"\\udfff","x":"\\ud83d"}',
    "lone surrogate as a key": b'{"\\ud800":1}',
    "surrogates in UTF-8": b'{"title":"\xed\xa0\x80"}',
    "no UTF-8": b'{"title":"\xff\xfe"}',
    "a mark of byte order": b'\xef\xbb\xbf{"title":"a"}',
    "keys twice": b'{"title":"a","title":["b"],"label":1,"label":{}}',
    "a list": b"[1,2]",
    "a text": b'"title"',
    "null": b"null",
    "nothing": b"",
    "lists for texts": b'{"label":[],"title":[],"origin":{},"licence":[[]],"source":[]}',
    "objects for texts": b'{"label":{"a":1},"classes":{"a":1},"memory_order":{}}',
    "numbers for texts": b'{"label":1,"title":2.5,"classes":3,"has_channel_axis":"yes"}',
    "classes of lists": b'{"label":"a","classes":[[],{},1,null]}',
    "classes without a label": b'{"classes":["a","b"]}',
    "repaired of texts": b'{"repaired":"all"}',
    "repaired of huge ranges": b'{"repaired":{"kept":[[0,1e300]],"lost":[[-1,'
    + b"9" * 20
    + b"]]}}",
    "controls": json.dumps({"title": "\x1b]0;x\x07\x9b31m\u202e\r\n"}).encode(),
    "markup": json.dumps(
        {"title": "</script><script>alert(1)</script>", "origin": "@DATA@ @NOTE@ \" onload='x"}
    ).encode(),
}


def _meta(text: bytes, *, lost: int = 0) -> bytes:
    return file_with([assemble.section("META", text)], 8, lost=lost, chunk_images=4)


def _of(text: bytes, *, lost: int) -> Callable[[int], bytes]:
    return lambda size: _meta(text, lost=lost)


def deep_meta(size: int) -> bytes:
    """META of lists in lists, so many deep."""
    return _meta(b'{"a":' + b"[" * size + b"]" * size + b"}")


def deep_objects(size: int) -> bytes:
    """META of objects in objects, so many deep; the last chunk but one is lost."""
    return _meta(b'{"a":' * size + b"1" + b"}" * size, lost=1)


def wide_meta(size: int) -> bytes:
    """META of so many empty lists, which no compression packs."""
    return _meta(b'{"a":[' + b",".join([b"[]"] * size) + b"]}")


def many_keys(size: int) -> bytes:
    """META of so many keys."""
    return _meta(json.dumps({f"{i:x}": 0 for i in range(size)}).encode(), lost=1)


def many_classes(size: int) -> bytes:
    """META of so many classes of 200 letters, for a column that is there."""
    from making.hostile.columns import numbers_column

    meta = {"label": "a", "classes": [f"{i:0200}" for i in range(size)]}
    sections = [assemble.section("META", json.dumps(meta).encode()), numbers_column(b"a", 4)]
    return file_with(sections)


def names_of(element: bytes) -> Callable[[int], bytes]:
    """NAME of so many times this JSON."""
    return lambda size: file_with(
        [packed_section("NAME", b"[" + b",".join([element] * size) + b"]")]
    )


KINDS = [
    *(Kind(f"META: {name}", "META of this JSON", _of(t, lost=0)) for name, t in TEXTS.items()),
    *(
        Kind(f"META, a chunk lost: {name}", "the same, to be cut", _of(t, lost=1))
        for name, t in TEXTS.items()
        if "markup" not in name
    ),
    Kind("META: deep lists", "so many deep", deep_meta, 200_000, grows=True),
    Kind("META: deep objects", "so many deep", deep_objects, 100_000, grows=True),
    Kind("META: many lists", "of so many lists", wide_meta, 200_000, grows=True),
    Kind("META: many keys", "of so many keys", many_keys, 50_000, grows=True),
    Kind("META: many classes", "of so many classes", many_classes, 65_536),
    *(
        Kind(f"NAME: {name}", "JSON of so many", names_of(text), size, grows=True)
        for name, text, size in (
            ("lists", b"[]", 10_000_000),
            ("objects", b"{}", 10_000_000),
            ("numbers", b"1", 16_000_000),
            ("large numbers", b"123456789012", 4_000_000),
            ("fractions", b"1.5", 10_000_000),
            ("texts", b'"ab"', 8_000_000),
            ("escapes", b'"\\u0100\\u0100"', 3_000_000),
            ("spaces", b'  ""', 8_000_000),
            ("deep lists", b"[" * 500 + b"]" * 500, 10_000),
        )
    ),
]
