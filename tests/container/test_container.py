"""The container: literal bytes, every bit flipped, every cut, any file that can be written."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from container_files import (
    CHUNK_HEAD,
    CHUNK_TABLE,
    CHUNKS,
    HEADER,
    HEADER_BYTES,
    META,
    META_BYTES,
    NAME,
    PART,
    PARTS,
    STORED_HEADER,
    frame,
    open_bytes,
    read_all,
    sealed,
    unpack_table,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from aecodec.container import (
    MODE_LATENTS_ZSTD,
    MODE_STORED,
    MODE_ZSTD,
    SUPPORTED_FLAGS,
    Chunk,
    Header,
    PartRef,
    Section,
    SubPayload,
    pack_parts,
    unpack_parts,
)
from aecodec.container.chunks import pack_chunk_start
from aecodec.container.index import IndexEntry
from aecodec.errors import AezCorruptError, AezError

ROOT = Path(__file__).resolve().parents[2]


# ---- literal bytes: a twin mistake in writer and reader cannot hide here


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
        # index_offset, index_nbytes, file_nbytes
        "6a02000000000000 5400000000000000 ee02000000000000"
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
