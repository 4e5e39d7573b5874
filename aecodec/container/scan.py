"""The whole records of a cut or damaged file, found by their markers (aez.md 6.5).

Time is linear in the file's size, and memory does not grow with it but for the index: a stranger
may have written any number of markers, heads and sections over each other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final

from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    CHUNK_MARKER,
    Chunk,
    ChunkHead,
    unpack_chunk_head,
)
from aecodec.container.filebytes import FileBytes
from aecodec.container.footer import FOOTER_NBYTES
from aecodec.container.header import HEADER_NBYTES, Header
from aecodec.container.index import INDEX_ENTRY_NBYTES, unpack_index
from aecodec.container.markers import Markers
from aecodec.container.sections import (
    HEAD,
    INDX,
    MAX_SECTIONS,
    PART,
    SECTION_FRAME_NBYTES,
    SectionEntry,
    section_limit,
)
from aecodec.errors import AezCorruptError, AezError, AezLimitError, AezUnsupportedError
from aecodec.io.untrusted import Limit
from aecodec.limits import Limits

_HEAD_COPY_NBYTES: Final = SECTION_FRAME_NBYTES + HEADER_NBYTES
_COPIES: Final = (HEAD, INDX)
_MADE_ANEW: Final = (*_COPIES, PART)
# Bytes of records that are checked in vain although they overlap others, for each byte of the file.
_OVERLAPPING: Final = 8
_TABLE_WEIGHT: Final = 64  # checking a byte of a table takes as long as so many of a payload


@dataclass(frozen=True)
class FoundChunk:
    """A chunk that was found by its marker; ``offset`` is that of its head."""

    offset: int
    head: ChunkHead


class Scan:
    """The whole chunks and sections of a seekable ``file``; ``name`` is what errors call it.

    ``sections`` holds each whole section, copies too, and whether it lies after a chunk.
    ``damaged_kinds`` are those of sections whose frame is whole and whose payload is not.
    AezCorruptError if neither the header nor its copy is whole.
    """

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self._bytes = FileBytes(file, name)
        self.header = self._find_header()
        self.sections: list[tuple[SectionEntry, bool]] = []
        self.damaged_kinds: set[str] = set()
        self._damaged_nbytes = 0
        self._offsets, self._ordinals = array("Q"), array("I")  # of whole chunks
        self._chunks_nbytes = 0
        self._last_image_count = self.header.chunk_images  # of the last whole chunk
        self._last_head: tuple[int, ChunkHead] | None = None  # with its offset
        self._tried_end, self._vain_nbytes = 0, 0
        markers = Markers(self._bytes)
        at = HEADER_NBYTES
        while (found := markers.next(at)) is not None:
            at = self._take(*found)

    # ------------------------------------------------------------ what the file contained

    @property
    def chunk_count(self) -> int:
        """Whole chunks."""
        return len(self._offsets)

    def spans(self) -> list[tuple[int, int]]:
        """(first, last + 1) of the images in whole chunks, neighbours joined."""
        full, last = self.header.chunk_images, len(self._ordinals) - 1
        joined: list[tuple[int, int]] = []
        for i, ordinal in enumerate(self._ordinals):
            begin = ordinal * full
            end = begin + (full if i < last else self._last_image_count)
            if joined and joined[-1][1] == begin:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        return joined

    def image_count(self) -> int | None:
        """How many images the file had; None if no whole record says so.

        Without the index, the last chunk tells. It is known as the last one if it is not full, or
        if a section or nothing follows it in a file of the right size.
        """
        if self._index is not None:
            return self._index.image_count
        if self.lost_nbytes() == 0 or self._has_last_head():
            return self.least_image_count()
        return None

    def least_image_count(self) -> int:
        """The end of the last image that a whole chunk head tells of: there were no fewer."""
        if self._last_head is None:
            return 0
        head = self._last_head[1]
        return head.ordinal * self.header.chunk_images + head.image_count

    def _has_last_head(self) -> bool:
        """Whether the last chunk head that was found is that of the file's last chunk."""
        if self._last_head is None:
            return False
        offset, head = self._last_head
        if head.image_count < self.header.chunk_images:
            return True
        try:
            self._bytes.read_section_frame(offset + head.nbytes)
        except (AezCorruptError, AezUnsupportedError):
            return False
        return True

    def lost_nbytes(self) -> int | None:
        """Bytes of sections that are lost with their kind; None if that is unknown.

        With the index, all other records have known sizes, and what is left over belonged to such
        sections. Without it, there were none if no ordinal is missing and the sizes of what was
        found add up to the file's.
        """
        own = [entry for entry, _ in self.sections if entry.kind not in _COPIES]
        parts = [entry for entry in own if entry.kind == PART]
        nbytes = HEADER_NBYTES + _HEAD_COPY_NBYTES + FOOTER_NBYTES + self._damaged_nbytes
        nbytes += sum(e.end_offset - e.offset for e in own if e.kind not in _MADE_ANEW)
        nbytes += 2 * (parts[0].end_offset - parts[0].offset) if parts else 0
        nbytes += self._chunks_nbytes
        if self._index is None:
            nbytes += SECTION_FRAME_NBYTES + self.chunk_count * INDEX_ENTRY_NBYTES
            all_there = not self.chunk_count or self._ordinals[-1] == self.chunk_count - 1
            return 0 if all_there and nbytes == self._bytes.nbytes else None
        nbytes += self._index.entry.end_offset - self._index.entry.offset
        nbytes += self._index.missing_nbytes
        return max(0, self._index.entry.end_offset + FOOTER_NBYTES - nbytes)

    @cached_property
    def _index(self) -> _FoundIndex | None:
        for entry, _ in reversed(self.sections):
            if entry.kind == INDX and entry.payload_nbytes % INDEX_ENTRY_NBYTES == 0:
                try:
                    return self._read_index(entry)
                except AezUnsupportedError:
                    return None
        return None

    def _read_index(self, entry: SectionEntry) -> _FoundIndex:
        image_count = missing_nbytes = at = 0
        for i, found in enumerate(unpack_index(self.section_payload(entry), self.name)):
            image_count += found.image_count
            if at < len(self._ordinals) and self._ordinals[at] == i:
                at += 1
            else:
                missing_nbytes += found.nbytes
        return _FoundIndex(entry, image_count, missing_nbytes)

    # ------------------------------------------------------------ reading

    def chunks(self) -> Iterator[FoundChunk]:
        """The whole chunks in order, each read anew: head and table."""
        for offset in self._offsets:
            yield FoundChunk(offset, self._read_head(offset))

    def read_chunk(self, found: FoundChunk) -> Chunk:
        """The chunk with its payload, whose checksum is checked."""
        return self._bytes.read_chunk(found.offset, found.head, self.header, self._limit)

    def section_payload(self, entry: SectionEntry) -> bytes:
        """The payload of a section, its checksum checked."""
        return self._bytes.read_section(entry, section_limit(entry.kind, self.limits))

    @property
    def _limit(self) -> Limit:
        return "max_memory_nbytes", self.limits.max_memory_nbytes

    # ------------------------------------------------------------ finding

    def _take(self, at: int, marker: bytes) -> int:
        """Keep the record at ``at`` if it is whole and known; return where the search goes on."""
        try:
            return self._take_chunk(at) if marker == CHUNK_MARKER else self._take_section(at)
        except (AezCorruptError, AezUnsupportedError):
            return at + 1

    def _take_chunk(self, at: int) -> int:
        where = f"{self.name}: chunk at byte {at}"
        data = self._bytes.read(at, CHUNK_HEAD_NBYTES, "chunk head")
        head = unpack_chunk_head(data, self.header, where)
        is_over = self._last_image_count < self.header.chunk_images
        if self._ordinals and (head.ordinal <= self._ordinals[-1] or is_over):
            return at + 1  # a file inside a damaged payload, perhaps
        self._last_head = (at, head)
        self._bytes.require(at, head.nbytes, "chunk")
        if not self._may_try(at, head.nbytes, head.table_nbytes * _TABLE_WEIGHT):
            return at + 1
        head = self._read_head(at)
        payload_offset = at + head.nbytes - head.payload_nbytes
        self._bytes.check_crc32(
            payload_offset, head.payload_nbytes, head.payload_crc32, "payload_crc32", where
        )
        self._keep_chunk(at, head)
        return at + head.nbytes

    def _keep_chunk(self, at: int, head: ChunkHead) -> None:
        self._offsets.append(at)
        self._ordinals.append(head.ordinal)
        self._chunks_nbytes += head.nbytes
        self._last_image_count = head.image_count
        self._vain_nbytes -= head.nbytes + head.table_nbytes * _TABLE_WEIGHT  # it was not in vain
        if 2 * self.chunk_count * INDEX_ENTRY_NBYTES > self._limit[1]:
            raise AezLimitError(
                f"{self.name}: the index of over {self.chunk_count} chunks takes over "
                f"{self._limit[1]} bytes, max_memory_nbytes allows no more"
            )

    def _read_head(self, at: int) -> ChunkHead:
        return self._bytes.read_chunk_head(at, self.header, self._limit)

    def _take_section(self, at: int) -> int:
        entry = self._bytes.read_section_frame(at)
        self._bytes.require(at, entry.end_offset - at, "section")
        if not self._may_try(at, entry.end_offset - at):
            return at + 1
        where = f"{self.name}: section at byte {at}"
        try:
            if len(self.sections) >= MAX_SECTIONS - len(_COPIES):  # the copies may have to be added
                raise AezCorruptError(f"{where}: too many sections for a file, {MAX_SECTIONS}")
            self._bytes.check_crc32(
                entry.payload_offset,
                entry.payload_nbytes,
                entry.payload_crc32,
                "payload_crc32",
                where,
            )
        except AezCorruptError:
            self.damaged_kinds.add(entry.kind)
            if entry.kind not in _MADE_ANEW:
                self._damaged_nbytes += entry.end_offset - entry.offset
            raise
        self._vain_nbytes -= entry.end_offset - at
        self.sections.append((entry, bool(self._offsets)))
        return entry.end_offset

    def _may_try(self, at: int, nbytes: int, more: int = 0) -> bool:
        """Whether to check a record of so many bytes.

        Records that overlap are checked up to a multiple of the file's size, those that do not
        always: genuine ones overlap only where bytes between them are lost.
        """
        is_apart = at >= self._tried_end
        if not is_apart and self._vain_nbytes > _OVERLAPPING * self._bytes.nbytes:
            return False
        self._tried_end = max(self._tried_end, at + nbytes)
        self._vain_nbytes += nbytes + more
        return True

    def _find_header(self) -> Header:
        """The header, or its copy in HEAD."""
        fault: AezError
        try:
            nbytes = min(HEADER_NBYTES, self._bytes.nbytes)
            return Header.unpack(self._bytes.read(0, nbytes, "header"), self.name)
        except (AezCorruptError, AezUnsupportedError) as error:
            fault = error
        markers, at = Markers(self._bytes), 0
        while (found := markers.next(at)) is not None:
            at = found[0] + 1
            try:
                entry = self._bytes.read_section_frame(found[0])
                if entry.kind == HEAD and entry.payload_nbytes == HEADER_NBYTES:
                    return Header.unpack(self.section_payload(entry), self.name)
            except (AezCorruptError, AezUnsupportedError):
                continue
        raise fault


@dataclass(frozen=True)
class _FoundIndex:
    """What a whole index says; ``missing_nbytes`` counts the chunks that are not whole."""

    entry: SectionEntry
    image_count: int
    missing_nbytes: int
