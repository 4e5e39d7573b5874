"""What is read and checked when a file is opened: all but the chunks (aez.md 4.4 and 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from aecodec.container.checks import check_equal, check_limit
from aecodec.container.chunks import CHUNK_HEAD_NBYTES
from aecodec.container.filebytes import FileBytes
from aecodec.container.footer import FOOTER_NBYTES, Footer
from aecodec.container.header import FLAGS_NEEDING_PARTS, HEADER_NBYTES, Header
from aecodec.container.index import INDEX_ENTRY_NBYTES, unpack_index
from aecodec.container.parts import PartRef, unpack_parts
from aecodec.container.sections import (
    HEAD,
    INDX,
    MAX_SECTIONS,
    PART,
    SECTION_FRAME_NBYTES,
    SectionEntry,
)
from aecodec.container.table import MIN_TABLE_NBYTES
from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.untrusted import Limit


@dataclass(frozen=True)
class Directory:
    """What a file says outside its chunks; ``index`` is the payload of INDX.

    ``sections`` leaves out HEAD, INDX and the copy of PART, which every writer makes anew.
    """

    header: Header
    footer: Footer
    index: bytes
    sections: tuple[SectionEntry, ...]
    parts: tuple[PartRef, ...]
    model_name: str

    def identity(self) -> str:
        """Hexadecimal digits that tell a file from any other one.

        They cover the checksum of every section and, by the index, that of every chunk.
        """
        facts = (self.header, self.footer, self.sections, self.parts, self.model_name)
        digest = hashlib.sha256(repr(facts).encode())
        digest.update(self.index)
        return digest.hexdigest()


def read_directory(
    file: FileBytes, limit: Limit, supported_flags: int, known_kinds: frozenset[str]
) -> Directory:
    """The directory of a file, once all its records are found whole and in agreement.

    ``limit`` bounds the index and each section that is read, in bytes.
    """
    return _Opening(file, limit, known_kinds).directory(supported_flags)


class _Opening:
    def __init__(self, file: FileBytes, limit: Limit, known_kinds: frozenset[str]) -> None:
        self._file, self._name = file, file.name
        self._limit = limit
        self._known_kinds = known_kinds

    def directory(self, supported_flags: int) -> Directory:
        nbytes = min(HEADER_NBYTES, self._file.nbytes)
        header_bytes = self._file.read(0, nbytes, "header")
        header = Header.unpack(header_bytes, self._name, supported_flags)
        # aez.md 6.3: footer before index, so that a cut tail or appended data is seen first.
        footer = self._read_footer()
        index = self._read_index(footer)
        chunks_offset, chunks_end = _check_index(index, header, footer, self._name)
        entries = self._find_sections(footer, chunks_offset, chunks_end)
        sections, copies = _split_copies(entries, chunks_end, self._name)
        self._check_header_copy(copies[0], header_bytes)
        part = _find_part(sections, chunks_offset, self._name)
        parts, model_name = self._read_parts(part, copies[1:], header)
        return Directory(header, footer, index, sections, parts, model_name)

    def _read_footer(self) -> Footer:
        file_nbytes = self._file.nbytes
        offset = max(HEADER_NBYTES, file_nbytes - FOOTER_NBYTES)
        data = self._file.read(offset, file_nbytes - offset, "footer")
        footer = Footer.unpack(data, self._name)
        where = f"{self._name}: footer"
        check_equal("file_nbytes", footer.file_nbytes, file_nbytes, where)
        index_end = footer.index_offset + footer.index_nbytes
        check_equal("end of the index", index_end, file_nbytes - FOOTER_NBYTES, where)
        index_nbytes = SECTION_FRAME_NBYTES + footer.chunk_count * INDEX_ENTRY_NBYTES
        check_equal("index_nbytes", footer.index_nbytes, index_nbytes, where)
        return footer

    def _read_index(self, footer: Footer) -> bytes:
        where = f"{self._name}: footer"
        check_limit("index_nbytes", footer.index_nbytes, self._limit, where)
        entry = self._file.read_section_frame(footer.index_offset, self._known_kinds)
        where = f"{self._name}: section at byte {entry.offset}"
        if entry.kind != INDX:
            raise AezCorruptError(f"{where}: kind is {entry.kind}, expected {INDX}")
        check_equal("end", entry.end_offset, self._file.nbytes - FOOTER_NBYTES, where)
        return self._file.read_section(entry, self._limit)

    def _find_sections(
        self, footer: Footer, chunks_offset: int, chunks_end: int
    ) -> list[SectionEntry]:
        """All sections but INDX. Without chunks, all lie before ``chunks_offset``."""
        found = self._walk_sections(HEADER_NBYTES, chunks_offset)
        if footer.chunk_count:
            found = chain(found, self._walk_sections(chunks_end, footer.index_offset))
        entries = list(islice(found, MAX_SECTIONS + 1))  # no more are even looked at
        if len(entries) > MAX_SECTIONS:
            raise AezLimitError(f"{self._name}: more than {MAX_SECTIONS} sections")
        return entries

    def _walk_sections(self, offset: int, end: int) -> Iterator[SectionEntry]:
        """The sections that fill the bytes from ``offset`` to ``end``."""
        while offset < end:
            entry = self._file.read_section_frame(offset, self._known_kinds)
            offset = entry.end_offset
            if offset > end:
                raise AezCorruptError(
                    f"{self._name}: section {entry.kind} at byte {entry.offset} ends at {offset}, "
                    f"expected at most {end}"
                )
            yield entry

    def _check_header_copy(self, head: SectionEntry, header_bytes: bytes) -> None:
        where = f"{self._name}: section {HEAD} at byte {head.offset}"
        check_equal("payload_nbytes", head.payload_nbytes, HEADER_NBYTES, where)
        if self._file.read_section(head, self._limit) != header_bytes:
            raise AezCorruptError(f"{where}: differs from the header")

    def _read_parts(
        self, part: SectionEntry | None, copies: list[SectionEntry], header: Header
    ) -> tuple[tuple[PartRef, ...], str]:
        """The parts and the model's name; none and "" in a file that needs no part."""
        if (part is None) != (not copies):
            found = "without a copy before the index" if part else "only before the index"
            raise AezCorruptError(f"{self._name}: {PART} section {found}")
        if part is None:
            if header.required_flags & FLAGS_NEEDING_PARTS:
                raise AezCorruptError(
                    f"{self._name}: required_flags {header.required_flags:#x} needs a "
                    f"{PART} section, found none"
                )
            return (), ""
        payload = self._file.read_section(part, self._limit)
        if self._file.read_section(copies[0], self._limit) != payload:
            raise AezCorruptError(
                f"{self._name}: section {PART} at byte {copies[0].offset}: differs from the first"
            )
        return unpack_parts(payload, self._name)


def _check_index(index: bytes, header: Header, footer: Footer, name: str) -> tuple[int, int]:
    """Where the chunks begin and end; AezCorruptError unless they lie one after the other."""
    if not footer.chunk_count:
        check_equal("image_count", footer.image_count, 0, f"{name}: footer")
        return footer.index_offset, HEADER_NBYTES
    chunks_offset = end = -1
    images = 0
    for i, entry in enumerate(unpack_index(index, name)):
        where = f"{name}: index entry {i}"
        if i == 0:
            chunks_offset = end = max(HEADER_NBYTES, entry.offset)
        check_equal("offset", entry.offset, end, where)  # no hole, no overlap
        end += entry.nbytes
        least = CHUNK_HEAD_NBYTES + MIN_TABLE_NBYTES
        if entry.nbytes < least or end > footer.index_offset:
            most = footer.index_offset - entry.offset
            raise AezCorruptError(f"{where}: nbytes is {entry.nbytes}, expected {least}..{most}")
        images += entry.image_count
        full = header.chunk_images
        least = 1 if i == footer.chunk_count - 1 else full
        if not least <= entry.image_count <= full:
            raise AezCorruptError(
                f"{where}: image_count is {entry.image_count}, expected {least}..{full}"
            )
    check_equal("image_count", footer.image_count, images, f"{name}: footer")
    return chunks_offset, end


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
    """The one PART section before the chunks, or None; AezCorruptError for HEAD and INDX there."""
    own = [entry for entry in sections if entry.kind in (PART, HEAD, INDX)]
    for i, entry in enumerate(own):
        if i > 0 or entry.kind != PART or entry.offset >= chunks_offset:
            raise AezCorruptError(
                f"{name}: section {entry.kind} at byte {entry.offset} is misplaced"
            )
    return own[0] if own else None
