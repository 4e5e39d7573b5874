"""Files for the tests of the container: written by it, or assembled from pieces, right or wrong."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import replace

from aecodec.container import (
    FLAG_LATENTS,
    FLAG_ZSTD,
    MODE_LATENTS_ZSTD,
    MODE_STORED,
    MODE_ZSTD,
    TARGET_NONE,
    TARGET_QUALITY,
    Chunk,
    ChunkHead,
    Header,
    PartRef,
    Reader,
    Section,
    SubPayload,
    Writer,
    pack_parts,
)
from aecodec.container.chunks import pack_chunk_start, unpack_chunk_table

HEADER = Header(
    height=2,
    width=3,
    channels=1,
    target_kind=TARGET_QUALITY,
    target_value=5 * 256,
    chunk_images=2,
    required_flags=FLAG_LATENTS | FLAG_ZSTD,
    optional_flags=0x80,
)
STORED_HEADER = replace(HEADER, target_kind=TARGET_NONE, target_value=0, required_flags=0)
PARTS = (PartRef("decoder", bytes(range(32))), PartRef("prior", b"\xff" * 32))
PART = Section("PART", required=True, payload=pack_parts(PARTS, "mnist"))
META = Section("META", required=False, payload=b"{}")
NAME = Section("NAME", required=False, payload=b"a\nb\nc")
CHUNKS = (
    Chunk(
        image_count=2,
        sub_payloads=(
            SubPayload(MODE_LATENTS_ZSTD, 1280, b"latents"),
            SubPayload(MODE_STORED, 0, b"pixels"),
        ),
        assignment=b"\0\1",
        max_error=9,
        sum_squared_error=200,
        pixels_sha256=hashlib.sha256(b"one").digest(),
    ),
    Chunk(
        image_count=1,
        sub_payloads=(SubPayload(MODE_ZSTD, 0, b"frame"),),
        assignment=b"\0",
        max_error=0,
        sum_squared_error=0,
        pixels_sha256=hashlib.sha256(b"two").digest(),
    ),
)


def write(
    header: Header = HEADER,
    front: tuple[Section, ...] = (PART, META),
    chunks: tuple[Chunk, ...] = CHUNKS,
    back: tuple[Section, ...] = (NAME,),
) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, header, front)
    for chunk in chunks:
        writer.write_chunk(chunk)
    for section in back:
        writer.write_section(section)
    assert writer.close() == len(file.getvalue())
    return file.getvalue()


def open_bytes(data: bytes, **limits) -> Reader:
    return Reader(io.BytesIO(data), "x.aez", **limits)


def read_all(data: bytes) -> tuple:
    """Everything a file says, with every chunk and section read."""
    reader = open_bytes(data)
    sections = [
        (entry.kind, entry.required, reader.read_section(entry)) for entry in reader.sections
    ]
    chunks = [reader.read_chunk(i) for i in range(reader.chunk_count)]
    return reader.header, reader.parts, reader.model_name, sections, chunks


def sealed(record: bytes) -> bytes:
    return record + struct.pack("<I", zlib.crc32(record))


def patch(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def repatch(data: bytes, offset: int, new: bytes) -> bytes:
    """``data`` patched, and the CRC-32 at its end made right again."""
    return sealed(patch(data, offset, new)[:-4])


def frame(kind: bytes, payload: bytes, flags: int = 0) -> bytes:
    fields = struct.pack("<4s4sIQI", b"\x89SEC", kind, flags, len(payload), zlib.crc32(payload))
    return sealed(fields) + payload


def assemble(
    *, header: Header = STORED_HEADER, front: bytes = b"", chunks=(), back: bytes | None = None
) -> bytes:
    """A file from pieces, right or wrong; index and footer are made to fit them."""
    data = header.pack() + front
    index = b""
    for chunk in chunks:
        (image_count,) = struct.unpack_from("<I", chunk, 8)
        index += struct.pack("<QQI4sI", len(data), len(chunk), image_count, chunk[76:80], 0)
        data += chunk
    data += frame(b"HEAD", header.pack()) if back is None else back
    return finish(data, index)


def finish(data: bytes, index: bytes, image_count: int | None = None) -> bytes:
    section = frame(b"INDX", index, 1)
    counts = [entry[2] for entry in struct.iter_unpack("<QQIII", index)]
    footer = struct.pack(
        "<QQQQI",
        len(data),
        len(section),
        len(data) + len(section) + 48,
        sum(counts) if image_count is None else image_count,
        len(counts),
    )
    return data + section + sealed(footer) + b"\n\x1a\n\rZEA\x89"


def stored_chunk(ordinal: int, images: int = 2) -> bytes:
    data = bytes(images * STORED_HEADER.image_nbytes)
    chunk = Chunk(images, (SubPayload(MODE_STORED, 0, data),), bytes(images), 0, 0, bytes(32))
    head, table = pack_chunk_start(chunk, ordinal, STORED_HEADER)
    return head + table + data


def unpack_table(table: bytes, image_count: int = 2, payload_nbytes: int = 13) -> ChunkHead:
    """The head of a chunk with this table."""
    head = ChunkHead(
        ordinal=0,
        image_count=image_count,
        table_nbytes=len(table),
        payload_nbytes=payload_nbytes,
        sum_squared_error=0,
        pixels_sha256=bytes(32),
        table_crc32=zlib.crc32(table),
        payload_crc32=0,
        max_error=0,
    )
    return unpack_chunk_table(head, table, HEADER, "x.aez: chunk 0")


HEAD_COPY = frame(b"HEAD", STORED_HEADER.pack())

# What a writer must write, byte by byte.
HEADER_BYTES = bytes.fromhex(
    "8941455a0d0a1a0a"  # magic
    "0100 0100"  # version 1.1
    "05000000 80000000"  # required_flags, optional_flags
    "0200 0300 01"  # height, width, channels
    "01 0000 00050000"  # target_kind, reserved, target_value
    "02000000 0000000000000000"  # chunk_images, reserved
    "ae25c284"
)
META_BYTES = bytes.fromhex(
    "89534543 4d455441 00000000"  # marker, kind, flags
    "0200000000000000 43bfa6a3"  # payload_nbytes, payload_crc32
    "3b706268"
    "7b7d"
)
CHUNK_TABLE = bytes.fromhex(
    "02"  # sub_payload_count
    "02 0005 07000000"  # mode, parameter, nbytes
    "00 0000 06000000"
    "00 01 01 01"  # runs
)
CHUNK_HEAD = bytes.fromhex(
    "8943484b 00000000 02000000 13000000"  # marker, ordinal, image_count, table_nbytes
    "0d00000000000000 c800000000000000"  # payload_nbytes, sum_squared_error
    "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    "761481e3 8779174f"
    "09 000000"  # max_error, reserved
    "724389d1"
)
