"""Every rule of chunks and their tables, broken once."""

from __future__ import annotations

import pytest
from container_files import (
    CHUNK_HEAD,
    CHUNK_TABLE,
    CHUNKS,
    HEADER,
    STORED_HEADER,
    assemble,
    open_bytes,
    patch,
    repatch,
    sealed,
    stored_chunk,
    unpack_table,
    write,
)

from aecodec.container import (
    MODE_STORED,
    Chunk,
    SubPayload,
)
from aecodec.container.chunks import pack_chunk_start, unpack_chunk_head
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError
from aecodec.limits import chunk_memory_nbytes


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
