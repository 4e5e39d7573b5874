"""Chunks: head, sub-payload table and runs, without the payload's meaning (aez.md 5 and 7)."""

from __future__ import annotations

import operator
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from aecodec.container.checks import (
    U8_MAX,
    U32_MAX,
    U64_MAX,
    check_crc32,
    range_fault,
    seal,
    unseal,
)
from aecodec.container.modes import MODES
from aecodec.container.records import INDEX_ENTRY_NBYTES, Header
from aecodec.errors import AezCorruptError, AezUnsupportedError

CHUNK_HEAD_NBYTES: Final = 80
MAX_TABLE_NBYTES: Final = 16 << 20  # aez.md 5.1
SHA256_NBYTES: Final = 32

CHUNK_MARKER: Final = b"\x89CHK"
_HEAD = struct.Struct("<4sIIIQQ32sIIB3s")
_TABLE_ENTRY = struct.Struct("<BHI")
TABLE_ENTRY_NBYTES: Final = _TABLE_ENTRY.size  # of each sub-payload
MIN_TABLE_NBYTES: Final = 1 + TABLE_ENTRY_NBYTES
_LEB128_MAX_NBYTES: Final = 5  # a run length fits u32
ANS_IMAGES_PER_BYTE: Final = 8  # aez.md 12.4


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


class TableEntry(NamedTuple):
    """A sub-payload as the table tells it: everything but the data."""

    mode: int
    parameter: int
    nbytes: int


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
    runs: tuple[tuple[int, int], ...] = ()

    def pack(self) -> bytes:
        """The 80 head bytes; the table goes apart."""
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
    """What a chunk takes of a file: head, table, payload and index entry."""
    table = _pack_table(*_modes_and_runs(chunk))
    payload_nbytes = sum(len(sub.data) for sub in chunk.sub_payloads)
    return CHUNK_HEAD_NBYTES + len(table) + payload_nbytes + INDEX_ENTRY_NBYTES


def pack_chunk_start(chunk: Chunk, ordinal: int, header: Header) -> tuple[bytes, bytes]:
    """The chunk's head and table; ValueError names what breaks a rule of the format."""
    modes, runs = _modes_and_runs(chunk)
    fault = _head_fault(chunk, header) or _table_fault(modes, runs, chunk.image_count, header)
    if fault:
        raise ValueError(f"chunk {ordinal}: {fault}")
    table = _pack_table(modes, runs)
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


def _modes_and_runs(
    chunk: Chunk,
) -> tuple[tuple[TableEntry, ...], tuple[tuple[int, int], ...]]:
    modes = tuple(TableEntry(sub.mode, sub.parameter, len(sub.data)) for sub in chunk.sub_payloads)
    runs = tuple((index, sum(1 for _ in images)) for index, images in groupby(chunk.assignment))
    return modes, runs


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
    if table[0] == 0:
        raise AezCorruptError(f"{where}: sub_payload_count is 0, expected 1..{U8_MAX}")
    runs_at = 1 + table[0] * _TABLE_ENTRY.size
    if runs_at > len(table):
        raise AezCorruptError(
            f"{where}: table of {table[0]} sub-payloads needs {runs_at} bytes, found {len(table)}"
        )
    modes = tuple(TableEntry(*fields) for fields in _TABLE_ENTRY.iter_unpack(table[1:runs_at]))
    for entry in modes:
        if entry.mode not in MODES:
            raise AezUnsupportedError(f"{where}: mode {entry.mode} is unknown to this reader")
    runs = _unpack_runs(table[runs_at:], len(modes), head.image_count, where)
    if fault := _table_fault(modes, runs, head.image_count, header):
        raise AezCorruptError(f"{where}: {fault}")
    if (nbytes := sum(entry.nbytes for entry in modes)) != head.payload_nbytes:
        raise AezCorruptError(
            f"{where}: sub-payloads have {nbytes} bytes, payload_nbytes is {head.payload_nbytes}"
        )
    return replace(head, modes=modes, runs=runs)


def read_payload(head: ChunkHead, read: Callable[[int, int], bytes], where: str) -> Chunk:
    """The chunk of a head with its table; ``read`` gives bytes by their offset in the payload."""
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
        assignment=expand_runs(head.runs),
        max_error=head.max_error,
        sum_squared_error=head.sum_squared_error,
        pixels_sha256=head.pixels_sha256,
    )


def expand_runs(runs: Sequence[tuple[int, int]]) -> bytes:
    """The sub-payload index of each image, a byte each."""
    return b"".join(bytes([index]) * length for index, length in runs)


def _head_fault(chunk: Chunk | ChunkHead, header: Header) -> str | None:
    """What a head may not say, or None; the same rules for writing and for reading."""
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


def _table_fault(
    modes: Sequence[TableEntry],
    runs: Sequence[tuple[int, int]],
    image_count: int,
    header: Header,
) -> str | None:
    """What a table may not say, or None; the same rules for writing and for reading."""
    if not 1 <= len(modes) <= U8_MAX:
        return f"sub_payload_count is {len(modes)}, expected 1..{U8_MAX}"
    for entry in modes:
        if fault := _mode_fault(entry, header):
            return fault
    if len({entry[:2] for entry in modes}) != len(modes):
        return "two sub-payloads have the same mode and parameter"
    # aez.md 5.5: one table for one assignment, so that equal chunks are equal bytes.
    if (total := sum(length for _, length in runs)) != image_count:
        return f"runs cover {total} images, image_count is {image_count}"
    if any(left[0] == right[0] for left, right in pairwise(runs)):
        return "two neighbouring runs name the same sub-payload"
    image_counts: dict[int, int] = {}
    for index, length in runs:
        image_counts[index] = image_counts.get(index, 0) + length
    if (first_uses := list(image_counts)) != list(range(len(modes))):
        return (
            f"sub-payloads are first used in the order {first_uses}, expected 0..{len(modes) - 1}"
        )
    for entry, images in zip(modes, image_counts.values(), strict=True):
        if is_crowded(entry.mode, images, entry.nbytes):
            return (
                f"mode {entry.mode}: {images} images in an ANS payload of {entry.nbytes} bytes, "
                f"expected at most {ANS_IMAGES_PER_BYTE} for each"
            )
    return None


def is_crowded(mode: int, images: int, nbytes: int) -> bool:
    """Whether an ANS payload holds more images for its bytes than one may (aez.md 12.4)."""
    return MODES[mode].is_under_ans and images > ANS_IMAGES_PER_BYTE * nbytes


def _mode_fault(entry: TableEntry, header: Header) -> str | None:
    mode = MODES.get(entry.mode)
    if mode is None:
        return f"mode is {entry.mode}, expected one of {sorted(MODES)}"
    # aez.md 7: what a chunk needs, the header has announced.
    if missing := mode.required_flags & ~header.required_flags:
        return f"mode {entry.mode} needs flags {missing:#x} in required_flags"
    ranges = {"parameter": mode.parameter_range, "nbytes": (0, U32_MAX)}
    fault = range_fault(entry._asdict(), ranges)
    return f"mode {entry.mode}: {fault}" if fault else None


def _pack_table(modes: Sequence[TableEntry], runs: Sequence[tuple[int, int]]) -> bytes:
    entries = b"".join(_TABLE_ENTRY.pack(*entry) for entry in modes)
    packed_runs = b""
    if len(modes) > 1:
        packed_runs = b"".join(bytes([index]) + _pack_leb128(length) for index, length in runs)
    return bytes([len(modes)]) + entries + packed_runs


def _unpack_runs(
    data: bytes, sub_payload_count: int, image_count: int, where: str
) -> tuple[tuple[int, int], ...]:
    if sub_payload_count == 1:
        if data:
            raise AezCorruptError(
                f"{where}: {len(data)} bytes of runs for one sub-payload, expected 0"
            )
        return ((0, image_count),)  # aez.md 5.3: a lone sub-payload has no runs
    runs = []
    at = 0
    while at < len(data):
        length, end = _unpack_leb128(data, at + 1, where)
        runs.append((data[at], length))
        at = end
    return tuple(runs)


def _pack_leb128(value: int) -> bytes:
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)


def _unpack_leb128(data: bytes, at: int, where: str) -> tuple[int, int]:
    """The run length at ``at`` and the offset after it; at least 1, in its shortest form."""
    value = 0
    for shift, byte in enumerate(data[at : at + _LEB128_MAX_NBYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if byte == 0:  # the length 0, or a longer form of a shorter number
                raise AezCorruptError(f"{where}: run length {value} is 0 or not in shortest form")
            return value, at + shift + 1
    raise AezCorruptError(f"{where}: run length is cut or longer than {_LEB128_MAX_NBYTES} bytes")
