"""Clauses 5.1 and 5.4: the heads of chunks."""

from __future__ import annotations

from making import assemble
from making.assemble import Value
from making.refused.common import (
    PIXELS,
    NamedVectors,
    bad,
    pieces,
    plain,
    unsupported,
    with_chunk,
)

FIELDS: tuple[tuple[str, Value, str, str], ...] = (  # a wrong value, clause, match
    ("marker", b"\x89CHJ", "5.1", "marker"),
    ("ordinal", 2, "5.1", "ordinal"),
    ("image_count", 1, "6.4", "image_count"),
    ("table_nbytes", 9, "6.4", "nbytes|sizes"),
    ("payload_nbytes", 11, "6.4", "nbytes|sizes"),
    ("table_crc32", 0, "5.1", "table_crc32"),
    ("payload_crc32", 0, "5.1", "payload_crc32"),
    ("head_crc32", 0, "5.1", "head_crc32"),
    ("pixels_sha256", bytes(32), "7", "sha256"),
)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    data = with_chunk(reserved=b"\0\0\1")
    yield unsupported("chunk-reserved", data, "1.4", "reserved bytes of a chunk's head", "reserved")
    for field, value, clause, match in FIELDS:
        name = f"chunk-{field.replace('_', '-')}"
        yield bad(name, with_chunk(**{field: value}), clause, f"{field} of a chunk", match)
    for name, nbytes in (("small", 7), ("large", (1 << 24) + 1)):
        data = with_chunk(table_nbytes=nbytes)
        yield bad(f"chunk-table-{name}", data, "5.1", f"table_nbytes is {nbytes}", "table_nbytes")
    yield from _errors()
    yield from _image_counts()


def _errors() -> NamedVectors:
    for most, squares in ((0, 1), (3, 8), (3, 12 * 9 + 1), (255, 0)):
        data = with_chunk(max_error=most, sum_squared_error=squares)
        about = f"max_error {most}, sum_squared_error {squares}, 12 samples"
        yield bad(f"chunk-error-{most}-{squares}", data, "5.4", about, "sum_squared_error|5.4")


def _image_counts() -> NamedVectors:
    data = plain(chunks=pieces({"image_count": 3}, index={"image_count": 3}))
    yield bad("chunk-over-full", data, "5.1", "three images of chunk_images 2", "image_count")
    data = plain(chunks=[assemble.stored(PIXELS[:6], 1), *pieces()[1:]])
    yield bad("chunk-not-full", data, "5.1", "a chunk before the last has fewer", "image_count")
