"""The one-pass writer: it never seeks, so it can write to a pipe (aez.md 2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from aecodec.container.chunks import Chunk, pack_chunk_start
from aecodec.container.footer import FOOTER_NBYTES, Footer
from aecodec.container.header import FLAGS_NEEDING_PARTS, SUPPORTED_FLAGS, Header
from aecodec.container.index import IndexEntry
from aecodec.container.parts import unpack_parts
from aecodec.container.sections import (
    HEAD,
    INDX,
    MAX_SECTIONS,
    PART,
    SECTION_FRAME_NBYTES,
    Section,
)
from aecodec.errors import AezCorruptError


class Writer:
    """Writes the header and ``sections`` at once, then chunks and sections as they are given.

    A call that breaks a rule of the format raises ValueError and writes nothing. A file whose
    writer was not closed has no index and no footer.
    """

    def __init__(self, file: BinaryIO, header: Header, sections: Iterable[Section] = ()) -> None:
        sections = tuple(sections)
        header_bytes = header.pack()
        self._part = _check_start(header, sections)
        self._file = file
        self._header = header
        self._header_bytes = header_bytes
        self._offset = 0
        self._index = bytearray()
        self._image_count = 0
        self._chunk_count = 0
        self._section_count = _section_count(sections)
        self._chunks_over = ""  # why no chunk may follow, once none may
        self._closed = False
        self._write(header_bytes)
        for section in sections:
            self._write_section(section)

    def write_chunk(self, chunk: Chunk) -> None:
        """Append a chunk; every chunk but the last must hold exactly ``chunk_images`` images."""
        self._check_open()
        if self._chunks_over:
            raise ValueError(f"chunk {self._chunk_count}: no chunk may follow {self._chunks_over}")
        head, table = pack_chunk_start(chunk, self._chunk_count, self._header)
        offset = self._offset
        self._write(head)
        self._write(table)
        for sub_payload in chunk.sub_payloads:
            self._write(sub_payload.data)
        nbytes, head_crc32 = self._offset - offset, int.from_bytes(head[-4:], "little")
        self._index += IndexEntry(offset, nbytes, chunk.image_count, head_crc32).pack()
        self._image_count += chunk.image_count
        self._chunk_count += 1
        if chunk.image_count < self._header.chunk_images:
            self._chunks_over = (
                f"one of {chunk.image_count} images, chunk_images is {self._header.chunk_images}"
            )

    def write_section(self, section: Section) -> None:
        """Append a section after the chunks; no chunk may follow it."""
        self._check_open()
        if section.kind in (PART, HEAD, INDX):
            raise ValueError(f"section {section.kind} cannot be given after the chunks")
        if self._section_count == MAX_SECTIONS:
            raise ValueError(f"section {section.kind}: more than {MAX_SECTIONS} sections")
        self._write_section(section)
        self._section_count += 1
        self._chunks_over = f"section {section.kind}"

    def close(self) -> int:
        """Write the copies, the index and the footer; return the size of the file in bytes."""
        self._check_open()
        self._closed = True
        self._write_section(Section(HEAD, required=False, payload=self._header_bytes))
        if self._part is not None:
            self._write_section(self._part)
        index_offset = self._offset
        self._write_section(Section(INDX, required=True, payload=self._index))
        footer = Footer(
            index_offset=index_offset,
            index_nbytes=self._offset - index_offset,
            file_nbytes=self._offset + FOOTER_NBYTES,
            image_count=self._image_count,
            chunk_count=self._chunk_count,
        )
        self._write(footer.pack())
        return self._offset

    @property
    def index_nbytes(self) -> int:
        """The bytes of the index so far."""
        return SECTION_FRAME_NBYTES + len(self._index)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("writer is closed")

    def _write_section(self, section: Section) -> None:
        frame = section.pack_frame()
        self._write(frame)
        self._write(section.payload)

    def _write(self, data: bytes | bytearray) -> None:
        written = self._file.write(data)
        # A raw file may write less than it was given; a buffered one never does.
        if written != len(data):
            raise OSError(f"short write: {written} of {len(data)} bytes at byte {self._offset}")
        self._offset += len(data)


def _check_start(header: Header, sections: tuple[Section, ...]) -> Section | None:
    """The PART section, if there is one; ValueError if header and sections do not agree."""
    if unknown := header.required_flags & ~SUPPORTED_FLAGS:
        raise ValueError(f"header: required_flags has bits {unknown:#x} that no reader here knows")
    if (count := _section_count(sections)) > MAX_SECTIONS:
        raise ValueError(f"{count} sections with the copies, expected at most {MAX_SECTIONS}")
    for section in sections:
        section.pack_frame()
        if section.kind in (HEAD, INDX):
            raise ValueError(f"section {section.kind} is written by close, not given")
        if section.kind == PART:
            _check_part(section)
    parts = [section for section in sections if section.kind == PART]
    if len(parts) > 1:
        raise ValueError(f"{len(parts)} PART sections, expected at most 1")
    if not parts:
        if header.required_flags & FLAGS_NEEDING_PARTS:
            raise ValueError(f"required_flags {header.required_flags:#x} needs a PART section")
        return None
    return parts[0]


def _section_count(sections: tuple[Section, ...]) -> int:
    """The number of sections with the copies that ``close`` adds (aez.md 4.6)."""
    return len(sections) + 1 + sum(section.kind == PART for section in sections)


def _check_part(section: Section) -> None:
    try:
        unpack_parts(bytes(section.payload), "section")
    except AezCorruptError as error:
        raise ValueError(str(error)) from None
