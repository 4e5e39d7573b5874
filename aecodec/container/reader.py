"""The seeking reader: chunks are checked when they are read, all else when a file is opened."""

from __future__ import annotations

from typing import BinaryIO

from aecodec.container.checks import check_equal
from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    Chunk,
    ChunkHead,
    unpack_chunk_head,
)
from aecodec.container.filebytes import FileBytes
from aecodec.container.header import SUPPORTED_FLAGS
from aecodec.container.index import IndexEntry, index_entry
from aecodec.container.opening import read_directory
from aecodec.container.sections import KNOWN_SECTIONS, SectionEntry
from aecodec.io.untrusted import Limit
from aecodec.limits import DEFAULT_LIMITS


class Reader:
    """Header, sections and chunks of an open, seekable file; the caller closes it.

    ``name`` is what errors call the file. ``sections`` leaves out HEAD, INDX and the copy
    of PART, which a writer makes anew. Threads and forked processes may share it. What is read
    later is held against what was read at first: AezChangedError if the file was overwritten.
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
        self._bytes = FileBytes(file, name)
        self._limit = ("max_memory_nbytes", max_memory_nbytes)
        directory = read_directory(
            self._bytes, self._limit, supported_flags, known_kinds | KNOWN_SECTIONS
        )
        self.name = name
        self.file_nbytes = self._bytes.nbytes
        self.header, self.footer = directory.header, directory.footer
        self.sections = directory.sections
        self.parts, self.model_name = directory.parts, directory.model_name
        self._index = directory.index
        self._bytes.held_nbytes = len(directory.index)
        self.identity = directory.identity()

    @property
    def image_count(self) -> int:
        """Images in the file."""
        return self.footer.image_count

    @property
    def chunk_count(self) -> int:
        """Chunks in the file."""
        return self.footer.chunk_count

    def index_entry(self, i: int) -> IndexEntry:
        """Where chunk ``i`` lies; IndexError if there is none."""
        if not 0 <= i < self.chunk_count:
            raise IndexError(f"chunk {i}, expected 0..{self.chunk_count - 1}")
        return index_entry(self._index, i)

    def read_chunk_head(self, i: int) -> ChunkHead:
        """Head and table of chunk ``i``; its payload is not read."""
        with self._bytes.unchanged():
            return self._read_chunk_head(i)

    def _read_chunk_head(self, i: int) -> ChunkHead:
        entry = self.index_entry(i)
        where = f"{self.name}: chunk {i} at byte {entry.offset}"
        data = self._bytes.read(entry.offset, CHUNK_HEAD_NBYTES, "chunk head")
        head = unpack_chunk_head(data, self.header, where)
        check_equal("ordinal", head.ordinal, i, where)
        check_equal("image_count", head.image_count, entry.image_count, where)
        check_equal("head_crc32", int.from_bytes(data[-4:], "little"), entry.head_crc32, where)
        # The index was checked against the file, so from here on the file holds these bytes.
        check_equal("nbytes", head.nbytes, entry.nbytes, where)
        return self._bytes.with_table(entry.offset, head, self.header, self._limit, where)

    def read_chunk(self, i: int, head: ChunkHead | None = None) -> Chunk:
        """Chunk ``i``; its payload's checksum is checked, and not what the payload means.

        ``head`` is that of the chunk, if it has been read.
        """
        head = head or self.read_chunk_head(i)
        offset = self.index_entry(i).offset
        with self._bytes.unchanged():
            return self._bytes.read_chunk(offset, head, self.header, self._limit)

    def read_section(self, entry: SectionEntry, limit: Limit | None = None) -> bytes:
        """The payload of a section, its checksum checked.

        AezLimitError if it has more bytes than ``limit``, a name and bytes, allows; the default is
        ``max_memory_nbytes``.
        """
        with self._bytes.unchanged():
            return self._bytes.read_section(entry, limit or self._limit)
