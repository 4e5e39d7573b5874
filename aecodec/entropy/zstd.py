"""Symbols <-> payload under zstd, latent by latent (clause 8 of formats/aez.md).

zstd's Huffman stage cannot go below one bit per byte, so the symbols of consecutive images share
a byte in mixed radix wherever the latent's range allows; and latents whose bytes are alike share
a frame and its Huffman table. Both are measured by bench/latent_layout.py.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from aecodec.arrays import Symbols
from aecodec.entropy.grouping import group_columns
from aecodec.errors import AezCorruptError

LEVEL = 19
WINDOW_MAX = 8 << 20  # aez.md 8.4; what this compressor takes for large data
MAX_PACKED = 8  # symbols in a byte
Bytes = npt.NDArray[np.uint8]


def compress_bytes(data: bytes) -> bytes:
    """One zstd frame without magic, content size or checksum: the container holds all three."""
    return _compressor().compress(data)


def fast_nbytes(data: bytes) -> int:
    """Size at zstd's fastest ordinary level: an upper estimate of what ``compress_bytes`` gives."""
    return len(zstandard.ZstdCompressor(level=1).compress(data))


def _compressor() -> zstandard.ZstdCompressor:
    params = zstandard.ZstdCompressionParameters.from_level(
        LEVEL,
        write_content_size=False,
        write_checksum=False,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    )
    return zstandard.ZstdCompressor(compression_params=params)


def decompress_bytes(frame: bytes, nbytes: int, where: str) -> bytes:
    """Exactly ``nbytes``, 1 or more, from one frame, which is all there is (aez.md 8.4)."""
    return _decompress(_decompressor(), frame, nbytes, where)


def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(
        max_window_size=WINDOW_MAX, format=zstandard.FORMAT_ZSTD1_MAGICLESS
    )


def _decompress(
    decompressor: zstandard.ZstdDecompressor, frame: bytes, nbytes: int, where: str
) -> bytes:
    _check_head(frame, where)
    try:
        # Into a buffer of the size that is known: a bomb finds it full, a second frame is told.
        data = decompressor.decompress(frame, max_output_size=nbytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise AezCorruptError(f"{where}: {_frame_fault(str(error), nbytes)}") from error
    if len(data) != nbytes:
        raise AezCorruptError(f"{where}: frame holds {len(data)} bytes, expected {nbytes}")
    return data


def _frame_fault(error: str, nbytes: int) -> str:
    """What zstd's message for people means here."""
    if "full frame" in error:
        return f"the zstd frame is cut, or holds more than the {nbytes} bytes expected"
    if "unused data" in error:
        return "the zstd frame is followed by other bytes"
    return f"damaged zstd frame: {error}"


def _check_head(frame: bytes, where: str) -> None:
    """The one form that aez.md 8.4 leaves: a descriptor of 0, and a window of at most 8 MiB."""
    if len(frame) < 2 or frame[0]:
        raise AezCorruptError(
            f"{where}: zstd frame begins with {frame[:2].hex() or 'nothing'}, expected 00 and a window"
        )
    exponent, eighths = divmod(frame[1], 8)
    window = (8 + eighths) << exponent + 7
    if window > WINDOW_MAX:
        raise AezCorruptError(
            f"{where}: zstd frame has a window of {window} bytes, expected at most {WINDOW_MAX}"
        )


# ---------------------------------------------------------------- symbols


@lru_cache(maxsize=256)
def symbols_per_byte(span: int) -> int:
    """How many symbols of ``span`` values fit in one byte; 0 when one needs two bytes."""
    count = 0
    while count < MAX_PACKED and span ** (count + 1) <= 256:
        count += 1
    return count


def pack_symbols(symbols: Symbols) -> bytes:
    """Symbols int16 (N, D), N >= 1, to a payload."""
    table = bytearray()
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
    for base, span in ranges:
        _put_leb128(table, 2 * base if base >= 0 else -2 * base - 1)
        _put_leb128(table, span - 1)
        if span > 1:
            _put_leb128(table, next(group_of))
    compressor = _compressor()
    frames = [
        compressor.compress(b"".join(c for c, g in zip(columns, groups, strict=True) if g == group))
        for group in range(max(groups, default=-1) + 1)
    ]
    for frame in frames:
        _put_leb128(table, len(frame))
    packed_table = compressor.compress(bytes(table))
    head = bytearray()
    _put_leb128(head, len(table))
    _put_leb128(head, len(packed_table))
    return b"".join([bytes(head), packed_table, *frames])


def _to_bytes(column: npt.NDArray[np.int32], span: int) -> bytes:
    packed = symbols_per_byte(span)
    if packed == 0:
        return column.astype("<u2").tobytes()
    padded = np.zeros(-(-len(column) // packed) * packed, np.int32)
    padded[: len(column)] = column
    place = span ** np.arange(packed - 1, -1, -1)
    return (padded.reshape(-1, packed) @ place).astype(np.uint8).tobytes()


def unpack_symbols(payload: bytes, image_count: int, latents: int, where: str) -> Symbols:
    """A payload back to int16 (image_count, latents); AezCorruptError when it is not canonical."""
    return PackedSymbols(payload, image_count, latents, where).take(np.arange(image_count))


class PackedSymbols:
    """A payload whose frames are unpacked and found canonical; symbols are taken image by image."""

    def __init__(self, payload: bytes, image_count: int, latents: int, where: str) -> None:
        view = _Cursor(payload, where)
        table_nbytes, packed_nbytes = view.leb128(), view.leb128()
        if not 2 * latents <= table_nbytes <= 20 * latents:
            raise AezCorruptError(
                f"{where}: symbol table of {table_nbytes} bytes, {latents} latents"
            )
        unpacker = _decompressor()
        packed = view.take(packed_nbytes)
        raw = _decompress(unpacker, packed, table_nbytes, f"{where}: symbol table")
        table = _Cursor(raw, f"{where}: symbol table")
        self._entries = _read_entries(table, latents)
        self.image_count = image_count
        self._columns: dict[int, bytes] = {}  # of the latents that are not constant
        sizes = [_column_nbytes(image_count, entry.span) for entry in self._entries]
        members: dict[int, list[int]] = defaultdict(list)  # latents, by the frame they are in
        for j, entry in enumerate(self._entries):
            if entry.group >= 0:
                members[entry.group].append(j)
        for group in range(len(members)):
            frame = view.take(table.leb128())
            size = sum(sizes[j] for j in members[group])
            unpacked = _decompress(unpacker, frame, size, f"{where}: frame {group}")
            data = _Cursor(unpacked, where)
            for j in members[group]:
                self._columns[j] = column = data.take(sizes[j])
                _check_column(column, image_count, self._entries[j].span, f"{where}: latent {j}")
        table.finish()
        view.finish()

    @property
    def nbytes(self) -> int:
        """What is held; ``symbols_nbytes`` is what all symbols would be."""
        return sum(len(column) for column in self._columns.values())

    @property
    def symbols_nbytes(self) -> int:
        return 2 * self.image_count * len(self._entries)

    def take(self, positions: npt.NDArray[np.intp]) -> Symbols:
        """Symbols int16 (len(positions), latents) of the images at these positions."""
        symbols = np.empty((len(self._entries), len(positions)), np.int16)
        for j, entry in enumerate(self._entries):
            symbols[j] = entry.base
            if j in self._columns:
                digits = _digits(self._columns[j], entry.span, positions)
                symbols[j] = digits + entry.base
        return np.ascontiguousarray(symbols.T)


class _Entry(NamedTuple):
    base: int
    span: int
    group: int  # -1 for a constant latent, which is in no frame


def _read_entries(table: _Cursor, latents: int) -> list[_Entry]:
    entries = []
    groups = 0
    for j in range(latents):
        zigzag, span = table.leb128(), table.leb128() + 1
        base = zigzag >> 1 if zigzag & 1 == 0 else -(zigzag >> 1) - 1
        if base < -32768 or base + span - 1 > 32767:
            raise AezCorruptError(
                f"{table.where}: latent {j} is {base}..{base + span - 1}, no int16"
            )
        group = table.leb128() if span > 1 else -1
        if group > groups:
            raise AezCorruptError(f"{table.where}: latent {j} in frame {group}, expected {groups}")
        groups = max(groups, group + 1)
        entries.append(_Entry(base, span, group))
    return entries


def _column_nbytes(image_count: int, span: int) -> int:
    packed = symbols_per_byte(span)
    return 2 * image_count if packed == 0 else -(-image_count // packed)


def _digits(column: bytes, span: int, positions: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """The symbols, from 0 on, at these positions of a latent's bytes."""
    packed = symbols_per_byte(span)
    if packed == 0:
        return np.frombuffer(column, "<u2")[positions].astype(np.int32)
    packs: Bytes = np.frombuffer(column, np.uint8)
    return _digit_table(span)[packs[positions // packed], positions % packed]


@lru_cache(maxsize=256)
def _digit_table(span: int) -> npt.NDArray[np.int32]:
    """The symbols that a byte holds (256, symbols_per_byte)."""
    place = span ** np.arange(symbols_per_byte(span) - 1, -1, -1)
    return (np.arange(256)[:, None] // place % span).astype(np.int32)


def _check_column(column: bytes, image_count: int, span: int, where: str) -> None:
    """That a latent's bytes are canonical: zeros after the last symbol, base and span the tightest."""
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
    # aez.md 1.6 and 8.2: base and span are the tightest ones
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


def _put_leb128(out: bytearray, value: int) -> None:
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


class _Cursor:
    """Reads forward through bytes; running out, or leaving some over, is corruption."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def take(self, nbytes: int) -> bytes:
        if nbytes > len(self.data) - self.at:
            left = len(self.data) - self.at
            raise AezCorruptError(f"{self.where}: {nbytes} bytes expected, {left} left")
        self.at += nbytes
        return self.data[self.at - nbytes : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def leb128(self) -> int:
        """Unsigned LEB128 in its shortest form, below 2**32."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift > 28:
                raise AezCorruptError(f"{self.where}: number longer than 5 bytes")
        if (byte == 0 and shift > 7) or value >= 1 << 32:
            raise AezCorruptError(f"{self.where}: number not in its shortest form, or over 32 bits")
        return value

    def finish(self) -> None:
        if self.at != len(self.data):
            raise AezCorruptError(f"{self.where}: {len(self.data) - self.at} bytes left over")
