"""The whole records of a cut or damaged file, found by their markers (aez.md 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final

from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    CHUNK_MARKER,
    Chunk,
    ChunkHead,
    unpack_chunk_head,
    unpack_chunk_table,
)
from aecodec.container.filebytes import FileBytes
from aecodec.container.footer import FOOTER_NBYTES
from aecodec.container.header import HEADER_NBYTES, Header
from aecodec.container.index import INDEX_ENTRY_NBYTES, IndexEntry, unpack_index
from aecodec.container.sections import (
    HEAD,
    INDX,
    MAX_SECTIONS,
    PART,
    SECTION_FRAME_NBYTES,
    SECTION_MARKER,
    SectionEntry,
    section_limit,
)
from aecodec.errors import AezCorruptError, AezError, AezLimitError, AezUnsupportedError
from aecodec.limits import Limits

_BLOCK_NBYTES: Final = 1 << 20
_HEAD_COPY_NBYTES: Final = SECTION_FRAME_NBYTES + HEADER_NBYTES
_COPIES: Final = (HEAD, INDX)


@dataclass(frozen=True)
class FoundChunk:
    """A chunk that was found by its marker; ``offset`` is that of its head."""

    offset: int
    head: ChunkHead


class Scan:
    """The whole chunks and sections of a seekable ``file``; ``name`` is what errors call it.

    ``sections`` holds each whole section, copies too, and whether it lies after a chunk.
    ``damaged`` holds the sections whose frame is whole and whose payload is not. AezCorruptError
    if neither the header nor its copy is whole.
    """

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self._bytes = FileBytes(file, name)
        self._block, self._block_at = b"", 0
        self.header = self._find_header()
        self.chunks: list[FoundChunk] = []
        self.sections: list[tuple[SectionEntry, bool]] = []
        self.damaged: list[SectionEntry] = []
        self._last_head: tuple[int, ChunkHead] | None = None  # with its offset
        self._section_offsets: set[int] = set()  # of whole frames
        at = HEADER_NBYTES
        while (found := self._next_marker(at)) is not None:
            at = self._take(*found)
        self.index = self._read_index()

    # ------------------------------------------------------------ what the file contained

    def image_count(self) -> int | None:
        """How many images the file had; None if no whole record says so.

        Without the index, the last chunk tells. It is known as the last one if it is not full, or
        if a section or nothing follows it in a file of the right size.
        """
        if self.index is not None:
            return sum(entry.image_count for entry in self.index)
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
        is_full = head.image_count == self.header.chunk_images
        return not is_full or offset + head.nbytes in self._section_offsets

    def lost_nbytes(self) -> int | None:
        """Bytes of sections that are lost with their kind; None if that is unknown.

        With the index, all other records have known sizes, and what is left over belonged to such
        sections. Without it, there were none if no ordinal is missing and the sizes of what was
        found add up to the file's.
        """
        own = [entry for entry, _ in self.sections if entry.kind not in _COPIES]
        parts = [entry for entry in own if entry.kind == PART]
        made_anew = (*_COPIES, PART)
        others = [entry for entry in [*own, *self.damaged] if entry.kind not in made_anew]
        nbytes = HEADER_NBYTES + _HEAD_COPY_NBYTES + FOOTER_NBYTES
        nbytes += sum(entry.end_offset - entry.offset for entry in others)
        nbytes += 2 * (parts[0].end_offset - parts[0].offset) if parts else 0
        nbytes += sum(found.head.nbytes for found in self.chunks)
        if self.index is None:
            count = len(self.chunks)
            nbytes += SECTION_FRAME_NBYTES + count * INDEX_ENTRY_NBYTES
            all_there = not count or self.chunks[-1].head.ordinal == count - 1
            return 0 if all_there and nbytes == self._bytes.nbytes else None
        whole = {found.head.ordinal for found in self.chunks}
        nbytes += SECTION_FRAME_NBYTES + len(self.index) * INDEX_ENTRY_NBYTES
        nbytes += sum(entry.nbytes for i, entry in enumerate(self.index) if i not in whole)
        return max(0, self._index_end() + FOOTER_NBYTES - nbytes)

    def _index_end(self) -> int:
        return next(entry.end_offset for entry, _ in reversed(self.sections) if entry.kind == INDX)

    def _read_index(self) -> list[IndexEntry] | None:
        for entry, _ in reversed(self.sections):
            if entry.kind == INDX and entry.payload_nbytes % INDEX_ENTRY_NBYTES == 0:
                try:
                    return list(unpack_index(self.section_payload(entry), self.name))
                except AezUnsupportedError:
                    return None
        return None

    # ------------------------------------------------------------ reading

    def read_chunk(self, found: FoundChunk) -> Chunk:
        """The chunk with its payload, whose checksum is checked."""
        limit = ("max_memory_nbytes", self.limits.max_memory_nbytes)
        return self._bytes.read_chunk(found.offset, found.head, self.header, limit)

    def section_payload(self, entry: SectionEntry) -> bytes:
        """The payload of a section, its checksum checked."""
        return self._bytes.read_section(entry, section_limit(entry.kind, self.limits))

    # ------------------------------------------------------------ finding

    def _next_marker(self, at: int) -> tuple[int, bytes] | None:
        """Offset of the first marker at or after ``at``, and the marker."""
        overlap = len(CHUNK_MARKER) - 1
        while at < self._bytes.nbytes - overlap:
            start = at - self._block_at
            if not 0 <= start < len(self._block) - overlap:
                self._bytes.file.seek(at)
                self._block = self._bytes.file.read(_BLOCK_NBYTES)
                self._block_at, start = at, 0
                if len(self._block) <= overlap:
                    return None
            markers = ((self._block.find(m, start), m) for m in (CHUNK_MARKER, SECTION_MARKER))
            if found := [(place, marker) for place, marker in markers if place >= 0]:
                place, marker = min(found)
                return self._block_at + place, marker
            at = self._block_at + len(self._block) - overlap
        return None

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
        last = self.chunks[-1].head if self.chunks else None
        if last and (head.ordinal <= last.ordinal or last.image_count < self.header.chunk_images):
            return at + 1  # a file inside a damaged payload, perhaps
        self._last_head = (at, head)
        table = self._bytes.read(at + CHUNK_HEAD_NBYTES, head.table_nbytes, "chunk table")
        found = FoundChunk(at, unpack_chunk_table(head, table, self.header, where))
        self.read_chunk(found)
        self.chunks.append(found)
        return at + found.head.nbytes

    def _take_section(self, at: int) -> int:
        entry = self._bytes.read_section_frame(at)
        self._section_offsets.add(at)
        try:
            self.section_payload(entry)
        except AezCorruptError:
            if entry.end_offset <= self._bytes.nbytes:
                self.damaged.append(entry)
            raise
        if len(self.sections) >= MAX_SECTIONS - len(_COPIES):  # the copies may have to be added
            raise AezLimitError(f"{self.name}: too many sections for a file, {MAX_SECTIONS}")
        self.sections.append((entry, bool(self.chunks)))
        return entry.end_offset

    def _find_header(self) -> Header:
        """The header, or its copy in HEAD."""
        fault: AezError
        try:
            nbytes = min(HEADER_NBYTES, self._bytes.nbytes)
            return Header.unpack(self._bytes.read(0, nbytes, "header"), self.name)
        except (AezCorruptError, AezUnsupportedError) as error:
            fault = error
        for at in self._section_markers():
            try:
                entry = self._bytes.read_section_frame(at)
                if entry.kind == HEAD and entry.payload_nbytes == HEADER_NBYTES:
                    return Header.unpack(self.section_payload(entry), self.name)
            except (AezCorruptError, AezUnsupportedError):  # noqa: PERF203
                continue
        raise fault

    def _section_markers(self) -> Iterator[int]:
        at = 0
        while (found := self._next_marker(at)) is not None:
            if found[1] == SECTION_MARKER:
                yield found[0]
            at = found[0] + 1


def ranges(spans: list[tuple[int, int]], total: int) -> tuple[list[list[int]], list[list[int]]]:
    """Kept ranges [first, last + 1], neighbours joined, and the gaps between them in 0..total."""
    kept: list[list[int]] = []
    for begin, end in spans:
        if kept and begin == kept[-1][1]:
            kept[-1][1] = end
        elif end > begin:
            kept.append([begin, end])
    edges = [0, *(edge for span in kept for edge in span), total]
    lost = [[at, end] for at, end in list(pairwise(edges))[::2] if end > at]
    return kept, lost
