"""Packs files of the format record by record, so that any field can be given a wrong value.

Each function takes the fields of its record under their names in aez.md. A field that is not given
gets the value that a writer would write; this includes the checksums.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

MAGIC = bytes.fromhex("8941455a0d0a1a0a")
LATENTS, REFINEMENT, ZSTD, ANS = 1, 2, 4, 8
TONES, UNDERLAY, LOW_TRUNK = 32, 64, 128

Value: TypeAlias = int | bytes
Fields: TypeAlias = dict[str, Value]


def _pack(layout: str, fields: Fields, changes: Fields, crc32: str) -> bytes:
    """A record that ends in the checksum of its other bytes.

    ``changes`` replaces fields by name; it may also replace the checksum, whose name is ``crc32``.
    """
    if unknown := set(changes) - set(fields) - {crc32}:
        raise ValueError(f"no such fields: {sorted(unknown)}")
    record = struct.pack("<" + layout, *{**fields, **changes, crc32: 0}.values())[:-4]
    return record + struct.pack("<I", changes.get(crc32, zlib.crc32(record)))


def header(**changes: Value) -> bytes:
    """The 48 bytes of a header (clause 3), by default of a file of 2x3 gray images."""
    fields: Fields = {
        "magic": MAGIC,
        "version_major": 1,
        "version_minor": 1,
        "required_flags": 0,
        "optional_flags": 0,
        "height": 2,
        "width": 3,
        "channels": 1,
        "target_kind": 0,
        "reserved_26": 0,
        "target_value": 0,
        "chunk_images": 2,
        "reserved_36": 0,
    }
    return _pack("8s2H2I2H2BHIIQI", fields, changes, "header_crc32")


def section(kind: str, payload: bytes, required: bool = False, /, **changes: Value) -> bytes:
    """The 28 bytes of a section's frame (clause 4), and its payload."""
    fields: Fields = {
        "marker": b"\x89SEC",
        "kind": kind.encode("latin-1"),
        "flags": int(required),
        "payload_nbytes": len(payload),
        "payload_crc32": zlib.crc32(payload),
    }
    return _pack("4s4sIQII", fields, changes, "frame_crc32") + payload


def part_payload(parts: Sequence[tuple[bytes, bytes]], model_name: bytes = b"tiny") -> bytes:
    """The payload of PART (4.5): pairs of name and fingerprint, in the order given."""
    packed = b"".join(bytes([len(name)]) + name + fingerprint for name, fingerprint in parts)
    return bytes([len(parts)]) + packed + bytes([len(model_name)]) + model_name


def leb128(value: int) -> bytes:
    """Unsigned LEB128 in its fewest bytes."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass
class Sub:
    """A sub-payload and its entry in the chunk's table.

    ``changes`` replaces fields of the entry.
    """

    data: bytes
    mode: int = 0
    parameter: int = 0
    changes: Fields = field(default_factory=dict)

    def entry(self) -> bytes:
        """The 7 bytes of the table's entry (5.2)."""
        fields: Fields = {"mode": self.mode, "parameter": self.parameter, "nbytes": len(self.data)}
        return struct.pack("<BHI", *(fields | self.changes).values())


@dataclass
class Chunk:
    """A chunk (clause 5).

    ``table`` replaces the table that ``subs`` and ``runs`` would make; ``changes`` replaces fields
    of the chunk's head, ``index`` fields of its index entry.
    """

    images: int
    subs: Sequence[Sub]
    pixels: bytes
    runs: Sequence[tuple[int, int]] = ()
    max_error: int = 0
    sum_squared_error: int = 0
    table: bytes | None = None
    changes: Fields = field(default_factory=dict)
    index: Fields = field(default_factory=dict)

    def pack(self, ordinal: int) -> bytes:
        """Head, table and payload of the chunk with this number."""
        payload = b"".join(sub.data for sub in self.subs)
        table = self._table() if self.table is None else self.table
        fields: Fields = {
            "marker": b"\x89CHK",
            "ordinal": ordinal,
            "image_count": self.images,
            "table_nbytes": len(table),
            "payload_nbytes": len(payload),
            "sum_squared_error": self.sum_squared_error,
            "pixels_sha256": hashlib.sha256(self.pixels).digest(),
            "table_crc32": zlib.crc32(table),
            "payload_crc32": zlib.crc32(payload),
            "max_error": self.max_error,
            "reserved": bytes(3),
        }
        return _pack("4s3I2Q32s2IB3sI", fields, self.changes, "head_crc32") + table + payload

    def _table(self) -> bytes:
        runs = b"".join(bytes([number]) + leb128(length) for number, length in self.runs)
        return bytes([len(self.subs)]) + b"".join(sub.entry() for sub in self.subs) + runs

    def entry(self, packed: bytes, offset: int) -> bytes:
        """The 28 bytes of the index entry (6.1) of this chunk, packed and put at ``offset``."""
        fields: Fields = {
            "offset": offset,
            "nbytes": len(packed),
            "image_count": self.images,
            "head_crc32": struct.unpack_from("<I", packed, 76)[0],
            "reserved": 0,
        }
        return struct.pack("<2Q3I", *(fields | self.index).values())


def stored(
    pixels: bytes, images: int, *, changes: Fields | None = None, index: Fields | None = None
) -> Chunk:
    """A chunk of one sub-payload in mode 0."""
    return Chunk(images, [Sub(pixels)], pixels, changes=changes or {}, index=index or {})


@dataclass
class File:
    """A file. ``head`` is the packed header; ``before``, ``after`` and ``copies`` are sections.

    ``before`` and ``after`` lie before and after the chunks. ``copies`` replaces the copies of
    header and PART (4.4), ``entries`` the payload of INDX. ``index`` replaces fields of the frame
    of INDX, ``footer`` fields of the footer. ``tail`` is appended to the file.
    """

    head: bytes
    chunks: Sequence[Chunk] = ()
    before: Sequence[bytes] = ()
    after: Sequence[bytes] = ()
    copies: Sequence[bytes] | None = None
    part: bytes | None = None
    entries: bytes | None = None
    index: Fields = field(default_factory=dict)
    footer: Fields = field(default_factory=dict)
    tail: bytes = b""

    def pack(self) -> bytes:
        """The bytes of the file."""
        part = [section("PART", self.part, True)] if self.part is not None else []
        out = bytearray(self.head + b"".join([*part, *self.before]))
        entries = b""
        for ordinal, chunk in enumerate(self.chunks):
            packed = chunk.pack(ordinal)
            entries += chunk.entry(packed, len(out))
            out += packed
        copies = self.copies
        if copies is None:
            copies = [section("HEAD", self.head), *part]
        out += b"".join([*self.after, *copies])
        index_offset = len(out)
        payload = entries if self.entries is None else self.entries
        out += section("INDX", payload, True, **self.index)
        return bytes(out) + self._footer(index_offset, len(out)) + self.tail

    def _footer(self, index_offset: int, offset: int) -> bytes:
        fields: Fields = {
            "index_offset": index_offset,
            "index_nbytes": offset - index_offset,
            "file_nbytes": offset + 48,
            "image_count": sum(chunk.images for chunk in self.chunks),
            "chunk_count": len(self.chunks),
        }
        magic = self.footer.get("magic", MAGIC[::-1])
        changes = {key: value for key, value in self.footer.items() if key != "magic"}
        return _pack("4Q2I", fields, changes, "footer_crc32") + magic


# ---------------------------------------------------------------- zstd by hand

RAW, RLE = 0, 1


def zstd_frame(data: bytes, head: bytes = b"\0\0") -> bytes:
    """A magicless frame of raw blocks.

    The default ``head`` states no size, no checksum, and a window of 1 KiB.
    """
    pieces = [data[i : i + 1024] for i in range(0, len(data), 1024)] or [b""]
    last = len(pieces) - 1
    blocks = [_block(piece, len(piece), RAW, i == last) for i, piece in enumerate(pieces)]
    return head + b"".join(blocks)


def zstd_zeros(nbytes: int, head: bytes = b"\0\x38") -> bytes:
    """A magicless frame of ``nbytes`` zeros; each block of 128 KiB takes four bytes.

    The default ``head`` states no size, no checksum, and a window of 128 KiB.
    """
    sizes = [1 << 17] * (nbytes >> 17) + ([nbytes % (1 << 17)] if nbytes % (1 << 17) else [])
    return head + b"".join(_block(b"\0", n, RLE, i == len(sizes) - 1) for i, n in enumerate(sizes))


def _block(data: bytes, size: int, kind: int, last: bool) -> bytes:
    return struct.pack("<I", size << 3 | kind << 1 | last)[:3] + data
