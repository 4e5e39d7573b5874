"""Columns of many values or texts in few bytes, and columns that no writer writes."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence

from making import assemble
from making.assemble import ZSTD, File
from making.hostile.kind import MANY, Kind, file_with, zeros_chunk, zeros_file

TEXT, BOOL, U8, U64, F64 = 0, 1, 2, 5, 12  # dtypes, 16.3
WIDTHS = {BOOL: 1, U8: 1, U64: 8, F64: 8}


def column(dtype: int, name: bytes, content: bytes, texts: int = 0, texts_nbytes: int = 0) -> bytes:
    """A section COLM with this content."""
    head = struct.pack("<BIIB", dtype, texts, texts_nbytes, len(name)) + name
    return assemble.section("COLM", head + zlib.compress(content, 9))


def numbers_column(name: bytes, count: int, dtype: int = U8) -> bytes:
    """A column of so many zeros."""
    return column(dtype, name, bytes(count * WIDTHS[dtype]))


def text_column(name: bytes, texts: Sequence[bytes], count: int) -> bytes:
    """A column of these texts in order, then the first one again for the rest of ``count``."""
    packed = b"".join(struct.pack("<H", len(text)) + text for text in texts)
    width = 1 if len(texts) <= 256 else 2 if len(texts) <= 65536 else 4
    values = list(range(len(texts))) + [0] * (count - len(texts))
    planes = b"".join(bytes(v >> 8 * k & 255 for v in values) for k in range(width))
    return column(TEXT, name, packed + planes, len(texts), len(packed))


def one_text(size: int) -> bytes:
    """So many images with one text in a column."""
    return zeros_file(size, 1, [text_column(b"t", [b"a"], size)])


def many_texts(size: int) -> bytes:
    """So many images, each with a text of its own."""
    return zeros_file(size, 1, [text_column(b"t", [b"%x" % i for i in range(size)], size)])


def wide_numbers(size: int) -> bytes:
    """So many images with a column of eight bytes each."""
    return zeros_file(size, 1, [numbers_column(b"n", size, F64)])


def bools(size: int) -> bytes:
    """So many images with a column of truths."""
    return zeros_file(size, 1, [numbers_column(b"n", size, BOOL)])


def labels(size: int) -> bytes:
    """So many images with labels that have names."""
    meta = json.dumps({"label": "label", "classes": ["<b>", "b"]}).encode()
    sections = [assemble.section("META", meta), numbers_column(b"label", size)]
    return zeros_file(size, 1, sections)


def text_labels(size: int) -> bytes:
    """So many images, each with a label of its own that is a text."""
    meta = assemble.section("META", b'{"label":"t"}')
    column_ = text_column(b"t", [b"%x" % i for i in range(size)], size)
    return zeros_file(size, 1, [meta, column_])


def many_columns(size: int) -> bytes:
    """So many columns for 50,000 images."""
    return zeros_file(50_000, 1, [numbers_column(b"%x" % i, 50_000, F64) for i in range(size)])


def many_text_columns(size: int) -> bytes:
    """So many columns of one text each for 50,000 images."""
    return zeros_file(50_000, 1, [text_column(b"%x" % i, [b"a"], 50_000) for i in range(size)])


def column_for_a_cut(size: int) -> bytes:
    """So many images in two chunks, the second lost, with a text for each and a number."""
    sections = [
        text_column(b"t", [b"%x" % i for i in range(size // 2)], size),
        numbers_column(b"n", size, F64),
    ]
    chunks = [zeros_chunk(size // 2), zeros_chunk(size // 2)]
    chunks[1].changes["payload_crc32"] = 1
    head = assemble.header(height=1, width=1, required_flags=ZSTD, chunk_images=size // 2)
    return File(head, chunks, sections).pack()


NAMES = {
    "markup": b"</script><script>alert(1)</script>",
    "the file name's": b"file_name",
    "the images'": b"images",
    "a path": b"../../x",
    "absolute": b"/tmp/x",
    "an ending": b"x.npy",
    "a formula": b"=1+1",
    "reserved": b"nul",
    "255 bytes": b"n" * 255,
    "odd letters": "é\u202e*?".encode(),
    "dots": b"..",
    "slashes": b"a/b/c",
}


KINDS = [
    *(
        Kind(
            f"column called: {name}",
            "a column of this name",
            lambda size, name=text: file_with([numbers_column(name, 4)]),
            keeps_all=True,
        )
        for name, text in NAMES.items()
    ),
    Kind(
        "column: too short",
        "a column of fewer values",
        lambda size: file_with([numbers_column(b"a", 3)]),
    ),
    Kind(
        "column: NaN",
        "a column of NaN, also as labels",
        lambda size: file_with(
            [
                assemble.section("META", b'{"label":"a"}'),
                column(F64, b"a", struct.pack("<4d", float("nan"), float("inf"), -0.0, 1e300)),
            ]
        ),
    ),
    Kind("columns: one text", "so many images, one text", one_text, 2_400_000, **MANY),
    Kind("columns: many texts", "so many texts", many_texts, 400_000, **MANY),
    Kind("columns: numbers", "so many images", wide_numbers, 2_400_000, **MANY),
    Kind("columns: truths", "so many images", bools, 2_400_000, **MANY),
    Kind("columns: labels", "so many images", labels, 2_400_000, **MANY),
    Kind("columns: labels of texts", "so many texts", text_labels, 400_000, **MANY),
    Kind("columns: many", "so many columns", many_columns, 400, **MANY),
    Kind("columns: many of texts", "so many columns", many_text_columns, 400, **MANY),
    Kind(
        "columns: cut",
        "so many images, half lost",
        column_for_a_cut,
        400_000,
        grows=True,
        many=True,
    ),
]
