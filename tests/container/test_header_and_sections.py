"""Every rule of the header, of sections and of section PART, broken once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from container_files import (
    HEAD_COPY,
    HEADER,
    HEADER_BYTES,
    META_BYTES,
    PART,
    PARTS,
    assemble,
    frame,
    open_bytes,
    patch,
    repatch,
    stored_chunk,
)

from aecodec.container import (
    KNOWN_SECTIONS,
    Header,
    PartRef,
    pack_parts,
    unpack_parts,
)
from aecodec.container.sections import MAX_SECTIONS
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError


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
