"""The container: literal bytes, every rule broken once, every bit flipped, every cut."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecodec.container import (
    FLAG_LATENTS,
    FLAG_ZSTD,
    KNOWN_SECTIONS,
    MODE_LATENTS_ZSTD,
    MODE_STORED,
    MODE_ZSTD,
    SUPPORTED_FLAGS,
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
    unpack_parts,
)
from aecodec.container.chunks import pack_chunk_start, unpack_chunk_head, unpack_chunk_table
from aecodec.container.footer import Footer
from aecodec.container.index import IndexEntry
from aecodec.container.sections import MAX_SECTIONS
from aecodec.errors import AezCorruptError, AezError, AezLimitError, AezUnsupportedError
from aecodec.limits import chunk_memory_nbytes

ROOT = Path(__file__).resolve().parents[2]

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


# ---- literal bytes: a twin mistake in writer and reader cannot hide here

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


def test_header_bytes():
    assert HEADER.pack() == HEADER_BYTES
    assert Header.unpack(HEADER_BYTES, "x.aez") == HEADER


def test_part_bytes():
    literal = b"\x02\x07decoder" + bytes(range(32)) + b"\x05prior" + b"\xff" * 32 + b"\x05mnist"
    assert pack_parts(reversed(PARTS), "mnist") == literal
    assert unpack_parts(literal, "x.aez") == (PARTS, "mnist")


def test_file_bytes():
    """Every byte of a file, each record at its place."""
    part = PART.pack_frame() + PART.payload
    chunk_0 = CHUNK_HEAD + CHUNK_TABLE + b"latentspixels"
    chunk_1 = b"".join(pack_chunk_start(CHUNKS[1], 1, HEADER)) + b"frame"
    before_index = (
        HEADER_BYTES
        + part
        + META_BYTES
        + chunk_0
        + chunk_1
        + frame(b"NAME", b"a\nb\nc")
        + frame(b"HEAD", HEADER_BYTES)
        + part
    )
    index = bytes.fromhex(
        "bf00000000000000 7000000000000000 02000000 724389d1 00000000"
        "2f01000000000000 5d00000000000000 01000000 02e1b4c7 00000000"
    )
    footer = bytes.fromhex(
        "6a02000000000000 5400000000000000 ee02000000000000"  # index_offset, index_nbytes, file_nbytes
        "0300000000000000 02000000"  # image_count, chunk_count
        "72470601"
        "0a1a0a0d5a454189"
    )
    assert write() == before_index + frame(b"INDX", index, 1) + footer


def test_no_images_is_a_file():
    data = write(header=STORED_HEADER, front=(META,), chunks=(), back=(NAME,))
    reader = open_bytes(data)
    assert (reader.image_count, reader.chunk_count, reader.parts) == (0, 0, ())
    assert [entry.kind for entry in reader.sections] == ["META", "NAME"]


def test_reader_tells_what_was_written():
    reader = open_bytes(write())
    assert reader.header == HEADER
    assert (reader.parts, reader.model_name) == (PARTS, "mnist")
    assert [reader.read_section(entry) for entry in reader.sections] == [
        section.payload for section in (PART, META, NAME)
    ]
    assert tuple(reader.read_chunk(i) for i in range(2)) == CHUNKS
    head = reader.read_chunk_head(0)
    assert head.modes == ((MODE_LATENTS_ZSTD, 1280, 7), (MODE_STORED, 0, 6))
    assert head.runs == ((0, 1), (1, 1))
    with pytest.raises(IndexError, match=r"chunk 2, expected 0\.\.1"):
        reader.read_chunk(2)


# ---- damage


def test_every_bit_flip_is_found():
    data = write()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AezError, match=r"x\.aez"):
            read_all(bytes(flipped))


def test_every_truncation_is_found():
    data = write()
    for nbytes in range(len(data)):
        with pytest.raises(AezCorruptError, match=r"not an \.aez file|cut"):
            read_all(data[:nbytes])


@pytest.mark.parametrize("junk", [b"\0", b"\n", bytes(48), write()], ids=len)
def test_appended_bytes_are_found(junk):
    with pytest.raises(AezCorruptError, match=r"cut or has data appended|file_nbytes is"):
        open_bytes(write() + junk)


def test_every_hole_is_found():
    """A byte put in or taken out anywhere, the length in the footer made to fit."""
    data = write()
    for at in range(len(data) - 48):
        for longer, patched in (
            (1, data[:at] + b"\0" + data[at:]),
            (-1, data[:at] + data[at + 1 :]),
        ):
            footer = struct.unpack("<QQQQI", data[-48:-12])
            moved = (footer[0] + longer, footer[1], footer[2] + longer, *footer[3:])
            tail = sealed(struct.pack("<QQQQI", *moved)) + data[-8:]
            with pytest.raises(AezError, match=r"x\.aez"):
                read_all(patched[:-48] + tail)


# ---- header


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        (b"", "magic is b''"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\x09AEZ\r\n\x1a\n", "7-bit"),
        (b"\x89AEZ\n\x1a\n\1", "CR LF became LF"),
        (b"\x89AEZ\r\r\n\x1a\r\n", "LF became CR LF"),
        (b"\xc2\x89AEZ\r\n\x1a\n", "UTF-8"),
        (b"\xef\xbf\xbdAEZ\r\n\x1a\n", "UTF-8"),
    ],
)
def test_not_an_aez_file(found, hint):
    with pytest.raises(AezCorruptError, match=rf"not an \.aez file: .*{hint}"):
        open_bytes(found)


@pytest.mark.parametrize(
    ("offset", "new", "error", "match"),
    [
        (8, b"\0\0", AezCorruptError, r"version_major is 0, expected 1\.\.1"),
        (12, b"\x15", AezUnsupportedError, r"required_flags 0x15 has unknown bits 0x10"),
        (12, b"\x05\x01", AezUnsupportedError, r"unknown bits 0x100, this reader knows 0xef"),
        (20, b"\0\0", AezCorruptError, r"height is 0, expected 1\.\.65535"),
        (22, b"\0\0", AezCorruptError, r"width is 0"),
        (24, b"\0", AezCorruptError, r"channels is 0, expected 1\.\.4"),
        (24, b"\5", AezCorruptError, r"channels is 5"),
        (26, b"\1", AezUnsupportedError, r"reserved field at byte 26 is 0x1"),
        (30, b"\1", AezCorruptError, r"target_value is 66816, expected 0\.\.65535"),
        (25, b"\0", AezCorruptError, r"target_value is 1280, expected 0\.\.0"),
        (32, bytes(4), AezCorruptError, r"chunk_images is 0"),
        (43, b"\1", AezUnsupportedError, r"reserved field at byte 36 is 0x1"),
    ],
)
def test_header_field(offset, new, error, match):
    with pytest.raises(error, match=match):
        Header.unpack(repatch(HEADER_BYTES, offset, new), "x.aez")


def test_header_of_another_major_version_is_unsupported_whatever_follows():
    for data in (patch(HEADER_BYTES, 8, b"\2\0"), HEADER_BYTES[:8] + b"\2\0\0\0"):
        with pytest.raises(AezUnsupportedError, match="version_major is 2, this reader knows 1"):
            Header.unpack(data, "x.aez")


def test_header_crc():
    with pytest.raises(AezCorruptError, match="header_crc32 is 0x"):
        Header.unpack(patch(HEADER_BYTES, 12, b"\xff"), "x.aez")


def test_header_of_the_future_that_is_read():
    minor = Header.unpack(repatch(HEADER_BYTES, 10, b"\7\0"), "x.aez")
    assert minor == replace(HEADER, version_minor=7)
    target = Header.unpack(repatch(HEADER_BYTES, 25, b"\x63\0\0\xff\xff\xff\xff"), "x.aez")
    assert (target.target_kind, target.target_value) == (99, 0xFFFF_FFFF)
    optional = Header.unpack(repatch(HEADER_BYTES, 16, b"\xff" * 4), "x.aez")
    assert optional.optional_flags == 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 0), ("width", 65536), ("channels", 5), ("chunk_images", 0), ("target_value", -1)],
)
def test_header_is_not_packed_out_of_range(field, value):
    with pytest.raises(ValueError, match=f"header: {field} is {value}, expected"):
        replace(HEADER, **{field: value}).pack()


def test_header_is_not_packed_from_floats():
    with pytest.raises(TypeError, match="float"):
        replace(HEADER, height=28.0).pack()


@pytest.mark.parametrize(
    ("front", "error", "match"),
    [
        (b"\x88" + META_BYTES[1:], AezCorruptError, "section at byte 48: marker is"),
        (patch(META_BYTES, 24, b"abcd"), AezCorruptError, "frame_crc32 is 0x"),
        (frame(b"ME A", b""), AezCorruptError, "kind is 'ME A', expected 4 ASCII"),
        (frame(b"M\xc9TA", b""), AezCorruptError, "kind is 'MÉTA', expected 4 ASCII"),
        (frame(b"META", b"", flags=2), AezUnsupportedError, "META flags are 0x2"),
        (frame(b"NEXT", b"", flags=1), AezUnsupportedError, "required section NEXT is unknown"),
        (frame(b"HEAD", b"", flags=1), AezCorruptError, "HEAD REQUIRED is True, expected False"),
        (frame(b"PART", b""), AezCorruptError, "PART REQUIRED is False, expected True"),
        (frame(b"HEAD", b""), AezCorruptError, "section HEAD at byte 48 is misplaced"),
        (frame(b"INDX", b"", flags=1), AezCorruptError, "section INDX at byte 48 is misplaced"),
        (PART.pack_frame() + PART.payload, AezCorruptError, "PART section without a copy"),
        (META_BYTES + b"\0", AezCorruptError, "section frame at byte|section at byte 78"),
        (META_BYTES[:-1], AezCorruptError, "section META at byte 48 ends at 78, expected at most"),
    ],
)
def test_section_fault(front, error, match):
    with pytest.raises(error, match=match):
        open_bytes(assemble(front=front, chunks=[stored_chunk(0)]))


HEAD_COPY = frame(b"HEAD", STORED_HEADER.pack())
PART_BYTES = PART.pack_frame() + PART.payload
OTHER_PART = frame(b"PART", pack_parts(PARTS, "other"), 1)


@pytest.mark.parametrize(
    ("front", "back", "match"),
    [
        (b"", b"", r"before the index are \[\], expected HEAD or HEAD, PART"),
        (b"", HEAD_COPY + META_BYTES, r"before the index are \['META'\]"),
        (HEAD_COPY, b"", r"before the index are \['HEAD'\]"),
        (b"", frame(b"HEAD", HEADER_BYTES), "section HEAD at byte 148: differs from the header"),
        (b"", frame(b"HEAD", b""), "payload_nbytes is 0, expected 48"),
        (b"", HEAD_COPY + PART_BYTES, "PART section only before the index"),
        (b"", PART_BYTES + HEAD_COPY + PART_BYTES, "section PART at byte 148 is misplaced"),
        (PART_BYTES, HEAD_COPY + OTHER_PART, "section PART at byte [0-9]+: differs from the first"),
        (PART_BYTES * 2, HEAD_COPY + PART_BYTES, "section PART at byte [0-9]+ is misplaced"),
    ],
)
def test_copies(front, back, match):
    with pytest.raises(AezCorruptError, match=match):
        open_bytes(assemble(front=front, chunks=[stored_chunk(0)], back=back))


def test_parts_are_needed():
    with pytest.raises(AezCorruptError, match="required_flags 0x5 needs a PART section"):
        open_bytes(assemble(header=HEADER))


def test_unknown_sections():
    data = assemble(front=frame(b"NEXT", b"what", 1))
    known = open_bytes(data, known_kinds=KNOWN_SECTIONS | {"NEXT"})
    assert known.read_section(known.sections[0]) == b"what"
    optional = open_bytes(assemble(front=frame(b"NEXT", b"what")))
    assert [(entry.kind, entry.required) for entry in optional.sections] == [("NEXT", False)]


def test_section_payload_is_read_late():
    reader = open_bytes(assemble(front=META_BYTES[:-1] + b"?"))
    with pytest.raises(AezCorruptError, match="section META at byte 48: payload_crc32 is 0x"):
        reader.read_section(reader.sections[0])
    data = assemble(front=frame(b"META", bytes(99)))
    reader = open_bytes(data, max_memory_nbytes=98)
    with pytest.raises(AezLimitError, match="payload_nbytes is 99, max_memory_nbytes allows 98"):
        reader.read_section(reader.sections[0])
    with pytest.raises(AezLimitError, match="payload_nbytes is 99, max_other allows 97"):
        reader.read_section(reader.sections[0], ("max_other", 97))
    assert reader.read_section(reader.sections[0], ("max_other", 99)) == bytes(99)


def test_section_count():
    empty = frame(b"META", b"")
    open_bytes(assemble(front=empty * (MAX_SECTIONS - 1)))
    with pytest.raises(AezLimitError, match="more than 4096 sections"):
        open_bytes(assemble(front=empty * MAX_SECTIONS))


FINGERPRINT = bytes(32)


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (b"", "part count needs 1 bytes, 0 are left"),
        (b"\0\0", r"part count is 0, expected 1\.\.255"),
        (b"\1\5prio", "part name needs 5 bytes, 4 are left"),
        (b"\1\1a" + FINGERPRINT[1:], "fingerprint needs 32 bytes, 31 are left"),
        (b"\1\1a" + FINGERPRINT, "model name length needs 1 bytes"),
        (b"\1\1a" + FINGERPRINT + b"\2m", "model name needs 2 bytes, 1 are left"),
        (b"\1\1a" + FINGERPRINT + b"\1m?", "PART: 1 bytes left over"),
        (b"\1\0" + FINGERPRINT + b"\0", "part name is '', expected"),
        (b"\1\1\xe9" + FINGERPRINT + b"\0", "part name is 'é', expected 1..255 printable ASCII"),
        (b"\1\1 " + FINGERPRINT + b"\0", "part name is ' '"),
        (b"\2" + (b"\1a" + FINGERPRINT) * 2 + b"\0", "expected sorted and without duplicates"),
        (b"\2\1b" + FINGERPRINT + b"\1a" + FINGERPRINT + b"\0", "expected sorted"),
        (b"\1\1a" + FINGERPRINT + b"\1\xff", "model name is not UTF-8"),
        (b"\1\1a" + FINGERPRINT + b"\1\x1b", r"model name '\\x1b' has control characters"),
        (b"\1\1a" + FINGERPRINT + b"\2\xc2\x9b", r"model name '\\x9b' has control characters"),
    ],
)
def test_part_payload(payload, match):
    with pytest.raises(AezCorruptError, match=match):
        unpack_parts(payload, "x.aez")


@pytest.mark.parametrize(
    ("parts", "model_name", "match"),
    [
        ([], "m", "part count is 0"),
        ([PartRef("a", b"short")], "m", "fingerprint of a has 5 bytes, expected 32"),
        ([PartRef("a", FINGERPRINT)], "é" * 128, "model name has 256 bytes of UTF-8"),
    ],
)
def test_parts_that_cannot_be_packed(parts, model_name, match):
    with pytest.raises(ValueError, match=match):
        pack_parts(parts, model_name)


# ---- chunks


@pytest.mark.parametrize(
    ("offset", "new", "error", "match"),
    [
        (0, b"\x88", AezCorruptError, r"chunk 0: marker is b'\\x88CHK'"),
        (8, b"\3", AezCorruptError, r"image_count is 3, expected 1\.\.2"),
        (8, b"\0", AezCorruptError, r"image_count is 0, expected 1\.\.2"),
        (12, b"\7", AezCorruptError, r"table_nbytes is 7, expected 8\.\.16777216"),
        (12, b"\1\0\0\1", AezCorruptError, r"table_nbytes is 16777217"),
        (24, b"\x50", AezCorruptError, r"sum_squared_error is 80, expected 81\.\.972"),
        (24, b"\xcd\3", AezCorruptError, r"sum_squared_error is 973, expected 81\.\.972"),
        (72, b"\0", AezCorruptError, r"sum_squared_error is 200, expected 0\.\.0"),
        (75, b"\1", AezUnsupportedError, r"reserved bytes are b'\\x00\\x00\\x01'"),
    ],
)
def test_chunk_head_field(offset, new, error, match):
    with pytest.raises(error, match=match):
        unpack_chunk_head(repatch(CHUNK_HEAD, offset, new), HEADER, "x.aez: chunk 0")


def unpack_table(table: bytes, image_count: int = 2, payload_nbytes: int = 13) -> ChunkHead:
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


LATENTS_6 = bytes.fromhex("02 0005 06000000")
ZSTD_7 = bytes.fromhex("01 0000 07000000")


@pytest.mark.parametrize(
    ("table", "image_count", "match"),
    [
        (b"\0" + ZSTD_7, 2, "sub_payload_count is 0, expected 1..255"),
        (b"\2" + ZSTD_7, 2, "table of 2 sub-payloads needs 15 bytes, found 8"),
        (b"\1" + ZSTD_7 + b"\0\2", 2, "2 bytes of runs for one sub-payload"),
        (b"\1" + ZSTD_7, 2, "sub-payloads have 7 bytes, payload_nbytes is 13"),
        (b"\2" + LATENTS_6 + ZSTD_7, 2, "runs cover 0 images, image_count is 2"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\1\1\2", 2, "runs cover 3 images"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\2\1\0", 2, "run length is 0, expected 1 or more"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\x81\0\1\1", 2, "run length 1 is not in its shortest"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\1\1", 2, "run length is cut"),
        (
            b"\2" + LATENTS_6 + ZSTD_7 + b"\0\1\1" + b"\x80" * 6,
            2,
            "run length is longer than 5 bytes",
        ),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\1\0\1\1\1", 3, "neighbouring runs"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\1\1\0\1", 2, r"order \[1, 0\], expected 0\.\.1"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\2", 2, r"order \[0\], expected 0\.\.1"),
        (b"\2" + LATENTS_6 + ZSTD_7 + b"\0\1\2\1", 2, r"order \[0, 2\], expected 0\.\.1"),
        (b"\2" + ZSTD_7 * 2 + b"\0\1\1\1", 2, "the same mode and parameter"),
        (b"\1" + patch(LATENTS_6, 1, b"\xff\0"), 2, r"parameter is 255, expected 256\.\.2304"),
        (b"\1" + patch(LATENTS_6, 1, b"\1\x09"), 2, r"parameter is 2305"),
        (b"\1" + patch(ZSTD_7, 1, b"\1"), 2, r"mode 1: parameter is 1, expected 0\.\.0"),
    ],
)
def test_chunk_table(table, image_count, match):
    with pytest.raises(AezCorruptError, match=match):
        unpack_table(table, image_count)


def test_chunk_mode_of_the_future():
    with pytest.raises(AezUnsupportedError, match="chunk 0: mode 9 is unknown"):
        unpack_table(b"\1\x09" + ZSTD_7[1:])


def test_chunk_mode_needs_its_flag():
    head, table = pack_chunk_start(CHUNKS[1], 0, HEADER)
    data = assemble(chunks=[head + table + b"frame"])
    with pytest.raises(AezCorruptError, match="mode 1 needs flags 0x4 in required_flags"):
        open_bytes(data).read_chunk_head(0)


def test_chunk_checksums():
    data = write()
    offset = open_bytes(data).index_entry(0).offset
    for at, match in (
        (4, "head_crc32 is 0x"),
        (80, "table_crc32 is 0x"),
        (80 + len(CHUNK_TABLE), "payload_crc32 is 0x"),
    ):
        reader = open_bytes(patch(data, offset + at, b"\xee"))
        with pytest.raises(AezCorruptError, match=f"x.aez: chunk 0 at byte {offset}: {match}"):
            reader.read_chunk(0)
        assert reader.read_chunk(1) == CHUNKS[1]  # damage stays within its chunk


def test_chunk_against_index():
    first, last = stored_chunk(0), stored_chunk(1)
    swapped = open_bytes(assemble(chunks=[last, first]))
    with pytest.raises(AezCorruptError, match="ordinal is 1, expected 0"):
        swapped.read_chunk(0)
    data = assemble(chunks=[first])
    other = first[:32] + sealed(patch(first[:76], 32, b"other"))[32:] + first[80:]
    with pytest.raises(AezCorruptError, match=r"head_crc32 is [0-9]+, expected"):
        open_bytes(patch(data, 48, other)).read_chunk(0)
    longer = open_bytes(assemble(chunks=[first + b"\0"]))
    with pytest.raises(AezCorruptError, match="nbytes is 100, expected 101"):
        longer.read_chunk(0)


def test_payload_limit():
    huge = SubPayload(MODE_STORED, 0, bytes(20))
    chunk = Chunk(1, (huge,), b"\0", 0, 0, bytes(32))
    head, table = pack_chunk_start(chunk, 0, STORED_HEADER)
    nbytes = chunk_memory_nbytes(20, 1, 6)
    data = assemble(chunks=[head + table + huge.data])
    with pytest.raises(AezLimitError, match=f"is {nbytes}, max_memory_nbytes allows {nbytes - 1}"):
        open_bytes(data, max_memory_nbytes=nbytes - 1).read_chunk(0)


# ---- index and footer


def index_of(*entries: tuple[int, int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<QQIII", *entry) for entry in entries)


@pytest.mark.parametrize(
    ("index", "error", "match"),
    [
        (
            index_of((48, 100, 2, 0, 0), (147, 100, 2, 0, 0)),
            AezCorruptError,
            "entry 1: offset is 147",
        ),
        (
            index_of((48, 100, 2, 0, 0), (149, 99, 2, 0, 0)),
            AezCorruptError,
            "entry 1: offset is 149",
        ),
        (index_of((40, 208, 2, 0, 0)), AezCorruptError, "entry 0: offset is 40, expected 48"),
        (index_of((48, 87, 2, 0, 0)), AezCorruptError, r"nbytes is 87, expected 88\.\.276"),
        (index_of((48, 277, 2, 0, 0)), AezCorruptError, r"nbytes is 277, expected 88\.\.276"),
        (index_of((48, 2**64 - 1, 2, 0, 0)), AezCorruptError, "nbytes is 18446744073709551615"),
        (index_of((2**64 - 1, 100, 2, 0, 0)), AezCorruptError, r"nbytes is 100, expected 88\.\."),
        (
            index_of((48, 100, 1, 0, 0), (148, 100, 2, 0, 0)),
            AezCorruptError,
            r"entry 0: image_count is 1, expected 2\.\.2",
        ),
        (
            index_of((48, 100, 2, 0, 0), (148, 100, 3, 0, 0)),
            AezCorruptError,
            r"entry 1: image_count is 3, expected 1\.\.2",
        ),
        (index_of((48, 200, 0, 0, 0)), AezCorruptError, r"image_count is 0, expected 1\.\.2"),
        (index_of((48, 200, 2, 0, 1)), AezUnsupportedError, "entry 0: reserved field is 0x1"),
        (b"", AezCorruptError, "section at byte 48: marker is"),
    ],
)
def test_index_entry(index, error, match):
    data = STORED_HEADER.pack() + stored_chunk(0) + stored_chunk(1) + HEAD_COPY
    with pytest.raises(error, match=match):
        open_bytes(finish(data, index))


def test_index_is_an_index():
    data = assemble()
    at = Footer.unpack(data[-48:], "x.aez").index_offset
    for index, match in (
        (frame(b"META", b""), "kind is META, expected INDX"),
        (patch(frame(b"INDX", b"", 1), 24, b"\0\0\0\0"), "frame_crc32"),
        (frame(b"INDX", b"\0", 1)[:28], "end is [0-9]+, expected"),
    ):
        with pytest.raises(AezCorruptError, match=match):
            open_bytes(data[:at] + index + data[-48:])


def test_index_limit():
    with pytest.raises(AezLimitError, match="index_nbytes is 84, max_memory_nbytes allows 83"):
        open_bytes(write(), max_memory_nbytes=83)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("index_offset", 0, "end of the index is"),
        ("index_offset", 2**64 - 1, "end of the index is"),
        ("index_nbytes", 0, "end of the index is"),
        ("file_nbytes", 1, "file_nbytes is 1, expected"),
        ("image_count", 4, "image_count is 4, expected 3"),
        ("chunk_count", 3, "index_nbytes is 84, expected 112"),
        ("chunk_count", 2**32 - 1, "index_nbytes is 84, expected"),
    ],
)
def test_footer_field(field, value, match):
    data = write()
    footer = replace(Footer.unpack(data[-48:], "x.aez"), **{field: value})
    with pytest.raises(AezCorruptError, match=f"x.aez: footer: {match}"):
        open_bytes(data[:-48] + footer.pack())


def test_footer_checksum_and_magic():
    data = write()
    with pytest.raises(AezCorruptError, match="footer_crc32 is 0x"):
        open_bytes(patch(data, len(data) - 12, b"\0\0\0\0"))
    with pytest.raises(AezCorruptError, match="footer magic missing: file is cut or has data"):
        open_bytes(data + b"\n")


def test_no_images_but_a_count():
    data = STORED_HEADER.pack() + HEAD_COPY
    with pytest.raises(AezCorruptError, match="image_count is 7, expected 0"):
        open_bytes(finish(data, b"", image_count=7))


def test_sparse_declarations_allocate_nothing():
    """Sizes of exabytes are refused by comparison with the file, not by trying."""
    frame_of_much = sealed(struct.pack("<4s4sIQI", b"\x89SEC", b"META", 0, 2**60, 0))
    with pytest.raises(AezCorruptError, match="section META at byte 48 ends at 1152921504606847"):
        open_bytes(assemble(front=frame_of_much))


def test_file_that_shrinks_while_it_is_open():
    reader = open_bytes(write())
    reader._bytes.file.truncate(300)
    with pytest.raises(AezCorruptError, match="chunk head at byte 303 needs 80 bytes, found 0"):
        reader.read_chunk(1)


# ---- writer


def test_writer_needs_no_seek():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += data
            return len(data)

    pipe = Pipe()
    writer = Writer(pipe, HEADER, [PART, META])
    for chunk in CHUNKS:
        writer.write_chunk(chunk)
    writer.write_section(NAME)
    writer.close()
    assert pipe.data == write()


def test_writer_short_write():
    class Full(io.BytesIO):
        def write(self, data):
            return super().write(data[:5])

    with pytest.raises(OSError, match="short write: 5 of 48 bytes at byte 0"):
        Writer(Full(), STORED_HEADER)


@pytest.mark.parametrize(
    ("header", "sections", "match"),
    [
        (HEADER, [], "required_flags 0x5 needs a PART section"),
        (HEADER, [PART, PART], "2 PART sections, expected at most 1"),
        (HEADER, [Section("PART", True, b"")], "PART: part count needs 1 bytes"),
        (HEADER, [Section("PART", False, b"")], "PART REQUIRED is False, expected True"),
        (STORED_HEADER, [Section("HEAD", False, b"")], "section HEAD is written by close"),
        (STORED_HEADER, [Section("INDX", True, b"")], "section INDX is written by close"),
        (
            STORED_HEADER,
            [Section("Name", False, b""), Section("N/A!", False, b"")],
            "kind is 'N/A!'",
        ),
        (STORED_HEADER, [META] * MAX_SECTIONS, "4097 sections with the copies, expected"),
        (replace(HEADER, required_flags=1 << 4), [PART], "required_flags has bits 0x10"),
        (replace(HEADER, height=0), [PART], "height is 0"),
    ],
)
def test_writer_refuses_to_start(header, sections, match):
    file = io.BytesIO()
    with pytest.raises(ValueError, match=match):
        Writer(file, header, sections)
    assert file.getvalue() == b""


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image_count": 0, "assignment": b""}, r"image_count is 0, expected 1\.\.2"),
        ({"image_count": 3}, r"image_count is 3, expected 1\.\.2"),
        ({"assignment": b"\0"}, "runs cover 1 images, image_count is 2"),
        ({"assignment": b"\0\0"}, r"order \[0\], expected 0\.\.1"),
        ({"assignment": b"\1\0"}, r"order \[1, 0\], expected 0\.\.1"),
        ({"sub_payloads": ()}, "sub_payload_count is 0"),
        ({"sub_payloads": (SubPayload(9, 0, b""),)}, "mode is 9, expected one of"),
        ({"sub_payloads": (SubPayload(2, 65536, b""),)}, "parameter is 65536"),
        ({"max_error": 256}, r"max_error is 256, expected 0\.\.255"),
        ({"sum_squared_error": -1}, "sum_squared_error is -1"),
        ({"sum_squared_error": 0}, "sum_squared_error is 0, expected 81"),
        ({"pixels_sha256": b"short"}, "pixels_sha256 has 5 bytes, expected 32"),
    ],
)
def test_writer_refuses_a_chunk(change, match):
    file = io.BytesIO()
    writer = Writer(file, HEADER, [PART])
    before = file.getvalue()
    with pytest.raises(ValueError, match=f"chunk 0: .*{match}"):
        writer.write_chunk(replace(CHUNKS[0], **change))
    assert file.getvalue() == before


def test_writer_refuses_a_table_past_the_limit(monkeypatch):
    monkeypatch.setattr("aecodec.container.chunks.MAX_TABLE_NBYTES", 18)
    with pytest.raises(ValueError, match="chunk 0: table_nbytes is 19, expected at most 18"):
        write()


def test_writer_order():
    writer = Writer(io.BytesIO(), HEADER, [PART])
    with pytest.raises(ValueError, match="section PART cannot be given after the chunks"):
        writer.write_section(PART)
    writer.write_chunk(CHUNKS[1])
    with pytest.raises(ValueError, match="no chunk may follow one of 1 images, chunk_images is 2"):
        writer.write_chunk(CHUNKS[0])
    writer.write_section(NAME)
    with pytest.raises(ValueError, match="chunk 1: no chunk may follow section NAME"):
        writer.write_chunk(CHUNKS[0])
    writer.close()
    for call in (lambda: writer.write_chunk(CHUNKS[0]), lambda: writer.write_section(NAME)):
        with pytest.raises(ValueError, match="writer is closed"):
            call()
    with pytest.raises(ValueError, match="writer is closed"):
        writer.close()


def test_writer_section_count():
    file = io.BytesIO()
    writer = Writer(file, HEADER, [PART] + [META] * (MAX_SECTIONS - 4))
    writer.write_section(NAME)
    with pytest.raises(ValueError, match="section NAME: more than 4096 sections"):
        writer.write_section(NAME)
    writer.close()
    assert len(open_bytes(file.getvalue()).sections) == MAX_SECTIONS - 2


# ---- properties


@st.composite
def assignments(draw) -> bytes:
    """Sub-payload indices in the order of their first use, in runs of all lengths."""
    runs = draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(1, 20_000)), min_size=1, max_size=9)
    )
    order: dict[int, int] = {}
    return b"".join(bytes([order.setdefault(i, len(order))]) * n for i, n in runs)


@given(assignment=assignments(), data=st.binary(max_size=9))
def test_any_assignment_comes_back(assignment, data):
    modes = [(MODE_STORED, 0), (MODE_ZSTD, 0)] + [(MODE_LATENTS_ZSTD, q) for q in (256, 999, 2304)]
    subs = tuple(SubPayload(*mode, data) for mode in modes[: max(assignment) + 1])
    chunk = Chunk(len(assignment), subs, assignment, 0, 0, bytes(32))
    header = replace(HEADER, chunk_images=len(assignment))
    assert read_all(write(header, (PART,), (chunk,), ()))[-1] == [chunk]


LOOSE_ENTRIES = st.tuples(st.integers(0, 3), st.sampled_from([0, 1280, 2304]), st.integers(0, 3))
LOOSE_RUNS = st.tuples(st.integers(0, 2), st.integers(0, 300), st.integers(0, 1))


@given(
    entries=st.lists(LOOSE_ENTRIES, max_size=3),
    runs=st.lists(LOOSE_RUNS, max_size=5),
    cut=st.integers(0, 2),
)
def test_a_table_has_one_form(entries, runs, cut):
    """Whatever table is accepted is the one that its content packs to."""
    table = bytes([len(entries)]) + b"".join(struct.pack("<BHI", *entry) for entry in entries)
    for index, length, padding in runs:
        high = b"" if length < 0x80 and not padding else bytes([length >> 7])
        table += bytes([index, length & 0x7F | (0x80 if high else 0)]) + high
    table = table[: max(1, len(table) - cut)]
    image_count = max(1, sum(length for _, length, _ in runs))
    header = replace(HEADER, chunk_images=image_count)
    try:
        head = unpack_table(table, image_count, sum(nbytes for *_, nbytes in entries))
    except AezError:
        return
    subs = tuple(SubPayload(mode, parameter, bytes(n)) for mode, parameter, n in head.modes)
    assignment = b"".join(bytes([index]) * length for index, length in head.runs)
    chunk = Chunk(image_count, subs, assignment, 0, 0, bytes(32))
    assert pack_chunk_start(chunk, 0, header)[1] == table


SECTIONS = st.lists(
    st.builds(
        Section,
        kind=st.text("ABCXYZabc019", min_size=4, max_size=4),
        required=st.just(False),
        payload=st.binary(max_size=40),
    ),
    max_size=4,
).map(tuple)


@given(front=SECTIONS, back=SECTIONS, chunk_count=st.integers(0, 2))
def test_any_sections_come_back(front, back, chunk_count):
    data = write(HEADER, (PART, *front), CHUNKS[:chunk_count], back)
    expected = [
        (section.kind, section.required, section.payload) for section in (PART, *front, *back)
    ]
    assert read_all(data)[3] == expected


@given(
    parts=st.lists(
        st.builds(
            PartRef,
            name=st.text(
                st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=9
            ),
            fingerprint=st.binary(min_size=32, max_size=32),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda part: part.name,
    ),
    model_name=st.text(st.characters(min_codepoint=160, exclude_categories=["Cs"]), max_size=60),
)
def test_any_parts_come_back(parts, model_name):
    ordered = tuple(sorted(parts, key=lambda part: part.name))
    assert unpack_parts(pack_parts(parts, model_name), "x.aez") == (ordered, model_name)


@given(payload=st.binary(max_size=80))
def test_a_part_payload_has_one_form(payload):
    try:
        parts, model_name = unpack_parts(payload, "x.aez")
    except AezError:
        return
    assert pack_parts(parts, model_name) == payload


def test_index_entry_bytes():
    literal = struct.pack("<QQIII", 48, 100, 2, 0xDEADBEEF, 0)
    assert IndexEntry(48, 100, 2, 0xDEADBEEF).pack() == literal


def test_supported_flags_are_what_this_version_reads():
    assert SUPPORTED_FLAGS == 0b1110_1111


def test_container_needs_the_standard_library_alone():
    """In a bare interpreter, no installed package is even looked for."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import aecodec.container; "
        "tops = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(tops - sys.stdlib_module_names - {'aecodec', '__main__'}))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
