"""What the writer refuses, and what it writes to."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from container_files import (
    CHUNKS,
    HEADER,
    META,
    NAME,
    PART,
    STORED_HEADER,
    open_bytes,
    write,
)

from aecodec.container import (
    Section,
    SubPayload,
    Writer,
)
from aecodec.container.sections import MAX_SECTIONS


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
