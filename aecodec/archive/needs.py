"""What reading a file needs, where that is more than readers allow by default: writers tell it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from aecodec.annotations.column import Column
from aecodec.annotations.payload import column_memory_nbytes
from aecodec.annotations.texts import NAME_NBYTES
from aecodec.archive.sections import MODEL_MEMORY
from aecodec.codec.codec import Codec
from aecodec.codec.decode import symbols_nbytes
from aecodec.container import MODL, NAME, Chunk, Section
from aecodec.container.modes import MODES
from aecodec.io.left_out import Note
from aecodec.io.untrusted import inflated
from aecodec.limits import DEFAULT_LIMITS, chunk_memory_nbytes


class Needs:
    """The bytes that a file's parts count against each limit of its reader, at most."""

    def __init__(self) -> None:
        self._nbytes: dict[str, int] = {}
        self._chunk_nbytes = 0  # of the chunk that takes most

    def add(self, limit: str, nbytes: int) -> None:
        """A part of the file takes so many bytes."""
        self._nbytes[limit] = max(nbytes, self._nbytes.get(limit, 0))

    def add_index(self, index_nbytes: int) -> None:
        """The index, which is in memory beside each chunk; to be added after all of these."""
        self.add("max_memory_nbytes", index_nbytes + self._chunk_nbytes)

    def add_chunk(self, chunk: Chunk, image_nbytes: int, codec: Codec) -> None:
        """A chunk of the file, its payloads, images and latents."""
        payload_nbytes = sum(len(sub.data) for sub in chunk.sub_payloads)
        needed = chunk_memory_nbytes(
            payload_nbytes,
            chunk.image_count,
            image_nbytes,
            by_networks=any(MODES[sub.mode].parts for sub in chunk.sub_payloads),
        )
        self._chunk_nbytes = max(needed, self._chunk_nbytes)
        counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8))
        for sub, count in zip(chunk.sub_payloads, counts, strict=True):
            symbols = symbols_nbytes(codec.networks, MODES[sub.mode], int(count))
            self.add("max_memory_nbytes", symbols)

    def add_sections(self, sections: Iterable[Section]) -> None:
        """Sections of the file; names and models count as what they become."""
        for section in sections:
            nbytes = len(section.payload)
            self.add("max_memory_nbytes", nbytes)
            if section.kind == NAME:
                unpacked, commas = _unpacked(section.payload)
                self.add("max_memory_nbytes", unpacked + NAME_NBYTES * (commas + 1))
            elif section.kind == MODL:
                unpacked, _ = _unpacked(section.payload)
                self.add("max_model_nbytes", unpacked)
                self.add("max_memory_nbytes", MODEL_MEMORY * unpacked)

    def add_columns(self, columns: Iterable[Column]) -> None:
        """All columns of the file, together and each while it is unpacked."""
        total = 0
        for column in columns:
            total += column.nbytes
            self.add("max_memory_nbytes", column_memory_nbytes(column))
        self.add("max_column_nbytes", total)

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


def _unpacked(packed: bytes | bytearray) -> tuple[int, int]:
    """How many bytes these are out of zlib, and how often a comma follows a quote among them."""
    nbytes = commas = 0
    for piece in inflated(bytes(packed), "section", ("", sys.maxsize - 1)):
        nbytes += len(piece)
        commas += piece.count(b'",')
    return nbytes, commas
