"""The index: where each chunk lies (aez.md 6.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from aecodec.errors import AezUnsupportedError

INDEX_ENTRY_NBYTES: Final = 28
_INDEX_ENTRY = struct.Struct("<QQIII")


class IndexEntry(NamedTuple):
    """Where one chunk lies (aez.md 6.1); ``nbytes`` counts head, table and payload."""

    offset: int
    nbytes: int
    image_count: int
    head_crc32: int

    def pack(self) -> bytes:
        """The 28 bytes of the entry."""
        return _INDEX_ENTRY.pack(*self, 0)


def index_entry(index: bytes, i: int) -> IndexEntry:
    """Entry ``i`` of an index payload that :func:`unpack_index` has checked."""
    return IndexEntry(*_INDEX_ENTRY.unpack_from(index, i * INDEX_ENTRY_NBYTES)[:4])


def unpack_index(index: bytes, name: str) -> Iterator[IndexEntry]:
    """The entries of an index payload of whole entries; AezUnsupportedError for reserved bytes."""
    for i, (*fields, reserved) in enumerate(_INDEX_ENTRY.iter_unpack(index)):
        if reserved:
            raise AezUnsupportedError(
                f"{name}: index entry {i}: reserved field is {reserved:#x}, expected 0"
            )
        yield IndexEntry(*fields)
