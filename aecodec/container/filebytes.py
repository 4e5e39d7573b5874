"""Bytes of an open file, by offset: bounded, and checked before they are allocated."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from aecodec.container.checks import check_crc32, check_limit
from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    Chunk,
    ChunkHead,
    read_payload,
    unpack_chunk_head,
    unpack_chunk_table,
)
from aecodec.container.header import Header
from aecodec.container.sections import (
    KNOWN_SECTIONS,
    SECTION_FRAME_NBYTES,
    SectionEntry,
    unpack_section_frame,
)
from aecodec.errors import AezChangedError, AezCorruptError
from aecodec.io.positioned import positioned
from aecodec.io.untrusted import Limit

_PIECE_NBYTES = 1 << 20
_TABLE_MEMORY = 4  # bytes in memory for each byte of a table, while it is unpacked


class FileBytes:
    """The bytes of an open, seekable file; ``name`` is what errors call it.

    Threads and forked processes may share it: see :func:`aecodec.io.positioned.positioned`.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        self._positioned = positioned(file)
        self.nbytes = self._positioned.nbytes
        self.held_nbytes = 0  # in memory while the file is open: they count with what is read

    def require(self, offset: int, nbytes: int, what: str) -> None:
        """AezCorruptError unless the file holds ``nbytes`` bytes from ``offset`` on."""
        self._check_count(offset, nbytes, max(0, self.nbytes - offset), what)

    def read(self, offset: int, nbytes: int, what: str) -> bytes:
        """Exactly ``nbytes`` bytes; AezCorruptError if the file holds fewer."""
        self.require(offset, nbytes, what)
        data = self._positioned.read_at(offset, nbytes)
        self._check_count(offset, nbytes, len(data), what)  # the file may have shrunk
        return data

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """AezChangedError for damage that is found inside in a file that was overwritten."""
        try:
            yield
        except AezCorruptError as error:
            if self._positioned.has_changed():
                raise AezChangedError(
                    f"{self.name}: was overwritten after it was opened: open it again ({error})"
                ) from error
            raise

    def _check_count(self, offset: int, nbytes: int, found: int, what: str) -> None:
        if nbytes > found:
            raise AezCorruptError(
                f"{self.name}: {what} at byte {offset} needs {nbytes} bytes, found {found}"
            )

    def read_section_frame(
        self, offset: int, known_kinds: frozenset[str] = KNOWN_SECTIONS
    ) -> SectionEntry:
        """The section whose frame lies at ``offset``."""
        data = self.read(offset, SECTION_FRAME_NBYTES, "section frame")
        return unpack_section_frame(data, offset, self.name, known_kinds)

    def read_section(self, entry: SectionEntry, limit: Limit) -> bytes:
        """The payload of a section, its checksum checked.

        AezLimitError if it has more bytes than the limit.
        """
        where = f"{self.name}: section {entry.kind} at byte {entry.offset}"
        what = f"section {entry.kind}"
        self.require(entry.payload_offset, entry.payload_nbytes, what)
        check_limit("payload_nbytes", entry.payload_nbytes, limit, where)
        payload = self.read(entry.payload_offset, entry.payload_nbytes, what)
        check_crc32("payload_crc32", entry.payload_crc32, zlib.crc32(payload), where)
        return payload

    def check_crc32(self, offset: int, nbytes: int, stored: int, field: str, where: str) -> None:
        """AezCorruptError unless these bytes have this checksum; a piece at a time is read."""
        self.require(offset, nbytes, field)
        crc32 = 0
        for at in range(offset, offset + nbytes, _PIECE_NBYTES):
            piece = self.read(at, min(_PIECE_NBYTES, offset + nbytes - at), field)
            crc32 = zlib.crc32(piece, crc32)
        check_crc32(field, stored, crc32, where)

    def read_chunk_head(self, offset: int, header: Header, limit: Limit) -> ChunkHead:
        """Head and table of the chunk at ``offset``; AezLimitError if the table is too long."""
        where = f"{self.name}: chunk at byte {offset}"
        head = unpack_chunk_head(self.read(offset, CHUNK_HEAD_NBYTES, "chunk head"), header, where)
        return self.with_table(offset, head, header, limit, where)

    def with_table(
        self, offset: int, head: ChunkHead, header: Header, limit: Limit, where: str
    ) -> ChunkHead:
        """``head``, read at ``offset``, with what its table holds."""
        self.require(offset, head.nbytes, "chunk")
        check_limit(
            f"memory for a table of {head.table_nbytes} bytes",
            head.table_nbytes * _TABLE_MEMORY + self.held_nbytes,
            limit,
            where,
        )
        table = self.read(offset + CHUNK_HEAD_NBYTES, head.table_nbytes, "chunk table")
        return unpack_chunk_table(head, table, header, where)

    def read_chunk(self, offset: int, head: ChunkHead, header: Header, limit: Limit) -> Chunk:
        """The chunk at ``offset`` whose ``head``, with its table, has been read.

        AezLimitError if reading and decoding it takes more memory than the limit.
        """
        where = f"{self.name}: chunk {head.ordinal} at byte {offset}"
        payload_offset = offset + CHUNK_HEAD_NBYTES + head.table_nbytes
        self.require(payload_offset, head.payload_nbytes, "chunk payload")
        what = f"memory to decode {head.image_count} images of {header.image_nbytes} bytes"
        check_limit(what, head.memory_nbytes(header) + self.held_nbytes, limit, where)

        def read(at: int, nbytes: int) -> bytes:
            return self.read(payload_offset + at, nbytes, "chunk payload")

        return read_payload(head, read, where)
