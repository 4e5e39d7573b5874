"""Every rule of the index and the footer, broken once, and files that end early."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import replace

import pytest
from container_files import (
    HEAD_COPY,
    STORED_HEADER,
    assemble,
    finish,
    frame,
    open_bytes,
    patch,
    sealed,
    stored_chunk,
    write,
)

from aecodec.container.footer import Footer
from aecodec.container.reader import Reader
from aecodec.errors import AezChangedError, AezCorruptError, AezLimitError, AezUnsupportedError


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


class Shrinking(io.BytesIO):
    """A file object that is not read behind its back, as bytes in memory are."""


def test_file_that_shrinks_while_it_is_open(tmp_path):
    fault = "chunk head at byte 303 needs 80 bytes, found 0"
    file = Shrinking(write())
    reader = Reader(file, "x.aez")
    file.truncate(300)
    with pytest.raises(AezCorruptError, match=fault):
        reader.read_chunk(1)
    path = tmp_path / "x.aez"
    path.write_bytes(write())
    with path.open("rb") as opened:
        reader = Reader(opened, "x.aez")
        os.truncate(path, 300)
        with pytest.raises(AezChangedError, match=rf"overwritten after it was opened.*{fault}"):
            reader.read_chunk(1)
