"""Clauses 8.2 and 8.3: payloads of latents under zstd."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from making.assemble import LATENTS, ZSTD, Chunk, Sub, leb128, zstd_frame, zstd_zeros
from making.coding import LATENTS_ZSTD, file_of
from making.refused.common import Named, NamedVectors, bad
from making.tiny_models import GRAY, LATENT_MODEL

# Entries of the table. The files have three images; their symbols are 0 in all latents but one.
NONE = b"\0\0"  # base 0, span 1: no symbol of this latent is stored
THREE = b"\1\2\0"  # base -1, span 3, frame 0
WIDE = b"\0\xff\3\0"  # base 0, span 512, frame 0
ENTRIES = (THREE, NONE, NONE, NONE)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _sizes()
    yield from _numbers()
    yield from _entries()
    yield from _ends()
    yield from _frames()
    yield from _symbols()


def _vector(name: str, payload: bytes, clause: str, about: str, match: str) -> Named:
    chunk = Chunk(3, [Sub(payload, LATENTS_ZSTD, 1280)], b"")
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    data = file_of(GRAY, [chunk], LATENTS | ZSTD, decoder)
    about = f"latents under zstd: {about}"
    return bad(f"latents-{name}", data, clause, about, match, ("latents-8x8",))


def _payload(
    entries: Sequence[bytes], frames: Sequence[bytes], tail: bytes = b"", sizes: bytes | None = None
) -> bytes:
    """A payload (8.2) with these table entries, and frames that hold these bytes.

    ``sizes`` replaces the sizes of the frames in the table; ``tail`` follows the last frame.
    """
    packed = [zstd_frame(each) for each in frames]
    if sizes is None:
        sizes = b"".join(leb128(len(each)) for each in packed)
    table = b"".join(entries) + sizes
    frame = zstd_frame(table)
    return leb128(len(table)) + leb128(len(frame)) + frame + b"".join(packed) + tail


def _digits(first: int, second: int, third: int) -> bytes:
    """Three symbols less their base, of span 3; a byte holds five of them (8.3)."""
    return bytes([(first * 9 + second * 3 + third) * 9])


SOUND = _digits(0, 1, 2)  # symbols -1, 0 and 1
WHOLE = _payload(ENTRIES, [SOUND])


def _sizes() -> NamedVectors:
    yield _vector("empty", b"", "8.2", "an empty payload", "bytes")
    payload = leb128(7) + leb128(12) + zstd_frame(NONE * 4)[:-1]
    yield _vector("table-small", payload, "8.2", "table_nbytes is 7 of 4 latents", "table")
    about = "table_nbytes is 81 of 4 latents"
    yield _vector("table-large", b"\x51\2\0\0", "8.2", about, "table")
    bomb = zstd_zeros(32 << 20)
    about = "a table frame of 32 MiB that states 8 bytes"
    yield _vector("table-bomb", leb128(8) + leb128(len(bomb)) + bomb, "8.2", about, "frame")
    payload = b"\x0c\x7f" + WHOLE[2:]
    yield _vector("packed-nbytes", payload, "8.2", "packed_nbytes beyond the payload", "bytes")


def _numbers() -> NamedVectors:
    about = "table_nbytes not in its shortest form"
    yield _vector("leb128", b"\x8c\0" + WHOLE[1:], "8.2", about, "form|fewest")
    payload = _payload([b"\xff\xff\xff\xff\x7f\0", NONE, NONE, NONE], [])
    yield _vector("leb128-wide", payload, "8.2", "a base of 35 bits", "32 bits|LEB128")
    about = "a number that does not end"
    yield _vector("leb128-endless", b"\xff" * 9, "8.2", about, "bytes|LEB128")


def _entries() -> NamedVectors:
    payload = _payload([b"\x80\x80\4\0", NONE, NONE, NONE], [])
    yield _vector("base", payload, "8.2", "base is 32768", "int16|table")
    payload = _payload([b"\x00\x80\x80\2\0", NONE, NONE, NONE], [b""])
    yield _vector("span", payload, "8.2", "base 0, span 32769", "int16|table")
    payload = _payload([b"\1\2\1", NONE, NONE, NONE], [SOUND, SOUND])
    about = "frames are not numbered by first use"
    yield _vector("frame-number", payload, "8.2", about, "frame")


def _ends() -> NamedVectors:
    payload = _payload(ENTRIES, [SOUND], sizes=leb128(6) + b"\0")
    yield _vector("table-goes-on", payload, "8.2", "a byte after the table", "left")
    payload = _payload(ENTRIES, [SOUND], sizes=b"")
    yield _vector("table-ends", payload, "8.2", "the table is cut", "left")
    payload = _payload(ENTRIES, [SOUND], b"\0")
    yield _vector("goes-on", payload, "8.2", "a byte after the frames", "left")
    yield _vector("cut", WHOLE[:-1], "8.2", "the last frame is cut", "bytes")


def _frames() -> NamedVectors:
    payload = _payload(ENTRIES, [SOUND], sizes=b"\5")
    yield _vector("frame-size", payload, "8.2", "a frame's size is one too small", "frame")
    payload = _payload(ENTRIES, [b""])
    yield _vector("frame-short", payload, "8.3", "a frame of no bytes", "frame")
    payload = _payload(ENTRIES, [SOUND * 2])
    yield _vector("frame-long", payload, "8.3", "a frame of two bytes", "frame")


def _symbols() -> NamedVectors:
    payload = _payload(ENTRIES, [b"\xf3"])
    yield _vector("byte-large", payload, "8.3", "a byte of 243 = 3^5", "243")
    payload = _payload(ENTRIES, [bytes([SOUND[0] + 1])])
    about = "symbols after the last image that are not 0"
    yield _vector("filler", payload, "8.3", about, "zero")
    payload = _payload(ENTRIES, [_digits(0, 1, 1)])
    about = "no symbol is the largest of its span"
    yield _vector("span-wide", payload, "8.2", about, "span|largest")
    payload = _payload(ENTRIES, [_digits(1, 1, 2)])
    yield _vector("base-low", payload, "8.2", "no symbol is the smallest, base", "span|smallest")
    payload = _payload([WIDE, NONE, NONE, NONE], [struct.pack("<3H", 0, 511, 512)])
    yield _vector("wide-symbol", payload, "8.3", "a symbol of 512 of a span of 512", "span")
