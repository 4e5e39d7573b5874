"""Clause 8.4: zstd frames, here of stored images in mode 1."""

from __future__ import annotations

import struct

import zstandard

from making.assemble import ZSTD, Chunk, File, Sub, header, zstd_frame, zstd_zeros
from making.coding import PACKED
from making.refused.common import PIXELS, Named, NamedVectors, bad

WHOLE = PIXELS[:24]  # four images
FRAME = zstd_frame(WHOLE)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _heads()
    yield from _contents()
    yield from _blocks()
    yield from _ends()


def _vector(name: str, frame: bytes, about: str, clause: str = "8.4") -> Named:
    chunk = Chunk(4, [Sub(frame, PACKED)], WHOLE)
    data = File(header(required_flags=ZSTD, chunk_images=4), [chunk]).pack()
    return bad(f"zstd-{name}", data, clause, f"a zstd frame that {about}", "frame|block")


def _heads() -> NamedVectors:
    sized = zstd_frame(WHOLE, b"\x20\x18")  # a single segment with one byte of size
    yield _vector("states-size", sized, "states its size, rightly")
    bomb = b"\xe0" + struct.pack("<Q", 1 << 40) + FRAME[2:]
    yield _vector("states-bomb", bomb, "states 2^40 bytes")
    parameters = zstandard.ZstdCompressionParameters(
        format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=False, write_checksum=True
    )
    checked = zstandard.ZstdCompressor(compression_params=parameters).compress(WHOLE)
    yield _vector("checksum", checked, "has a checksum, a right one")
    yield _vector("magic", b"\x28\xb5\x2f\xfd" + FRAME, "has the magic number")
    yield _vector("dictionary", b"\1\0\7" + FRAME[2:], "names a dictionary")
    yield _vector("window", zstd_frame(WHOLE, b"\0\x69"), "a window of 9 MiB")
    yield _vector("window-huge", zstd_frame(WHOLE, b"\0\xf8"), "a window of 2 TiB")


def _contents() -> NamedVectors:
    yield _vector("short", zstd_frame(WHOLE[:-1]), "holds 23 bytes of 24", "7")
    yield _vector("long", zstd_frame(WHOLE + b"\0"), "holds 25 bytes of 24", "7")
    yield _vector("hides-bomb", zstd_zeros(64 << 20), "states nothing, holds 64 MiB", "7")


def _blocks() -> NamedVectors:
    raw, reserved = struct.pack("<I", 24 << 3)[:3], struct.pack("<I", 24 << 3 | 7)[:3]
    yield _vector("cut-before-last", FRAME[:2] + raw + WHOLE, "has no last block")
    yield _vector("block-type", b"\0\0" + reserved + WHOLE, "a reserved block type")
    junk = b"\0\x68" + b"\x3d\0\0" + bytes(7)  # a window of 8 MiB
    yield _vector("junk", junk, "a compressed block of junk")


def _ends() -> NamedVectors:
    yield _vector("empty", b"", "not a byte")
    yield _vector("cut", FRAME[:-1], "is cut")
    yield _vector("goes-on", FRAME + b"\0", "a byte after it")
    yield _vector("twice", FRAME + zstd_frame(b""), "a second, empty frame after it")
    skippable = FRAME + bytes.fromhex("50 2a 4d 18 00000000")
    yield _vector("skippable", skippable, "a skippable frame after it")
