"""Markers without records, and records that overlap: what a search for whole records meets."""

from __future__ import annotations

import struct
import zlib

from making import assemble
from making.assemble import Chunk, File, Sub
from making.hostile.kind import Kind, stored_images

HEADER = assemble.header(height=2, width=2, chunk_images=1)


def _after_a_chunk(junk: bytes) -> bytes:
    """A header, a whole chunk, and this: what comes after is lost."""
    return HEADER + stored_images(1).pack(0) + junk


def chunk_markers(size: int) -> bytes:
    """Bytes that are markers of chunks, one after the other."""
    return _after_a_chunk(b"\x89CHK" * (size // 4))


def section_markers(size: int) -> bytes:
    """Bytes that are markers of sections, one after the other."""
    return _after_a_chunk(b"\x89SEC" * (size // 4))


def mixed_markers(size: int) -> bytes:
    """Markers of one kind first, and one of the other at the end."""
    return _after_a_chunk(b"\x89CHK" * (size // 4) + b"\x89SEC")


def markers_before_the_copy(size: int) -> bytes:
    """No header, but markers and then a copy of it: the search for the copy meets them first."""
    whole = File(HEADER, [stored_images(1)]).pack()
    at = whole.index(b"\x89SECHEAD")
    return bytes(48) + b"\x89SEC" * (size // 4) + whole[48:at] + whole[at:]


def heads(size: int) -> bytes:
    """Whole heads and tables; each says its payload is the rest, with a wrong checksum."""
    out = bytearray(_after_a_chunk(b""))
    each = 88
    count = size // each
    for i in range(count):
        rest = (count - i - 1) * each
        sub = Sub(b"", changes={"nbytes": rest})
        chunk = Chunk(1, [sub], b"", changes={"payload_nbytes": rest, "payload_crc32": 1})
        out += chunk.pack(i + 1)
    return bytes(out)


def frames(size: int) -> bytes:
    """Whole frames of sections; each says its payload is the rest, with a wrong checksum."""
    return _after_a_chunk(_frames(size, "XXXX"))


def index_frames(size: int) -> bytes:
    """The same of INDX, which the search for the index reads."""
    return _after_a_chunk(_frames(size // 28 * 28, "INDX"))


def head_copies(size: int) -> bytes:
    """No header, and frames of copies of it whose payloads are wrong."""
    frame = assemble.section("HEAD", bytes(48), payload_crc32=1)
    return bytes(48) + frame * (size // len(frame))


def _frames(size: int, kind: str) -> bytes:
    out = bytearray()
    count = size // 28
    for i in range(count):
        rest = (count - i - 1) * 28
        out += assemble.section(kind, b"", payload_nbytes=rest, payload_crc32=1)
    return bytes(out)


def sound_frames(size: int) -> bytes:
    """Frames in one another, whose payloads' checksums are right."""
    payload = b""
    while len(payload) + 28 <= size:
        payload = assemble.section("XXXX", payload)
    return _after_a_chunk(payload)


def many_sections(size: int) -> bytes:
    """So many sections of an unknown kind, empty."""
    return File(HEADER, [stored_images(1)], [assemble.section("XXXX", b"")] * size).pack()


def nested_files(size: int) -> bytes:
    """A file in a payload with a wrong checksum, in which there is such a file, and so on."""
    data = File(HEADER, [stored_images(1)]).pack()
    for _ in range(size):
        sub = Sub(data, changes={"nbytes": len(data)})
        changes = {"payload_crc32": 1, "payload_nbytes": len(data)}
        data = HEADER + Chunk(1, [sub], b"", changes=changes).pack(0)
    return data


def long_index(size: int) -> bytes:
    """An index of so many entries, all of one chunk."""
    chunk = stored_images(1)
    entry = chunk.entry(chunk.pack(0), 48)
    return File(HEADER, [chunk], entries=entry * size, footer={"chunk_count": size}).pack()


def trailing_zeros(size: int) -> bytes:
    """A sound file with so many zeros behind it."""
    return File(HEADER, [stored_images(1)], tail=bytes(size)).pack()


def gap_of_ordinals(size: int) -> bytes:
    """Chunks whose ordinals leave gaps as wide as they can, with names and columns to be cut."""
    from making.hostile.columns import numbers_column

    names = assemble.section("NAME", zlib.compress(b'["a"]'))
    packed = b"".join(stored_images(1).pack(i * 1_000_000) for i in range(size))
    return HEADER + names + numbers_column(b"n", 4) + packed


def far_ordinal(size: int) -> bytes:
    """One chunk with the greatest ordinal, of a file whose chunks hold the most images."""
    head = assemble.header(height=1, width=1, chunk_images=2**32 - 1)
    packed = bytearray(assemble.stored(bytes(3), 3).pack(2**32 - 1))
    struct.pack_into("<I", packed, 76, zlib.crc32(packed[:76]))
    return head + bytes(packed) * size


KINDS = [
    Kind("markers of chunks", "so many bytes", chunk_markers, 1 << 20, grows=True),
    Kind("markers of sections", "so many bytes", section_markers, 1 << 20, grows=True),
    Kind("markers of both", "so many bytes", mixed_markers, 1 << 20, grows=True),
    Kind("markers, no header", "so many bytes", markers_before_the_copy, 1 << 20, grows=True),
    Kind("heads that overlap", "so many bytes", heads, 1 << 20, grows=True),
    Kind("frames that overlap", "so many bytes", frames, 1 << 20, grows=True),
    Kind("indices that overlap", "so many bytes", index_frames, 1 << 20, grows=True),
    Kind("copies of no header", "so many bytes", head_copies, 1 << 20, grows=True),
    Kind("frames in frames", "so many bytes", sound_frames, 100_000, grows=True),
    Kind("sections", "so many", many_sections, 4000, grows=True, keeps_all=True),
    Kind("files in files", "so many deep", nested_files, 2000, grows=True),
    Kind("a long index", "of so many entries", long_index, 100_000, grows=True),
    Kind("zeros behind", "so many", trailing_zeros, 64 << 20, grows=True),
    Kind("gaps of ordinals", "so many chunks", gap_of_ordinals, 4000, grows=True),
    Kind("a far ordinal", "so many times", far_ordinal, 4),
]
