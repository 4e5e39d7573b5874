"""Chunks as records: head, table and payload, without the payload's meaning (aez.md 5)."""

from __future__ import annotations

import operator
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from aecodec.container.checks import (
    U8_MAX,
    U64_MAX,
    check_crc32,
    range_fault,
    seal,
    unseal,
)
from aecodec.container.header import Header
from aecodec.container.index import INDEX_ENTRY_NBYTES
from aecodec.container.modes import MODES
from aecodec.container.runs import Runs, runs_of
from aecodec.container.table import (
    MAX_TABLE_NBYTES,
    MIN_TABLE_NBYTES,
    TableEntry,
    pack_table,
    table_fault,
    unpack_table,
)
from aecodec.errors import AezCorruptError, AezUnsupportedError
from aecodec.limits import chunk_memory_nbytes

CHUNK_HEAD_NBYTES: Final = 80
SHA256_NBYTES: Final = 32

CHUNK_MARKER: Final = b"\x89CHK"
_HEAD = struct.Struct("<4sIIIQQ32sIIB3s")


@dataclass(frozen=True)
class SubPayload:
    """The bytes of those images of a chunk that share a mode and its parameter."""

    mode: int
    parameter: int
    data: bytes


@dataclass(frozen=True)
class Chunk:
    """One chunk; ``assignment`` holds the sub-payload index of each image, a byte each."""

    image_count: int
    sub_payloads: tuple[SubPayload, ...]
    assignment: bytes
    max_error: int
    sum_squared_error: int
    pixels_sha256: bytes


@dataclass(frozen=True)
class ChunkHead:
    """A chunk as it is known before its payload is read (aez.md 5.1 to 5.3).

    ``modes`` and ``runs`` come from the table and are empty until it has been read;
    a run is (sub-payload index, number of images).
    """

    ordinal: int
    image_count: int
    table_nbytes: int
    payload_nbytes: int
    sum_squared_error: int
    pixels_sha256: bytes
    table_crc32: int
    payload_crc32: int
    max_error: int
    modes: tuple[TableEntry, ...] = ()
    runs: Runs = field(default_factory=Runs)

    @property
    def nbytes(self) -> int:
        """Bytes of the chunk in the file: head, table and payload."""
        return CHUNK_HEAD_NBYTES + self.table_nbytes + self.payload_nbytes

    def memory_nbytes(self, header: Header, *, beside_others: bool = False) -> int:
        """Bytes that reading and decoding the chunk counts against ``max_memory_nbytes``.

        ``beside_others`` is for a chunk that is decoded together with others, by the same networks.
        """
        by_networks = not beside_others and any(MODES[entry.mode].parts for entry in self.modes)
        return chunk_memory_nbytes(
            self.payload_nbytes, self.image_count, header.image_nbytes, by_networks=by_networks
        )

    def pack(self) -> bytes:
        """The 80 bytes of the head, without the table."""
        fields = (
            CHUNK_MARKER,
            self.ordinal,
            self.image_count,
            self.table_nbytes,
            self.payload_nbytes,
            self.sum_squared_error,
            self.pixels_sha256,
            self.table_crc32,
            self.payload_crc32,
            self.max_error,
            bytes(3),  # reserved
        )
        return seal(_HEAD.pack(*fields))


def chunk_nbytes(chunk: Chunk) -> int:
    """Bytes that a chunk adds to a file: head, table, payload and index entry."""
    table = pack_table(*_modes_and_runs(chunk))
    payload_nbytes = sum(len(sub.data) for sub in chunk.sub_payloads)
    return CHUNK_HEAD_NBYTES + len(table) + payload_nbytes + INDEX_ENTRY_NBYTES


def pack_chunk_start(chunk: Chunk, ordinal: int, header: Header) -> tuple[bytes, bytes]:
    """The chunk's head and table; ValueError names the rule of the format that is broken."""
    modes, runs = _modes_and_runs(chunk)
    fault = _head_fault(chunk, header) or table_fault(modes, runs, chunk.image_count, header)
    if fault:
        raise ValueError(f"chunk {ordinal}: {fault}")
    table = pack_table(modes, runs)
    if len(table) > MAX_TABLE_NBYTES:
        raise ValueError(
            f"chunk {ordinal}: table_nbytes is {len(table)}, expected at most {MAX_TABLE_NBYTES}"
        )
    payload_crc32 = 0
    for sub in chunk.sub_payloads:
        payload_crc32 = zlib.crc32(sub.data, payload_crc32)
    head = ChunkHead(
        ordinal=ordinal,
        image_count=chunk.image_count,
        table_nbytes=len(table),
        payload_nbytes=sum(entry.nbytes for entry in modes),
        sum_squared_error=chunk.sum_squared_error,
        pixels_sha256=chunk.pixels_sha256,
        table_crc32=zlib.crc32(table),
        payload_crc32=payload_crc32,
        max_error=chunk.max_error,
    )
    return head.pack(), table


def _modes_and_runs(chunk: Chunk) -> tuple[tuple[TableEntry, ...], Runs]:
    modes = tuple(TableEntry(sub.mode, sub.parameter, len(sub.data)) for sub in chunk.sub_payloads)
    return modes, runs_of(chunk.assignment)


def unpack_chunk_head(data: bytes, header: Header, where: str) -> ChunkHead:
    """The head in the 80 bytes ``data``, its ``modes`` and ``runs`` still empty."""
    if data[:4] != CHUNK_MARKER:
        raise AezCorruptError(f"{where}: marker is {data[:4]!r}, expected {CHUNK_MARKER!r}")
    fields = _HEAD.unpack(unseal(data, "head_crc32", where))
    if any(fields[-1]):
        raise AezUnsupportedError(f"{where}: reserved bytes are {fields[-1]!r}, expected 0")
    head = ChunkHead(*fields[1:-1])
    table_range = {"table_nbytes": (MIN_TABLE_NBYTES, MAX_TABLE_NBYTES)}
    if fault := range_fault(vars(head), table_range) or _head_fault(head, header):
        raise AezCorruptError(f"{where}: {fault}")
    return head


def unpack_chunk_table(head: ChunkHead, table: bytes, header: Header, where: str) -> ChunkHead:
    """``head`` with the ``modes`` and ``runs`` that ``table`` holds."""
    check_crc32("table_crc32", head.table_crc32, zlib.crc32(table), where)
    modes, runs = unpack_table(table, head.image_count, header, where)
    if (nbytes := sum(entry.nbytes for entry in modes)) != head.payload_nbytes:
        raise AezCorruptError(
            f"{where}: sub-payloads have {nbytes} bytes, payload_nbytes is {head.payload_nbytes}"
        )
    return replace(head, modes=modes, runs=runs)


def _head_fault(chunk: Chunk | ChunkHead, header: Header) -> str | None:
    """The first rule that a head breaks, or None; the same rules for writing and for reading."""
    max_error = operator.index(chunk.max_error)  # a NumPy uint8 would wrap when squared
    most = chunk.image_count * header.image_nbytes * max_error**2
    ranges = {
        "image_count": (1, header.chunk_images),
        "max_error": (0, U8_MAX),
        # aez.md 5.4: one pixel is off by max_error, and none by more.
        "sum_squared_error": (max_error**2, min(most, U64_MAX)),
    }
    if len(chunk.pixels_sha256) != SHA256_NBYTES:
        return f"pixels_sha256 has {len(chunk.pixels_sha256)} bytes, expected {SHA256_NBYTES}"
    return range_fault(vars(chunk), ranges)


def read_payload(head: ChunkHead, read: Callable[[int, int], bytes], where: str) -> Chunk:
    """The chunk whose ``head``, with its table, has been read; its payload's checksum is checked.

    ``read(at, nbytes)`` gives bytes of the payload by their offset in it.
    """
    sub_payloads = []
    at = crc32 = 0
    for mode, parameter, nbytes in head.modes:
        data = read(at, nbytes)
        crc32 = zlib.crc32(data, crc32)
        sub_payloads.append(SubPayload(mode, parameter, data))
        at += nbytes
    check_crc32("payload_crc32", head.payload_crc32, crc32, where)
    return Chunk(
        image_count=head.image_count,
        sub_payloads=tuple(sub_payloads),
        assignment=head.runs.assignment(),
        max_error=head.max_error,
        sum_squared_error=head.sum_squared_error,
        pixels_sha256=head.pixels_sha256,
    )
