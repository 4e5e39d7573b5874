"""Symbols <-> payload under zstd, latent by latent (clauses 8.2 and 8.3 of formats/aez.md).

zstd's Huffman stage cannot go below one bit for a byte. So the symbols of consecutive images share
a byte in mixed radix where the latent's range allows it. Latents whose bytes are alike share a
frame and its Huffman table. bench/latent_layout.py measures both.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Indices, Symbols
from aecodec.entropy.grouping import group_columns
from aecodec.entropy.zstd import compressor, decompress, decompressor
from aecodec.errors import AezCorruptError
from aecodec.io.cursor import Cursor, pack_leb128

PACKED_MAX = 8  # symbols in a byte
Digits = npt.NDArray[np.int32]  # symbols of a latent less the smallest of them


def pack_symbols(symbols: Symbols) -> bytes:
    """The payload of symbols int16 (N, D), N >= 1."""
    columns: list[bytes] = []
    ranges = []
    for column in symbols.T.astype(np.int32):
        base = int(column.min())
        span = int(column.max()) - base + 1
        ranges.append((base, span))
        if span > 1:
            columns.append(_to_bytes(column - base, span))
    groups = group_columns(columns) if columns else []
    group_of = iter(groups)
    table = bytearray()
    for base, span in ranges:
        table += pack_leb128(2 * base if base >= 0 else -2 * base - 1)
        table += pack_leb128(span - 1)
        if span > 1:
            table += pack_leb128(next(group_of))
    zstd = compressor()
    frames = [
        zstd.compress(b"".join(c for c, g in zip(columns, groups, strict=True) if g == group))
        for group in range(max(groups, default=-1) + 1)
    ]
    for frame in frames:
        table += pack_leb128(len(frame))
    packed_table = zstd.compress(bytes(table))
    head = pack_leb128(len(table)) + pack_leb128(len(packed_table))
    return b"".join([head, packed_table, *frames])


def unpack_symbols(payload: bytes, image_count: int, latents: int, where: str) -> Symbols:
    """The symbols int16 (image_count, latents) of a payload.

    AezCorruptError for a payload that is not canonical.
    """
    return PackedSymbols(payload, image_count, latents, where).take(np.arange(image_count))


class PackedSymbols:
    """A payload whose frames are unpacked and checked; symbols are taken from it image by image."""

    def __init__(self, payload: bytes, image_count: int, latents: int, where: str) -> None:
        self.image_count = image_count
        self._columns: dict[int, bytes] = {}  # of the latents that are not constant
        cursor = Cursor(payload, where)
        zstd = decompressor()
        table_nbytes = cursor.leb128("table_nbytes")
        packed_nbytes = cursor.leb128("packed_nbytes")
        if not 2 * latents <= table_nbytes <= 20 * latents:
            raise AezCorruptError(
                f"{where}: symbol table of {table_nbytes} bytes, {latents} latents"
            )
        packed_table = cursor.take(packed_nbytes, "packed_table")
        raw = decompress(zstd, packed_table, table_nbytes, f"{where}: symbol table")
        table = Cursor(raw, f"{where}: symbol table")
        self._entries = _read_entries(table, latents)
        members: dict[int, list[int]] = defaultdict(list)  # the latents in each frame
        for j, entry in enumerate(self._entries):
            if entry.frame >= 0:
                members[entry.frame].append(j)
        for number in range(len(members)):
            frame = cursor.take(table.leb128("frame size"), f"frame {number}")
            sizes = {j: _column_nbytes(image_count, self._entries[j].span) for j in members[number]}
            unpacked = decompress(zstd, frame, sum(sizes.values()), f"{where}: frame {number}")
            data = Cursor(unpacked, where)
            for j, nbytes in sizes.items():
                self._columns[j] = column = data.take(nbytes, f"latent {j}")
                _check_column(column, image_count, self._entries[j].span, f"{where}: latent {j}")
        table.finish()
        cursor.finish()

    @property
    def nbytes(self) -> int:
        """Bytes that are held; ``symbols_nbytes`` is what all symbols would take."""
        return sum(len(column) for column in self._columns.values())

    @property
    def symbols_nbytes(self) -> int:
        """Bytes of the symbols of all images, unpacked."""
        return 2 * self.image_count * len(self._entries)

    def take(self, positions: Indices) -> Symbols:
        """Symbols int16 (len(positions), latents) of the images at these positions."""
        symbols = np.empty((len(self._entries), len(positions)), np.int16)
        for j, entry in enumerate(self._entries):
            symbols[j] = entry.base
            if j in self._columns:
                digits = _digits(self._columns[j], entry.span, positions)
                symbols[j] = digits + entry.base
        return np.ascontiguousarray(symbols.T)


class _Entry(NamedTuple):
    """A latent in the table: its symbols are ``base`` to ``base + span - 1``."""

    base: int
    span: int
    frame: int  # -1 for a constant latent, which is in no frame


def _read_entries(table: Cursor, latents: int) -> list[_Entry]:
    entries = []
    frame_count = 0
    for j in range(latents):
        zigzag, span = table.leb128("base"), table.leb128("span - 1") + 1
        base = zigzag >> 1 if zigzag & 1 == 0 else -(zigzag >> 1) - 1
        if base < -32768 or base + span - 1 > 32767:
            raise AezCorruptError(
                f"{table.where}: latent {j} is {base}..{base + span - 1}, no int16"
            )
        frame = table.leb128("frame") if span > 1 else -1
        if frame > frame_count:
            raise AezCorruptError(
                f"{table.where}: latent {j} in frame {frame}, expected {frame_count}"
            )
        frame_count = max(frame_count, frame + 1)
        entries.append(_Entry(base, span, frame))
    return entries


# ---------------------------------------------------------------- bytes of a latent (aez.md 8.3)


@lru_cache(maxsize=256)
def symbols_per_byte(span: int) -> int:
    """How many symbols of ``span`` values fit in one byte; 0 when one needs two bytes."""
    count = 0
    while count < PACKED_MAX and span ** (count + 1) <= 256:
        count += 1
    return count


def _column_nbytes(image_count: int, span: int) -> int:
    packed = symbols_per_byte(span)
    return 2 * image_count if packed == 0 else -(-image_count // packed)


def _to_bytes(digits: Digits, span: int) -> bytes:
    packed = symbols_per_byte(span)
    if packed == 0:
        return digits.astype("<u2").tobytes()
    padded = np.zeros(-(-len(digits) // packed) * packed, np.int32)
    padded[: len(digits)] = digits
    place = span ** np.arange(packed - 1, -1, -1)
    return (padded.reshape(-1, packed) @ place).astype(np.uint8).tobytes()


def _digits(column: bytes, span: int, positions: Indices) -> Digits:
    """The digits at these positions of a latent's bytes."""
    packed = symbols_per_byte(span)
    if packed == 0:
        return np.frombuffer(column, "<u2")[positions].astype(np.int32)
    packs = np.frombuffer(column, np.uint8)
    return _digit_table(span)[packs[positions // packed], positions % packed]


@lru_cache(maxsize=256)
def _digit_table(span: int) -> Digits:
    """The digits that each byte holds, (256, symbols_per_byte)."""
    place = span ** np.arange(symbols_per_byte(span) - 1, -1, -1)
    return (np.arange(256)[:, None] // place % span).astype(np.int32)


def _check_column(column: bytes, image_count: int, span: int, where: str) -> None:
    """AezCorruptError unless a latent's bytes are canonical (aez.md 8.2 and 8.3).

    Zeros follow the last symbol, and no smaller base or span holds the symbols.
    """
    packed = symbols_per_byte(span)
    if packed == 0:
        wide = np.frombuffer(column, "<u2")
        has_lowest, has_highest = not wide.min(), int(wide.max()) == span - 1
    else:
        possible, with_lowest, with_highest = _byte_kinds(span)
        if over := column.translate(None, possible):
            raise AezCorruptError(f"{where}: byte {over[0]}, expected below {span**packed}")
        last = _digit_table(span)[column[-1]]
        count = image_count - (len(column) - 1) * packed  # symbols in the last byte
        if last[count:].any():
            raise AezCorruptError(f"{where}: symbols after the last image are not zero")
        body, tail = column[:-1], last[:count].tolist()
        has_lowest = 0 in tail or len(body.translate(None, with_lowest)) < len(body)
        has_highest = span - 1 in tail or len(body.translate(None, with_highest)) < len(body)
    if not (has_lowest and has_highest):
        raise AezCorruptError(f"{where}: symbols do not reach both ends of 0..{span - 1}, its span")


@lru_cache(maxsize=256)
def _byte_kinds(span: int) -> tuple[bytes, bytes, bytes]:
    """Bytes that a latent may have, those with its lowest symbol, those with its highest."""
    digits = _digit_table(span)[: span ** symbols_per_byte(span)]
    lowest, highest = (digits == 0).any(axis=1), (digits == span - 1).any(axis=1)
    kinds = [np.arange(len(digits)), np.flatnonzero(lowest), np.flatnonzero(highest)]
    possible, with_lowest, with_highest = (bytes(kind.astype(np.uint8)) for kind in kinds)
    return possible, with_lowest, with_highest
