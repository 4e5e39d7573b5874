"""What reading a file needs, where that is more than readers allow by default: writers tell it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from aecodec.annotations.column import Column
from aecodec.codec.codec import Codec
from aecodec.codec.decode import symbols_nbytes
from aecodec.container import MODL, NAME, Chunk, Section, section_limit
from aecodec.container.modes import MODES
from aecodec.io.left_out import Note
from aecodec.limits import DEFAULT_LIMITS, chunk_memory_nbytes

_DEFLATE_RATIO = 1032  # what a byte under zlib unpacks to, at most
_PIECE_NBYTES = 1 << 20


class Needs:
    """The bytes that a file's parts count against each limit of its reader, at most."""

    def __init__(self) -> None:
        self._nbytes: dict[str, int] = {}

    def add(self, limit: str, nbytes: int) -> None:
        """A part of the file takes so many bytes."""
        self._nbytes[limit] = max(nbytes, self._nbytes.get(limit, 0))

    def add_chunk(self, chunk: Chunk, image_nbytes: int, codec: Codec) -> None:
        """A chunk of the file, its payloads, images and latents."""
        payload_nbytes = sum(len(sub.data) for sub in chunk.sub_payloads)
        needed = chunk_memory_nbytes(payload_nbytes, chunk.image_count, image_nbytes)
        self.add("max_memory_nbytes", needed)
        counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8))
        for sub, count in zip(chunk.sub_payloads, counts, strict=True):
            symbols = symbols_nbytes(codec.networks, MODES[sub.mode], int(count))
            self.add("max_memory_nbytes", symbols)

    def add_sections(self, sections: Iterable[Section]) -> None:
        """Sections of the file; names and models count as they are unpacked."""
        for section in sections:
            name, most = section_limit(section.kind, DEFAULT_LIMITS)
            nbytes = len(section.payload)
            if section.kind in (NAME, MODL) and nbytes * _DEFLATE_RATIO > most:
                nbytes = _unpacked_nbytes(section.payload)
            self.add(name, nbytes)

    def add_columns(self, columns: Iterable[Column]) -> None:
        """All columns of the file."""
        self.add("max_column_nbytes", sum(column.nbytes for column in columns))

    def notes(self) -> tuple[Note, ...]:
        """A note for each limit that has to be raised to read the file."""
        return tuple(
            Note(_advice(name, nbytes), is_loss=False)
            for name, nbytes in self._nbytes.items()
            if nbytes > getattr(DEFAULT_LIMITS, name)
        )


def _advice(limit: str, nbytes: int) -> str:
    mebibytes = (nbytes >> 20) + 1
    return (
        f"the .aez needs {limit} of {nbytes}, more than a reader allows by default: read it "
        f"with --{limit.removesuffix('_nbytes').replace('_', '-')} {mebibytes}M, "
        f"in Python with Limits({limit}={mebibytes << 20})"
    )


def _unpacked_nbytes(packed: bytes) -> int:
    inflating, total = zlib.decompressobj(), 0
    data = packed
    while data and not inflating.eof:
        total += len(inflating.decompress(data, _PIECE_NBYTES))
        data = inflating.unconsumed_tail
    return total
