"""The seeking reader: a file is checked whole, but for its payloads, when it is opened."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, Final

from aecodec.container.checks import check_crc32
from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    MIN_TABLE_NBYTES,
    Chunk,
    ChunkHead,
    read_payload,
    unpack_chunk_head,
    unpack_chunk_table,
)
from aecodec.container.parts import PartRef, unpack_parts
from aecodec.container.records import (
    FLAGS_NEEDING_PARTS,
    FOOTER_NBYTES,
    HEADER_NBYTES,
    INDEX_ENTRY_NBYTES,
    SUPPORTED_FLAGS,
    Footer,
    Header,
    IndexEntry,
    index_entry,
    unpack_index,
)
from aecodec.container.sections import (
    COLM,
    HEAD,
    INDX,
    KNOWN_SECTIONS,
    MAX_SECTIONS,
    MODL,
    NAME,
    PART,
    SECTION_FRAME_NBYTES,
    SectionEntry,
    unpack_section_frame,
)
from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.limits import DEFAULT_LIMITS, Limits, chunk_memory_nbytes


class Reader:
    """Header, sections and chunks of an open, seekable file; the caller closes it.

    ``name`` is what errors call the file. ``sections`` leaves out HEAD, INDX and the copy
    of PART, which a writer makes anew. Not for two threads at once: reading moves the file.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        max_memory_nbytes: int = DEFAULT_LIMITS.max_memory_nbytes,
        supported_flags: int = SUPPORTED_FLAGS,
        known_kinds: frozenset[str] = KNOWN_SECTIONS,
    ) -> None:
        self._file = file
        self.name = name
        self._limit = ("max_memory_nbytes", max_memory_nbytes)
        self._known_kinds = known_kinds | KNOWN_SECTIONS
        self.file_nbytes = file.seek(0, os.SEEK_END)
        self.header, self._header_bytes = self._read_header(supported_flags)
        # aez.md 6.3: footer before index, so that a cut tail or appended data is seen first.
        self.footer = self._read_footer()
        self._index = self._read_index()
        chunks_offset, chunks_end = self._check_index()
        entries = self._find_sections(chunks_offset, chunks_end)
        self.sections, copies = _split_copies(entries, chunks_end, name)
        self._check_header_copy(copies[0])
        part = _find_part(self.sections, chunks_offset, name)
        self.parts, self.model_name = self._read_parts(part, copies[1:])

    @property
    def image_count(self) -> int:
        return self.footer.image_count

    @property
    def chunk_count(self) -> int:
        return self.footer.chunk_count

    def index_entry(self, i: int) -> IndexEntry:
        """Where chunk ``i`` lies."""
        if not 0 <= i < self.chunk_count:
            raise IndexError(f"chunk {i}, expected 0..{self.chunk_count - 1}")
        return index_entry(self._index, i)

    def read_chunk_head(self, i: int) -> ChunkHead:
        """Everything that chunk ``i`` says of itself; its payload is not read."""
        entry = self.index_entry(i)
        where = self._where(i, entry)
        data = self._read_at(entry.offset, CHUNK_HEAD_NBYTES, "chunk head")
        head = unpack_chunk_head(data, self.header, where)
        nbytes = CHUNK_HEAD_NBYTES + head.table_nbytes + head.payload_nbytes
        _check_equal("ordinal", head.ordinal, i, where)
        _check_equal("image_count", head.image_count, entry.image_count, where)
        _check_equal("head_crc32", int.from_bytes(data[-4:], "little"), entry.head_crc32, where)
        # The index was checked against the file, so from here on the file holds these bytes.
        _check_equal("nbytes", nbytes, entry.nbytes, where)
        table_offset = entry.offset + CHUNK_HEAD_NBYTES
        table = self._read_at(table_offset, head.table_nbytes, "chunk table")
        return unpack_chunk_table(head, table, self.header, where)

    def read_chunk(self, i: int) -> Chunk:
        """Chunk ``i``, its payload's checksum found right; what the payload means is not checked."""
        head = self.read_chunk_head(i)
        entry = self.index_entry(i)
        where = self._where(i, entry)
        check_chunk_memory(head, self.header, self._limit, where)
        offset = entry.offset + CHUNK_HEAD_NBYTES + head.table_nbytes
        return read_payload(
            head, lambda at, nbytes: self._read_at(offset + at, nbytes, "chunk payload"), where
        )

    def read_section(self, entry: SectionEntry, limit: tuple[str, int] | None = None) -> bytes:
        """The payload of a section, its checksum found right.

        It is held against ``limit``, a name and bytes, or else ``max_memory_nbytes``.
        """
        where = f"{self.name}: section {entry.kind} at byte {entry.offset}"
        check_limit("payload_nbytes", entry.payload_nbytes, limit or self._limit, where)
        payload = self._read_at(entry.payload_offset, entry.payload_nbytes, f"section {entry.kind}")
        check_crc32("payload_crc32", entry.payload_crc32, zlib.crc32(payload), where)
        return payload

    def _read_header(self, supported_flags: int) -> tuple[Header, bytes]:
        data = self._read_at(0, min(HEADER_NBYTES, self.file_nbytes), "header")
        return Header.unpack(data, self.name, supported_flags), data

    def _read_footer(self) -> Footer:
        offset = max(HEADER_NBYTES, self.file_nbytes - FOOTER_NBYTES)
        data = self._read_at(offset, self.file_nbytes - offset, "footer")
        footer = Footer.unpack(data, self.name)
        where = f"{self.name}: footer"
        _check_equal("file_nbytes", footer.file_nbytes, self.file_nbytes, where)
        index_end = footer.index_offset + footer.index_nbytes
        _check_equal("end of the index", index_end, self.file_nbytes - FOOTER_NBYTES, where)
        index_nbytes = SECTION_FRAME_NBYTES + footer.chunk_count * INDEX_ENTRY_NBYTES
        _check_equal("index_nbytes", footer.index_nbytes, index_nbytes, where)
        return footer

    def _read_index(self) -> bytes:
        where = f"{self.name}: footer"
        check_limit("index_nbytes", self.footer.index_nbytes, self._limit, where)
        entry = self._read_section_frame(self.footer.index_offset)
        where = f"{self.name}: section at byte {entry.offset}"
        if entry.kind != INDX:
            raise AezCorruptError(f"{where}: kind is {entry.kind}, expected {INDX}")
        _check_equal("end", entry.end_offset, self.file_nbytes - FOOTER_NBYTES, where)
        return self.read_section(entry)

    def _check_index(self) -> tuple[int, int]:
        """Where the chunks begin and end, once they are found to lie one after the other."""
        if not self.chunk_count:
            _check_equal("image_count", self.image_count, 0, f"{self.name}: footer")
            return self.footer.index_offset, HEADER_NBYTES
        chunks_offset = end = max(HEADER_NBYTES, self.index_entry(0).offset)
        images = 0
        for i, entry in enumerate(unpack_index(self._index, self.name)):
            where = f"{self.name}: index entry {i}"
            _check_equal("offset", entry.offset, end, where)  # no hole, no overlap
            end += entry.nbytes
            least = CHUNK_HEAD_NBYTES + MIN_TABLE_NBYTES
            if entry.nbytes < least or end > self.footer.index_offset:
                most = self.footer.index_offset - entry.offset
                raise AezCorruptError(
                    f"{where}: nbytes is {entry.nbytes}, expected {least}..{most}"
                )
            images += entry.image_count
            full = self.header.chunk_images
            least = 1 if i == self.chunk_count - 1 else full
            if not least <= entry.image_count <= full:
                raise AezCorruptError(
                    f"{where}: image_count is {entry.image_count}, expected {least}..{full}"
                )
        _check_equal("image_count", self.image_count, images, f"{self.name}: footer")
        return chunks_offset, end

    def _find_sections(self, chunks_offset: int, chunks_end: int) -> list[SectionEntry]:
        """All sections but INDX. Without chunks, all lie before ``chunks_offset``."""
        found = self._walk_sections(HEADER_NBYTES, chunks_offset)
        if self.chunk_count:
            found = chain(found, self._walk_sections(chunks_end, self.footer.index_offset))
        entries = list(islice(found, MAX_SECTIONS + 1))  # no more are even looked at
        if len(entries) > MAX_SECTIONS:
            raise AezLimitError(f"{self.name}: more than {MAX_SECTIONS} sections")
        return entries

    def _walk_sections(self, offset: int, end: int) -> Iterator[SectionEntry]:
        """The sections that fill the bytes from ``offset`` to ``end``."""
        while offset < end:
            entry = self._read_section_frame(offset)
            offset = entry.end_offset
            if offset > end:
                raise AezCorruptError(
                    f"{self.name}: section {entry.kind} at byte {entry.offset} ends at {offset}, "
                    f"expected at most {end}"
                )
            yield entry

    def _check_header_copy(self, head: SectionEntry) -> None:
        where = f"{self.name}: section {HEAD} at byte {head.offset}"
        _check_equal("payload_nbytes", head.payload_nbytes, HEADER_NBYTES, where)
        if self.read_section(head) != self._header_bytes:
            raise AezCorruptError(f"{where}: differs from the header")

    def _read_parts(
        self, part: SectionEntry | None, copies: list[SectionEntry]
    ) -> tuple[tuple[PartRef, ...], str]:
        if (part is None) != (not copies):
            found = "without a copy before the index" if part else "only before the index"
            raise AezCorruptError(f"{self.name}: {PART} section {found}")
        if part is None:
            if self.header.required_flags & FLAGS_NEEDING_PARTS:
                raise AezCorruptError(
                    f"{self.name}: required_flags {self.header.required_flags:#x} needs a "
                    f"{PART} section, found none"
                )
            return (), ""
        payload = self.read_section(part)
        if self.read_section(copies[0]) != payload:
            raise AezCorruptError(
                f"{self.name}: section {PART} at byte {copies[0].offset}: differs from the first"
            )
        return unpack_parts(payload, self.name)

    def _read_section_frame(self, offset: int) -> SectionEntry:
        data = self._read_at(offset, SECTION_FRAME_NBYTES, "section frame")
        return unpack_section_frame(data, offset, self.name, self._known_kinds)

    def _read_at(self, offset: int, nbytes: int, what: str) -> bytes:
        """Exactly ``nbytes``; the length is held against the file before it is allocated."""
        left = max(0, self.file_nbytes - offset)
        data = b""
        if nbytes <= left:
            self._file.seek(offset)
            data = self._file.read(nbytes)
            left = len(data)
        if nbytes > left:
            raise AezCorruptError(
                f"{self.name}: {what} at byte {offset} needs {nbytes} bytes, found {left}"
            )
        return data

    def _where(self, i: int, entry: IndexEntry) -> str:
        return f"{self.name}: chunk {i} at byte {entry.offset}"


def _split_copies(
    entries: list[SectionEntry], chunks_end: int, name: str
) -> tuple[tuple[SectionEntry, ...], list[SectionEntry]]:
    """The sections that were given to the writer, and the copies it made (aez.md 4.4)."""
    copy_count = 2 if entries and entries[-1].kind == PART else 1
    copies = entries[-copy_count:]
    kinds = [entry.kind for entry in copies]
    if kinds not in ([HEAD], [HEAD, PART]) or copies[0].offset < chunks_end:
        raise AezCorruptError(
            f"{name}: before the index are {kinds}, expected {HEAD} or {HEAD}, {PART}"
        )
    return tuple(entries[:-copy_count]), copies


def _find_part(
    sections: tuple[SectionEntry, ...], chunks_offset: int, name: str
) -> SectionEntry | None:
    """The one PART section before the chunks; none of HEAD and INDX may be there."""
    own = [entry for entry in sections if entry.kind in (PART, HEAD, INDX)]
    for i, entry in enumerate(own):
        if i > 0 or entry.kind != PART or entry.offset >= chunks_offset:
            raise AezCorruptError(
                f"{name}: section {entry.kind} at byte {entry.offset} is misplaced"
            )
    return own[0] if own else None


def _check_equal(field: str, found: int, expected: int, where: str) -> None:
    if found != expected:
        raise AezCorruptError(f"{where}: {field} is {found}, expected {expected}")


_SECTION_LIMITS: Final = {
    MODL: "max_model_nbytes",
    NAME: "max_column_nbytes",
    COLM: "max_column_nbytes",
}


def section_limit(kind: str, limits: Limits) -> tuple[str, int]:
    """Name and bytes of the limit that a section of this kind is held against."""
    name = _SECTION_LIMITS.get(kind, "max_memory_nbytes")
    return name, getattr(limits, name)


def check_chunk_memory(head: ChunkHead, header: Header, limit: tuple[str, int], where: str) -> None:
    """That reading the chunk takes no more than the limit, a name and bytes."""
    needed = chunk_memory_nbytes(head.payload_nbytes, head.image_count, header.image_nbytes)
    what = f"memory to decode {head.image_count} images of {header.image_nbytes} bytes"
    check_limit(what, needed, limit, where)


def check_limit(field: str, found: int, limit: tuple[str, int], where: str) -> None:
    limit_name, most = limit
    if found > most:
        raise AezLimitError(f"{where}: {field} is {found}, {limit_name} allows {most}")
