"""A second decoder of .aez files, written from aez.md: NumPy, zstandard and nothing of aecodec.

    python formats/tiny_reader.py FILE.aez [--model MODEL.safetensors]... [-o OUT.npy]

Its order is that of the specification, and its clause numbers are those of aez.md. It is there to
be read and to be compared with: it keeps everything in memory, and nothing in it is made fast. It
decodes whole files to images (N, H, W, C), and refuses a file with Corrupt, Unsupported, Limit or
Missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import zstandard

MAX_DECODED_NBYTES = 1 << 30
MAX_MODEL_NBYTES = 64 << 20

Images = np.ndarray  # uint8 (n, H, W, C)
Integers = np.ndarray  # int64; 9.3 proves that the "integers of unbounded range" fit


class Refused(Exception):
    """A reader refuses a file in one of the ways below (1.5)."""


class Corrupt(Refused):
    """The file is not what a writer wrote, or it breaks a rule of the specification."""


class Unsupported(Refused):
    """The file is sound, but of a later version."""


class Limit(Refused):
    """The file would take more than this reader may spend."""


class Missing(Refused):
    """No model at hand has a part that the file names."""


def require(condition: object, text: str, kind: type[Refused] = Corrupt) -> None:
    """Refuse the file with ``text``, unless the condition holds."""
    if not condition:
        raise kind(text)


def crc32_of(data: bytes, stored: int, what: str) -> None:
    """Require that bytes have the CRC-32 that is stored for them (1.2)."""
    found = zlib.crc32(data)
    require(found == stored, f"{what} is {stored:#010x}, computed {found:#010x}")


class Bytes:
    """Bytes that are taken from the front, and never past the end; ``what`` names them."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.at = data, what, 0

    def take(self, nbytes: int) -> bytes:
        """The next ``nbytes`` bytes."""
        left = len(self.data) - self.at
        require(nbytes <= left, f"{self.what}: {nbytes} bytes needed, {left} are left")
        self.at += nbytes
        return self.data[self.at - nbytes : self.at]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """The next fields, in the layout of :mod:`struct`, little-endian."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def leb128(self, limit: int = 1 << 32) -> int:
        """Unsigned LEB128 in its fewest bytes, below ``limit`` (5.3, 5.5, 8.2)."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            require(value < limit and shift <= 35, f"{self.what}: LEB128 of {limit} or more")
            if byte < 128:
                require(byte or shift == 7, f"{self.what}: LEB128 is not in its fewest bytes")
                return value

    def finish(self) -> None:
        """Require that no bytes are left."""
        require(self.at == len(self.data), f"{self.what}: {len(self.data) - self.at} bytes left")


# ---------------------------------------------------------------- 3 Header

MAGIC = bytes.fromhex("89 41 45 5A 0D 0A 1A 0A")
LATENTS, REFINEMENT, ZSTD, ANS = 1, 2, 4, 8
TONES, UNDERLAY, LOW_TRUNK = 32, 64, 128
NEW = {"tones": TONES, "underlay": UNDERLAY, "low_below": LOW_TRUNK}  # 10.7: flag by tensor


class Header(NamedTuple):
    """The fields of the header that decoding reads."""

    flags: int
    shape: tuple[int, int, int]  # (H, W, C)
    chunk_images: int


def read_header(data: bytes) -> Header:
    """3.1 to 3.5: the header, checked."""
    require(data[:8] == MAGIC, f"magic is {data[:8].hex()}")
    (major,) = Bytes(data[8:10], "header").unpack("H")
    require(major <= 1, f"version_major is {major}, this reader knows 1", Unsupported)  # 3.2
    record = Bytes(data, "header").take(48)
    flags, _, height, width, channels, kind, zero, value, chunk_images, zeros, crc32 = (
        struct.unpack("<12x2I2H2BHIIQI", record)
    )
    crc32_of(record[:44], crc32, "header_crc32")
    require(
        not flags & ~(LATENTS | REFINEMENT | ZSTD | ANS | TONES | UNDERLAY | LOW_TRUNK),
        f"required_flags has unknown bits: {flags:#x}",
        Unsupported,
    )
    require(not (zero or zeros), "header: a reserved field is not 0", Unsupported)
    require(major == 1, "version_major is 0")
    require(height and width, f"height and width are {height} and {width}")
    require(1 <= channels <= 4, f"channels is {channels}")
    require(chunk_images, "chunk_images is 0")
    largest = {0: 0, 1: 65535, 2: 255, 3: 65535}.get(kind, value)  # 3.5
    require(value <= largest, f"target_value of kind {kind} is {value}")
    return Header(flags, (height, width, channels), chunk_images)


# ---------------------------------------------------------------- 4 Sections


class Section(NamedTuple):
    """A section: where it is, and its bytes."""

    offset: int
    kind: bytes
    frame: bytes
    payload: bytes  # whose checksum is checked when it is used (6.4)

    @property
    def end(self) -> int:
        """The offset of the first byte after it."""
        return self.offset + 28 + len(self.payload)

    def checked(self) -> bytes:
        """The payload, its checksum checked."""
        (stored,) = struct.unpack_from("<I", self.frame, 20)
        crc32_of(self.payload, stored, f"payload_crc32 of {self.kind.decode()}")
        return self.payload


def read_section(data: bytes, offset: int, end: int) -> Section:
    """The section at ``offset``, which ends at or before ``end``."""
    what = f"section at byte {offset}"
    require(offset + 28 <= end, f"{what}: its frame does not fit")
    frame = data[offset : offset + 28]
    marker, kind, flags, nbytes, _, crc32 = struct.unpack("<4s4sIQII", frame)
    require(marker == b"\x89SEC", f"{what}: marker is {marker.hex()}")
    crc32_of(frame[:24], crc32, f"{what}: frame_crc32")
    require(kind.isascii() and kind.isalnum(), f"{what}: kind is {kind!r}")
    require(not flags & ~1, f"{what}: flags are {flags:#x}", Unsupported)
    if kind in (b"PART", b"INDX", b"HEAD"):
        require(flags == (kind != b"HEAD"), f"{what}: {kind!r} has flags {flags}")
    else:
        require(not flags, f"{what}: {kind!r} is unknown and REQUIRED", Unsupported)  # 4.2
    require(offset + 28 + nbytes <= end, f"{what}: payload_nbytes is {nbytes}, past its end")
    return Section(offset, kind, frame, data[offset + 28 : offset + 28 + nbytes])


def read_sections(data: bytes, offset: int, end: int) -> Iterator[Section]:
    """Sections that fill the bytes from ``offset`` to ``end``."""
    while offset < end:
        section = read_section(data, offset, end)
        yield section
        offset = section.end


def split_copies(data: bytes, found: list[Section], first: int, last: int) -> list[Section]:
    """4.4: the sections without the copies of header and PART, which must be the last ones.

    The chunks lie from byte ``first`` to byte ``last``.
    """
    count = 2 if found and found[-1].kind == b"PART" else 1
    own, copies = found[:-count], found[-count:]
    kinds = [each.kind for each in copies]
    require(kinds in ([b"HEAD"], [b"HEAD", b"PART"]), f"{kinds} before the index, not HEAD, PART")
    require(copies[0].offset >= last, "HEAD is before the chunks")
    require(copies[0].checked() == data[:48], "HEAD differs from the header")
    parts = [each for each in own if each.kind == b"PART" and each.offset < first]
    misplaced = [each.kind for each in own if each.kind in (b"PART", b"HEAD", b"INDX")]
    require(len(misplaced) == len(parts) == count - 1, f"{misplaced} before the copies {kinds}")
    if parts:
        both = [(each.frame, each.checked()) for each in (parts[0], copies[1])]
        require(both[0] == both[1], "the copy of PART differs from it")
    return own


def read_parts(section: Section) -> dict[str, bytes]:
    """4.5: the fingerprint of each part, by its name."""
    source = Bytes(section.checked(), "PART")
    parts: dict[str, bytes] = {}
    (count,) = source.unpack("B")
    require(count, "PART: part_count is 0")
    for _ in range(count):
        name = source.take(source.unpack("B")[0])
        require(name and all(0x21 <= char <= 0x7E for char in name), f"PART: name is {name!r}")
        text = name.decode("ascii")
        require(text > max(parts, default=""), f"PART: {text} is not in ascending order")
        parts[text] = source.take(32)
    model_name = source.take(source.unpack("B")[0])
    source.finish()
    try:
        text = model_name.decode("utf-8")
    except UnicodeDecodeError:
        raise Corrupt("PART: model_name is not UTF-8") from None
    require(not any(c < " " or "\x7f" <= c <= "\x9f" for c in text), "PART: control characters")
    return parts


# ---------------------------------------------------------------- 5 Chunks


class SubPayload(NamedTuple):
    """The coded bytes of some images of a chunk, and how they are coded."""

    mode: int
    parameter: int
    data: bytes


class Chunk(NamedTuple):
    """A chunk, its checksums checked and its payload split."""

    image_count: int
    subs: list[SubPayload]
    which: list[int]  # number of the sub-payload of each image
    pixels_sha256: bytes


def read_chunk(data: bytes, ordinal: int, entry: tuple[int, ...], header: Header) -> Chunk:
    """The chunk of an index entry (offset, nbytes, image_count, head_crc32)."""
    offset, nbytes, indexed_count, indexed_crc32 = entry
    what = f"chunk {ordinal}"
    source = Bytes(data[offset : offset + nbytes], what)
    head = source.take(80)
    (marker, found, count, table_nbytes, payload_nbytes, squares, sha256, table_crc32) = (
        struct.unpack_from("<4sIIIQQ32sI", head)
    )
    payload_crc32, max_error, *zero, crc32 = struct.unpack_from("<IB3BI", head, 68)
    require(marker == b"\x89CHK", f"{what}: marker is {marker.hex()}")
    crc32_of(head[:76], crc32, f"{what}: head_crc32")
    require(crc32 == indexed_crc32, f"{what}: head_crc32 differs from the index")
    require(not any(zero), f"{what}: a reserved field is not 0", Unsupported)
    require(found == ordinal, f"{what}: ordinal is {found}")
    require(count == indexed_count, f"{what}: image_count is {count}, the index has another")
    require(8 <= table_nbytes <= 1 << 24, f"{what}: table_nbytes is {table_nbytes}")
    require(80 + table_nbytes + payload_nbytes == nbytes, f"{what}: sizes differ from the index")
    samples = count * math.prod(header.shape)
    require(max_error**2 <= squares <= samples * max_error**2, f"{what}: errors break 5.4")
    table = source.take(table_nbytes)
    crc32_of(table, table_crc32, f"{what}: table_crc32")
    entries, which = read_table(table, count, header.flags, what)
    require(sum(n for _, _, n in entries) == payload_nbytes, f"{what}: nbytes do not add up")
    payload = source.take(payload_nbytes)
    crc32_of(payload, payload_crc32, f"{what}: payload_crc32")
    rest = Bytes(payload, what)
    subs = [SubPayload(mode, parameter, rest.take(n)) for mode, parameter, n in entries]
    return Chunk(count, subs, which, sha256)


def read_table(
    table: bytes, count: int, flags: int, what: str
) -> tuple[list[tuple[int, int, int]], list[int]]:
    """5.2, 5.3 and 5.5: the sub-payloads as (mode, parameter, nbytes), and which each image has."""
    source = Bytes(table, f"{what}: table")
    (sub_count,) = source.unpack("B")
    require(sub_count, f"{what}: sub_payload_count is 0")
    entries = [source.unpack("BHI") for _ in range(sub_count)]
    for mode, parameter, _ in entries:
        check_mode(mode, parameter, flags, what)
    require(
        len({each[:2] for each in entries}) == sub_count,
        f"{what}: a mode and parameter occur twice",
    )
    if sub_count == 1:
        source.finish()
        check_crowd(entries, [0] * count, what)
        return entries, [0] * count
    which: list[int] = []
    used = 0
    while source.at < len(table):
        (number,) = source.unpack("B")
        require(number < sub_count and number <= used, f"{what}: runs use {number} too early")
        require(not which or which[-1] != number, f"{what}: neighbouring runs are of {number}")
        length = source.leb128()
        require(1 <= length <= count - len(which), f"{what}: a run of {length} images")
        which += [number] * length
        used = max(used, number + 1)
    require(len(which) == count, f"{what}: runs cover {len(which)} of {count} images")
    require(used == sub_count, f"{what}: a sub-payload is not used")
    check_crowd(entries, which, what)
    return entries, which


def check_crowd(entries: list[tuple[int, int, int]], which: list[int], what: str) -> None:
    """12.4: at most 8 images for each byte of an ANS payload."""
    for number, (mode, _, nbytes) in enumerate(entries):
        crowded = mode in (3, 4, 5) and which.count(number) > 8 * nbytes
        require(not crowded, f"{what}: too many images in an ANS payload of {nbytes} bytes")


# ---------------------------------------------------------------- 6 Index and footer

FOOTER_MAGIC = bytes.fromhex("0A 1A 0A 0D 5A 45 41 89")


class File(NamedTuple):
    """A file whose header, sections and index are read."""

    header: Header
    parts: dict[str, bytes]  # fingerprints by name
    sections: list[Section]  # all but the copies
    index: list[tuple[int, ...]]


def open_file(data: bytes) -> File:
    """6.3: read a file from both ends; every byte of it is accounted for."""
    header = read_header(data)
    require(len(data) >= 96 and data[-8:] == FOOTER_MAGIC, "footer magic missing: cut or appended")
    footer = data[-48:]
    index_offset, index_nbytes, file_nbytes, image_count, chunk_count, crc32 = struct.unpack_from(
        "<4Q2I", footer
    )
    crc32_of(footer[:36], crc32, "footer_crc32")
    require(file_nbytes == len(data), f"file_nbytes is {file_nbytes}, there are {len(data)}")
    end = len(data) - 48
    require(48 <= index_offset <= end, f"index_offset is {index_offset}")
    require(index_offset + index_nbytes == end, f"index_nbytes is {index_nbytes}")
    section = read_section(data, index_offset, end)
    require(section.kind == b"INDX" and section.end == end, "the index is not INDX to its end")
    index = read_index(section, header, image_count, chunk_count, index_offset)
    first = index[0][0] if index else index_offset
    last = index[-1][0] + index[-1][1] if index else 48
    found: list[Section] = []
    gaps = [(48, first), (last, index_offset)] if index else [(48, index_offset)]
    for start, stop in gaps:
        for each in read_sections(data, start, stop):
            found.append(each)
            require(len(found) <= 4096, "more than 4096 sections", Limit)  # 4.6
    sections = split_copies(data, found, first, last)
    for each in sections:
        each.checked()
    part = next((each for each in sections if each.kind == b"PART"), None)
    parts = read_parts(part) if part else {}
    require(parts or not header.flags & (LATENTS | REFINEMENT), "the flags need a PART section")
    return File(header, parts, sections, index)


def read_index(
    section: Section, header: Header, image_count: int, chunk_count: int, end: int
) -> list[tuple[int, ...]]:
    """6.1: (offset, nbytes, image_count, head_crc32) of each chunk; chunks end at byte ``end``."""
    payload = section.checked()
    require(
        len(payload) == 28 * chunk_count, f"{chunk_count} chunks, index of {len(payload)} bytes"
    )
    index = []
    at = None
    for i, (*entry, zero) in enumerate(struct.iter_unpack("<2Q3I", payload)):
        offset, nbytes, count, _ = entry
        require(not zero, f"index entry {i}: reserved field is {zero}", Unsupported)
        require(offset == at or (at is None and offset >= 48), f"index entry {i}: gap or overlap")
        require(nbytes >= 88, f"index entry {i}: nbytes is {nbytes}")
        at = offset + nbytes
        require(at <= end, f"index entry {i}: chunk reaches into the index")
        full = count == header.chunk_images
        lower = i == chunk_count - 1 and 1 <= count <= header.chunk_images
        require(full or lower, f"index entry {i}: image_count is {count}")
        index.append(tuple(entry))
    require(sum(each[2] for each in index) == image_count, "image_count is not that of the chunks")
    return index


# ---------------------------------------------------------------- 7 Modes

PIXEL_MODELS = ("pixel_fast", "pixel_small")  # 11.1


class Mode(NamedTuple):
    """What a mode allows and needs."""

    low: int  # smallest parameter
    high: int
    flags: int
    parts: tuple[tuple[str, ...], ...] = ()  # for each part, the names of which one is needed


MODES = {
    0: Mode(0, 0, 0),
    1: Mode(0, 0, ZSTD),
    2: Mode(256, 2304, LATENTS | ZSTD, (("latent_decoder",),)),
    3: Mode(0, 127, REFINEMENT | ANS, (PIXEL_MODELS,)),
    4: Mode(1, 127, REFINEMENT | ANS, (PIXEL_MODELS, ("dequantizer",))),
    5: Mode(256, 2304, LATENTS | ANS, (("latent_decoder",), ("latent_prior",))),
}


def check_mode(mode: int, parameter: int, flags: int, what: str) -> None:
    """7: the mode is known, its parameter in range, and the header has its flags."""
    require(mode in MODES, f"{what}: mode {mode} is unknown", Unsupported)
    low, high, needed, _ = MODES[mode]
    require(low <= parameter <= high, f"{what}: mode {mode} has parameter {parameter}")
    require(flags & needed == needed, f"{what}: mode {mode} needs flags {needed:#x}")


def check_parts(mode: int, names: Iterable[str]) -> None:
    """7: PART names every part that the mode needs."""
    for either in MODES[mode].parts:
        text = f"mode {mode} needs part {' or '.join(either)}, which PART does not name"
        require(not set(either).isdisjoint(names), text)


def decode_sub_payload(sub: SubPayload, count: int, header: Header, model: Model) -> Images:
    """The ``count`` images (count, H, W, C) of a sub-payload."""
    shape = (count, *header.shape)
    if sub.mode in (0, 1):
        nbytes = math.prod(shape)
        samples = unpack_zstd(sub.data, nbytes) if sub.mode == 1 else sub.data
        require(len(samples) == nbytes, f"{len(samples)} samples, expected {nbytes}")
        return np.frombuffer(samples, np.uint8).reshape(shape)
    if sub.mode in (2, 5):
        decoder = model.part("latent_decoder")
        if sub.mode == 2:
            symbols = unpack_latents(sub.data, count, decoder.config["latents"])
        else:
            coder = Decoder(sub.data)
            symbols = decode_latents(coder, count, model, sub.parameter)
            coder.finish()
        return rebuild(decoder, symbols, sub.parameter)
    planes = decode_planes(sub.data, count, model, sub.parameter)
    if sub.mode == 4:
        planes = dequantize(model.part("dequantizer"), planes, sub.parameter)
    return join_planes(planes, header.shape)


def decode_chunk(chunk: Chunk, header: Header, model: Model) -> Images:
    """7: the images of a chunk, checked against the hash of their pixels."""
    images = decode_images(chunk, header, model)
    found = hashlib.sha256(images.tobytes()).digest()
    require(found == chunk.pixels_sha256, f"pixels_sha256 is {chunk.pixels_sha256.hex()}")
    return images


def decode_images(chunk: Chunk, header: Header, model: Model) -> Images:
    """The images of a chunk, each from its sub-payload, in their order."""
    images = np.empty((chunk.image_count, *header.shape), np.uint8)
    which = np.array(chunk.which)
    for number, sub in enumerate(chunk.subs):
        here = which == number
        images[here] = decode_sub_payload(sub, int(here.sum()), header, model)
    return images


# ---------------------------------------------------------------- 8 Latent payloads


def row_at(table: np.ndarray, quality: int, rounding: int) -> Integers:
    """8.1 and 14.2: a row for a quality, mixed from the two of the table's nine next to it."""
    row, f = divmod(quality - 256, 256)
    table = table.astype(np.int64)
    return (table[row] * (256 - f) + table[min(row + 1, 8)] * f + rounding) >> 8


def unpack_zstd(frame: bytes, nbytes: int) -> bytes:
    """8.4: one magicless frame, from the first byte to the last, of exactly ``nbytes``."""
    require(len(frame) >= 2 and frame[0] == 0, "zstd frame header is not that of 8.4")
    window = (8 + (frame[1] & 7)) << (frame[1] >> 3) + 7
    require(window <= 8 << 20, f"zstd frame has a window of {window} bytes")
    at, last = 2, 0
    while not last:  # block by block: the frame ends where its bytes end
        require(at + 3 <= len(frame), "zstd frame is cut")
        block = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        require(kind != 3, "zstd block of a reserved type")
        at += 3 + (1 if kind == 1 else size)
    require(at == len(frame), f"zstd frame ends at byte {at} of {len(frame)}")
    decompressor = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    try:
        with decompressor.stream_reader(frame) as reader:
            data = reader.read(nbytes + 1)
    except zstandard.ZstdError as error:
        raise Corrupt(f"zstd frame is damaged: {error}") from None
    require(len(data) == nbytes, f"zstd frame holds {len(data)} bytes or more, not {nbytes}")
    return data


def unpack_latents(data: bytes, count: int, latents: int) -> Integers:
    """8.2: symbols (count, D)."""
    source = Bytes(data, "latents")
    table_nbytes, packed_nbytes = source.leb128(), source.leb128()
    low, high = 2 * latents, 20 * latents
    require(low <= table_nbytes <= high, f"latents: table_nbytes is {table_nbytes}")
    table = Bytes(unpack_zstd(source.take(packed_nbytes), table_nbytes), "latent table")
    ranges, frame_of, frame_count = [], [], 0
    for _ in range(latents):
        zigzag = table.leb128()
        base = -(zigzag + 1) // 2 if zigzag & 1 else zigzag // 2
        span = table.leb128() + 1
        require(base >= -32768 and base + span - 1 <= 32767, f"latent table: {base}, span {span}")
        frame = table.leb128() if span > 1 else None
        require(frame is None or frame <= frame_count, f"latent table: frame {frame} comes early")
        frame_count = max(frame_count, 0 if frame is None else frame + 1)
        ranges.append((base, span))
        frame_of.append(frame)
    sizes = [table.leb128() for _ in range(frame_count)]
    table.finish()
    symbols = np.empty((count, latents), np.int64)
    streams = []
    for frame, size in enumerate(sizes):
        nbytes = sum(
            latent_nbytes(count, span)
            for (_, span), own in zip(ranges, frame_of, strict=True)
            if own == frame
        )
        streams.append(Bytes(unpack_zstd(source.take(size), nbytes), f"latent frame {frame}"))
    source.finish()
    for d, ((base, span), frame) in enumerate(zip(ranges, frame_of, strict=True)):
        if frame is None:
            symbols[:, d] = base
            continue
        digits = read_digits(streams[frame].take(latent_nbytes(count, span)), count, span)
        symbols[:, d] = base + digits
    return symbols


def per_byte(span: int) -> int:
    """8.3: the largest k up to 8 with span^k <= 256."""
    return max(k for k in range(1, 9) if span**k <= 256)


def latent_nbytes(count: int, span: int) -> int:
    """8.3: how many bytes the digits of one latent of ``count`` images take."""
    return 2 * count if span > 256 else -(-count // per_byte(span))


def read_digits(data: bytes, count: int, span: int) -> Integers:
    """8.3: the digits (count,) of one latent, each in 0..span-1."""
    if span > 256:
        digits = np.frombuffer(data, "<u2").astype(np.int64)
    else:
        k = per_byte(span)
        values = np.frombuffer(data, np.uint8).astype(np.int64)
        require(values.max(initial=0) < span**k, f"a byte of {k} symbols is {span**k} or more")
        powers = span ** np.arange(k - 1, -1, -1)
        digits = (values[:, None] // powers % span).ravel()
        require(not digits[count:].any(), "the last byte is not filled up with zeros")
        digits = digits[:count]
    tight = digits.min() == 0 and digits.max() == span - 1
    require(tight, f"symbols {digits.min()}..{digits.max()} of span {span}")
    return digits


# ---------------------------------------------------------------- 9 Integer networks


def act(x: Integers) -> Integers:
    """9.1: the activation."""
    return np.clip(x, 0, 255)


def conv_sum(weight: Integers, x: Integers) -> Integers:
    """9.1: a kernel (O, I, 3, 3) summed over (n, I, R, S), with zeros outside."""
    rows, columns = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(
        np.einsum("oi,nihw->nohw", weight[:, :, u, v], padded[:, :, u : u + rows, v : v + columns])
        for u in range(3)
        for v in range(3)
    )


class Layer(NamedTuple):
    """9.1: one layer of integers."""

    weight: Integers
    bias: Integers
    shift: Integers

    def __call__(self, x: Integers) -> Integers:
        """A dense layer over the last axis, or a convolution of (n, I, R, S)."""
        if self.weight.ndim == 2:
            return (x @ self.weight.T + self.bias) >> self.shift
        down = (slice(None), None, None)
        return (conv_sum(self.weight, x) + self.bias[down]) >> self.shift[down]


def shuffle(x: Integers) -> Integers:
    """9.2: (n, 4 C, R, S) to (n, C, 2 R, 2 S), each four channels to a square of pixels."""
    n, channels, rows, columns = x.shape
    x = x.reshape(n, channels // 4, 2, 2, rows, columns).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, channels // 4, 2 * rows, 2 * columns)


def rebuild(part: Part, symbols: Integers, quality: int) -> Images:
    """9.2 and 9.4: symbols (n, D) of a quality to images (n, H, W, C)."""
    low = "low_" if quality < low_below(part) else ""
    return rebuild_with(part, symbols, gains_at(part, quality), low)


def rebuild_with(part: Part, symbols: Integers, gains: Integers, low: str) -> Images:
    """9.2: the same with gains (D,); the names of the trunk's layers begin with ``low``."""
    c, layer = part.config, part.layer
    rows, columns = quarter(c["height"]), quarter(c["width"])
    z = np.clip(symbols * gains, -32767, 32767)
    r = layer("dense2")(act(layer("dense1")(z)))
    r = r.reshape(len(z), rows, columns, c["coarse"]).transpose(0, 3, 1, 2)
    for i in range(c["coarse_blocks"]):
        r = r + layer(f"{low}coarse{i}b")(act(layer(f"{low}coarse{i}a")(act(r))))
    r = shuffle(layer(f"{low}up")(act(r)))
    for i in range(c["fine_blocks"]):
        r = r + layer(f"{low}fine{i}b")(act(layer(f"{low}fine{i}a")(act(r))))
    t = shuffle(layer(f"{low}out")(act(r)))
    p = layer("linear")(z).reshape(t.shape)
    images = np.clip((p + t + 8) >> 4, 0, 255)[:, :, : c["height"], : c["width"]]
    return images.transpose(0, 2, 3, 1).astype(np.uint8)


def gains_at(part: Part, quality: int) -> Integers:
    """8.1: the gains (D,) at a quality."""
    return row_at(part.tensors["gain"], quality, rounding=128)


def low_below(part: Part) -> int:
    """9.4: the low trunk is for qualities below this one; 0 where there is no low trunk."""
    return int(part.tensors["low_below"][0]) if "low_below" in part.tensors else 0


def quarter(side: int) -> int:
    """A quarter of a side in pixels, rounded up."""
    return -(-side // 4)


def latent_decoder_tensors(part: Part) -> dict[str, tuple[str, tuple[int, ...]]]:
    """9.2 and 9.4: dtype and shape of each tensor of the part."""
    c = part.config
    grid, hidden = quarter(c["height"]) * quarter(c["width"]), c["hidden"]
    coarse, fine = c["coarse"], c["fine"]
    tensors = {"gain": ("uint16", (9, c["latents"]))}
    tensors |= layer_tensors("linear", (16 * grid * c["channels"], c["latents"]))
    tensors |= layer_tensors("dense1", (hidden, c["latents"]), "int16")
    tensors |= layer_tensors("dense2", (grid * coarse, hidden))
    if "low_below" in part.tensors:
        tensors["low_below"] = ("uint16", (1,))
    for low in trunks(part):
        for kind, width in (("coarse", coarse), ("fine", fine)):
            for i in range(c[f"{kind}_blocks"]):
                for half in "ab":
                    tensors |= layer_tensors(f"{low}{kind}{i}{half}", (width, width, 3, 3))
        tensors |= layer_tensors(f"{low}up", (4 * fine, coarse, 3, 3))
        tensors |= layer_tensors(f"{low}out", (4 * c["channels"], fine, 3, 3))
    return tensors


def trunks(part: Part) -> tuple[str, ...]:
    """9.4: what the names of the layers of each trunk begin with."""
    return ("", "low_") if "low_below" in part.tensors else ("",)


def layer_tensors(
    name: str, shape: tuple[int, ...], dtype: str = "int8", outputs: tuple[int, ...] = ()
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """9.1: dtype and shape of a layer's tensors; those of the weight are given."""
    outputs = outputs or shape[:1]
    return {
        f"{name}.weight": (dtype, shape),
        f"{name}.bias": ("int32", outputs),
        f"{name}.shift": ("uint8", outputs),
    }


# ---------------------------------------------------------------- 10 Models and fingerprints

DTYPES = {
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "F32": "float32",
}


class Part(NamedTuple):
    """10.1: one part of a model."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, np.ndarray]

    def layer(self, name: str, *row: int) -> Layer:
        """A layer of the part; of layers stacked in one tensor (11.4) the one in ``row``."""
        fields = (self.tensors[f"{name}.{field}"] for field in ("weight", "bias", "shift"))
        return Layer(*(each[row].astype(np.int64) for each in fields))

    def added(self, *names: str) -> int:
        """The sum of the largest magnitudes of these tensors."""
        return sum(int(np.abs(self.tensors[each].astype(np.int64)).max()) for each in names)

    def fingerprint(self) -> bytes:
        """10.2: the fingerprint of the part, 32 bytes."""
        fields = [canonical_json({**self.config, "part": self.name})]
        for name, tensor in sorted(self.tensors.items()):
            shape = struct.pack(f"<{tensor.ndim}Q", *tensor.shape)
            fields += [name.encode(), tensor.dtype.name.encode(), shape, tensor.tobytes()]
        counted = b"".join(struct.pack("<Q", len(each)) + each for each in fields)
        return hashlib.sha256(b"aez-part-1\0" + counted).digest()


class Model(NamedTuple):
    """10.1: a model for images of one shape."""

    shape: tuple[int, int, int]  # (H, W, C)
    parts: dict[str, Part]

    def part(self, name: str) -> Part:
        """The part of this name."""
        require(name in self.parts, f"there is no part {name}")
        return self.parts[name]

    def pixel_model(self) -> Part:
        """11.1: the one pixel model."""
        return next(self.parts[name] for name in PIXEL_MODELS if name in self.parts)


def canonical_json(value: dict[str, Any]) -> bytes:
    """10.2: the one form of a config as JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def read_model(data: bytes, what: str) -> Model:
    """10.1: safetensors, its checksum, and the parts."""
    try:
        header, tensors = read_safetensors(data, what)
        text = header["__metadata__"]["aecodec"]
        stored = header["__metadata__"]["sha256"]
        digest = hashlib.sha256(text.encode("utf-8"))
        for name, tensor in sorted(tensors.items()):
            digest.update(f"\0{name}\0{tensor.dtype.name}\0{tensor.shape}\0".encode())
            digest.update(tensor.tobytes())
        require(digest.hexdigest() == stored, f"{what}: its sha256 is {stored}")
        config = json.loads(text)
        require(config["format"] == "aecodec-model-1", f"{what}: format is {config['format']!r}")
        height, width, channels = config["shape"]
        parts = {}
        for name, own in config["parts"].items():
            start = f"{name}."
            mine = {k[len(start) :]: t for k, t in tensors.items() if k.startswith(start)}
            parts[name] = Part(name, dict(own), mine)
            parts[name].fingerprint()  # which ends here if the config has no UTF-8 form
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{what}: not a model: {error!r}") from None
    return Model((height, width, channels), parts)


def read_safetensors(data: bytes, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """10.1: header and tensors of a safetensors file, without holes or overlaps."""
    source = Bytes(data, f"{what}: model")
    header = json.loads(source.take(source.unpack("Q")[0]))
    tensors = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]])
        shape = tuple(entry["shape"])
        require(all(type(n) is int and n >= 0 for n in shape), f"{what}: {name} is {shape}")
        require(
            end - start == math.prod(shape) * dtype.itemsize, f"{what}: {name} has a wrong size"
        )
        spans.append((start, end))
        raw = data[source.at + start : source.at + end]
        tensors[name] = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)
    at = 0
    for start, end in sorted(spans):
        require(start == at, f"{what}: tensors overlap or leave a gap at byte {at}")
        at = end
    require(source.at + at == len(data), f"{what}: {len(data) - source.at} bytes of tensors")
    return header, tensors


def find_model(file: File, given: Iterable[Model]) -> Model:
    """10.5: the parts that PART names, from the file itself or from the models given."""
    embedded = [each for each in file.sections if each.kind == b"MODL"]
    require(len(embedded) <= 1, f"{len(embedded)} MODL sections")
    if embedded:
        model = read_model(inflate(embedded[0].checked(), MAX_MODEL_NBYTES), "MODL")
        own = {name: part.fingerprint() for name, part in model.parts.items()}
        require(own == file.parts, "MODL holds other parts than PART names")
        given = [model]
    found = {}
    for model in given:
        for name, part in model.parts.items():
            if file.parts.get(name) == part.fingerprint():
                require(model.shape == file.header.shape, f"{name} is for images {model.shape}")
                found[name] = part
    for name, fingerprint in file.parts.items():
        text = f"part {name} {fingerprint.hex()[:16]} is not at hand"
        require(name in found, text, Missing)
    model = Model(file.header.shape, found)
    for part in found.values():
        check_part(part, model)
    return model


def inflate(data: bytes, most: int) -> bytes:
    """zlib data, of at most ``most`` bytes inflated."""
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise Corrupt(f"zlib data is damaged: {error}") from None
    require(len(out) <= most, f"zlib data holds more than {most} bytes", Limit)
    require(inflater.eof and not inflater.unused_data, "zlib data is cut or goes on")
    return out


IMAGE = ("height", "width", "channels")
CONFIGS = {
    "latent_decoder": (
        *IMAGE,
        "latents",
        "hidden",
        "coarse",
        "fine",
        "coarse_blocks",
        "fine_blocks",
    ),
    "pixel_fast": (*IMAGE, "features", "mixtures"),
    "pixel_small": (*IMAGE, "features", "mixtures"),
    "dequantizer": (*IMAGE, "features"),
    "latent_prior": ("latents", "group", "features", "mixtures"),
}


def check_part(part: Part, model: Model) -> None:
    """10.6: config, tensors and exact range of a part."""
    name, c = part.name, part.config
    if name not in CONFIGS:
        return
    require(set(c) == set(CONFIGS[name]), f"{name}: config has {sorted(c)}")
    for key, value in c.items():
        low = 0 if key.endswith("_blocks") else 1
        require(type(value) is int and low <= value <= 4096, f"{name}: {key} is {value!r}")
    if "height" in c:
        require(tuple(c[key] for key in IMAGE) == model.shape, f"{name}: config is of other images")
    wanted, prove = PARTS[name]
    tensors = wanted(part)
    require(set(part.tensors) == set(tensors), f"{name}: tensors missing or unknown")
    for key, (dtype, shape) in tensors.items():
        own = part.tensors[key]
        found = (own.dtype.name, own.shape)
        require(found == (dtype, shape), f"{name}: {key} is {found}, not {(dtype, shape)}")
        if key.endswith(".shift"):
            require(own.max(initial=0) <= 31, f"{name}: {key} is over 31")
    prove(part, model)


def bound(layer: Layer, what: str, largest: int, bits: int, added: int = 0) -> int:
    """9.3: the largest output for inputs up to ``largest``, if all sums are below ``2**bits``."""
    weights = np.abs(layer.weight).reshape(len(layer.weight), -1).sum(axis=1)
    sums = weights * largest + np.abs(layer.bias)
    outputs = int((sums >> layer.shift).max()) + 1
    worst = max(int(sums.max()), outputs + added)
    require(worst < 1 << bits, f"layer {what}: a sum may reach {worst}, the limit is 2^{bits}")
    return outputs


def prove_latent_decoder(part: Part, model: Model) -> None:
    """9.3 and 9.4: every sum stays in its exact range."""
    c, layer = part.config, part.layer
    wide = {name: bound(layer(name), name, 32767, 53) for name in ("linear", "dense1")}
    if "low_below" in part.tensors:
        require(256 < low_below(part) <= 2304, f"low_below is {low_below(part)}")
    for low in trunks(part):
        for start, kind in (("dense2", "coarse"), (f"{low}up", "fine")):
            total = bound(layer(start), start, 255, 24)
            for i in range(c[f"{kind}_blocks"]):
                name = f"{low}{kind}{i}"
                bound(layer(f"{name}a"), f"{name}a", 255, 24)
                total += bound(layer(f"{name}b"), f"{name}b", 255, 24)
                require(total < 1 << 24, f"layer {name}b: r may reach {total}, the limit is 2^24")
        total = wide["linear"] + bound(layer(f"{low}out"), f"{low}out", 255, 24) + 8
        require(total < 1 << 53, f"layer {low}out: p + t may reach {total}, the limit is 2^53")


# ---------------------------------------------------------------- 11 The pixel model

PHASES = (0, 10, 2, 8, 5, 15, 7, 13, 1, 11, 3, 9, 4, 14, 6, 12)
BOUNDS = (0, 1, 2, 4, 8, 16, 32, 64, 127)


def plane_of(k: int, images: Images) -> Images:
    """11.2: the pixels of plane k, (n, rows, columns), as a view of images (n, H, W, C)."""
    phase, channel = divmod(k, images.shape[3])
    row, column = divmod(PHASES[phase], 4)
    return images[:, row::4, column::4, channel]


def join_planes(planes: Integers, shape: tuple[int, int, int]) -> Images:
    """11.2: planes (n, P, R, S) to images of a shape (H, W, C)."""
    images = np.empty((len(planes), *shape), np.uint8)
    for k in range(planes.shape[1]):
        place = plane_of(k, images)
        place[:] = planes[:, k, : place.shape[1], : place.shape[2]]
    return images


def code_of(e: int) -> Integers:
    """11.3: the code of a bound E, nine numbers."""
    i = max(j for j in range(8) if BOUNDS[j] <= e)
    t = 64 * (e - BOUNDS[i]) // (BOUNDS[i + 1] - BOUNDS[i])
    code = np.zeros(9, np.int64)
    code[i], code[i + 1] = 64 - t, t
    return code


def split_planes(images: Images) -> Integers:
    """11.2: images (n, H, W, C) to planes (n, P, R, S), which are 0 outside the images."""
    count, height, width, channels = images.shape
    planes = np.zeros((count, 16 * channels, quarter(height), quarter(width)), np.int64)
    for k in range(planes.shape[1]):
        place = plane_of(k, images)
        planes[:, k, : place.shape[1], : place.shape[2]] = place
    return planes


def decode_planes(data: bytes, count: int, model: Model, e: int) -> Integers:
    """Clauses 11 and 12: planes (count, P, R, S), each decoded after those before it."""
    part, shape = model.pixel_model(), model.shape
    coder = Decoder(data)
    under = None
    if "underlay" in part.tensors:  # 11.8
        quality = int(part.tensors["underlay"][0])
        symbols = decode_latents(coder, count, model, quality)
        under = split_planes(rebuild(model.part("latent_decoder"), symbols, quality))
    planes = split_planes(np.zeros((count, *shape), np.uint8))
    for k in range(planes.shape[1]):
        _, rows, columns = plane_of(k, np.empty((0, *shape))).shape
        raw = predict_plane(part, k, planes[:, :k], e, under)[:, :rows, :columns]
        symbols = coder.decode(raw.reshape(-1, raw.shape[-1]), e)
        samples = np.minimum(255, symbols * (2 * e + 1))
        planes[:, k, :rows, :columns] = samples.reshape(count, rows, columns)
    coder.finish()
    return planes


def see_layer(part: Part, k: int) -> Layer:
    """11.4: layer ``see`` of head k, with one kernel for each plane that it sees."""
    heads, at = len(part.tensors["places"]), k - 1
    pairs = heads * (heads - 1) // 2
    rows = k * (k - 1) // 2 + np.arange(k)
    if "tones" in part.tensors:  # 11.7
        rows = np.append(rows, pairs + rows)
        pairs *= 2
    if "underlay" in part.tensors:  # 11.8
        rows = np.append(rows, pairs + k * heads - k * (k - 1) // 2 + np.arange(heads - k))
        at = k
    kernels = part.tensors["see.weight"][rows].astype(np.int64).swapaxes(0, 1)
    bias, shift = (part.tensors[f"see.{each}"][at].astype(np.int64) for each in ("bias", "shift"))
    return Layer(kernels, bias, shift)


def predict_plane(part: Part, k: int, x: Integers, e: int, under: Integers | None) -> Integers:
    """11.4: planes 0..k-1 (n, k, R, S) to the raw parameters (n, R, S, 3K) of plane k.

    ``under`` is all planes (n, P, R, S) of the underlay (11.8), for a model that has one.
    """
    tensors, code = part.tensors, code_of(e)
    h = tensors["places"][k].astype(np.int64) + (tensors["see_codes"][k] @ code >> 6)[:, None, None]
    h = np.broadcast_to(h, (len(x), *h.shape))
    if "tones" in tensors:  # 11.7
        x = np.concatenate([x, tensors["tones"].astype(np.int64)[x]], axis=1)
    if under is not None:  # 11.8
        x = np.concatenate([x, under[:, k:]], axis=1)
    if x.shape[1]:
        h = h + see_layer(part, k)(x)
    h = act(part.layer("mix", k)(act(h))).transpose(0, 2, 3, 1)
    h = act(part.layer("dense", k)(h))
    return part.layer("out", k)(h) + (tensors["out_codes"][k] @ code >> 6)


def pixel_tensors(part: Part) -> dict[str, tuple[str, tuple[int, ...]]]:
    """11.4, 11.7, 11.8: dtype and shape of each tensor of a pixel model."""
    c, toned = part.config, "tones" in part.tensors
    planes, f, raw = 16 * c["channels"], c["features"], 3 * c["mixtures"]
    underlaid = "underlay" in part.tensors
    kernels = planes * (planes - 1) // 2 * (2 if toned else 1)
    kernels += planes * (planes + 1) // 2 if underlaid else 0
    seeing = planes if underlaid else planes - 1
    return {
        **({"tones": ("uint8", (256,))} if toned else {}),
        **({"underlay": ("uint16", (1,))} if underlaid else {}),
        "places": ("int16", (planes, f, quarter(c["height"]), quarter(c["width"]))),
        "see_codes": ("int16", (planes, f, 9)),
        "out_codes": ("int16", (planes, raw, 9)),
        **layer_tensors("see", (kernels, f, 3, 3), outputs=(seeing, f)),
        **layer_tensors("mix", (planes, f, f, 3, 3), outputs=(planes, f)),
        **layer_tensors("dense", (planes, f, f), outputs=(planes, f)),
        **layer_tensors("out", (planes, raw, f), outputs=(planes, raw)),
    }


def prove_pixel_model(part: Part, model: Model) -> None:
    """11.5 and 11.8: every sum of every head stays in its exact range."""
    see, out = part.added("places", "see_codes"), part.added("out_codes")
    underlaid = "underlay" in part.tensors
    if underlaid:
        quality = int(part.tensors["underlay"][0])
        require(256 <= quality <= 2304, f"{part.name}: underlay is {quality}")
    for k in range(16 * part.config["channels"]):
        if k or underlaid:
            bound(see_layer(part, k), f"see {k}", 255, 24, see)
        for kind, added in (("mix", 0), ("dense", 0), ("out", out)):
            bound(part.layer(kind, k), f"{kind} {k}", 255, 24, added)


# ---------------------------------------------------------------- 12 Mixtures and ANS

SIGMOID = np.rint(2**24 / (1 + np.exp(16 - np.arange(1025) / 32))).astype(np.int64)
SIGMOID[0], SIGMOID[1024] = 0, 2**24
INVERSE = np.rint(2**14 * np.exp(-np.arange(-512, 769) / 128)).astype(np.int64)
WEIGHT = np.rint(2**16 * np.exp(-np.arange(2048) / 128)).astype(np.int64)


def first_slots(raw: Integers, e: int) -> Integers:
    """12.2 and 12.3: raw parameters (M, 3K) to first(0) .. first(levels), (M, levels + 1)."""
    means, scales, logits = np.split(raw, 3, axis=1)
    mean = np.clip(means, -2048, 4095)
    scale = INVERSE[np.clip(scales, -512, 768) + 512]
    share = WEIGHT[np.minimum(logits.max(axis=1, keepdims=True) - logits, 2047)]
    ends = (np.cumsum(share, axis=1) << 16) // share.sum(axis=1, keepdims=True)
    weight = np.diff(ends, axis=1, prepend=0)
    m = 2 * e + 1
    levels = (255 + e) // m + 1
    s = np.arange(levels + 1)
    total = np.zeros((len(raw), levels + 1), np.int64)
    for j in range(mean.shape[1]):
        u = ((4 * (2 * s - 1) * m - mean[:, j, None]) * scale[:, j, None]) >> 7
        u = np.clip(u, -16384, 16383) + 16384
        low, high = SIGMOID[u >> 5], SIGMOID[(u >> 5) + 1]
        total += (low + (((high - low) * (u & 31)) >> 5)) * weight[:, j, None]
    first = (((total >> 16) * (2**24 - levels)) >> 24) + s
    first[:, 0], first[:, levels] = 0, 2**24
    return first


class Decoder:
    """12.4: an ANS decoder, of seven states that take turns."""

    def __init__(self, data: bytes) -> None:
        require(len(data) >= 56 and len(data) % 4 == 0, f"ANS payload of {len(data)} bytes")
        self.states = list(struct.unpack_from("<7Q", data))
        require(min(self.states) >= 1 << 32, "an ANS state is below 2^32")
        self.words = [word for (word,) in struct.iter_unpack("<I", data[56:])]
        self.at = 0

    def decode(self, raw: Integers, e: int) -> Integers:
        """The next symbols (M,), of a plane or a group of latents, by its raw (M, 3K)."""
        symbols = np.empty(len(raw), np.int64)
        for start in range(0, len(raw), 1024):
            for i, first in enumerate(first_slots(raw[start : start + 1024], e), start):
                symbols[i] = self._decode_one(i % 7, first)
        return symbols

    def _decode_one(self, lane: int, first: Integers) -> int:
        state = self.states[lane]
        slot = state % 2**24
        s = int(np.searchsorted(first, slot, side="right")) - 1
        low, high = int(first[s]), int(first[s + 1])
        state = (high - low) * (state >> 24) + slot - low
        if state < 1 << 32:
            require(self.at < len(self.words), "ANS payload ends before its images do")
            state = state << 32 | self.words[self.at]
            self.at += 1
        self.states[lane] = state
        return s

    def finish(self) -> None:
        """Require that all words are read, and that the states are those of a coder's start."""
        require(self.at == len(self.words), f"{len(self.words) - self.at} ANS words left")
        require(self.states == [1 << 32] * 7, "an ANS state is not 2^32 at the end")


# ---------------------------------------------------------------- 13 The dequantizer


def dequantize(part: Part, x: Integers, e: int) -> Integers:
    """13.2: decoded planes (n, P, R, S) to planes in which each sample is moved by at most E."""
    tensors, code = part.tensors, code_of(e)
    h = tensors["places"].astype(np.int64) + (tensors["see_codes"] @ code >> 6)[:, None, None]
    h = act(part.layer("mix")(act(h + part.layer("see")(x)))).transpose(0, 2, 3, 1)
    h = act(part.layer("dense")(h))
    d = (part.layer("out")(h) + (tensors["out_codes"] @ code >> 6)).transpose(0, 3, 1, 2)
    return np.clip(x + ((np.clip(d, -256, 256) * e + 128) >> 8), 0, 255)


def dequantizer_tensors(part: Part) -> dict[str, tuple[str, tuple[int, ...]]]:
    """13.2: dtype and shape of each tensor of the dequantizer."""
    c = part.config
    planes, f = 16 * c["channels"], c["features"]
    return {
        "places": ("int16", (f, quarter(c["height"]), quarter(c["width"]))),
        "see_codes": ("int16", (f, 9)),
        "out_codes": ("int16", (planes, 9)),
        **layer_tensors("see", (f, planes, 3, 3)),
        **layer_tensors("mix", (f, f, 3, 3)),
        **layer_tensors("dense", (f, f)),
        **layer_tensors("out", (planes, f)),
    }


def prove_dequantizer(part: Part, model: Model) -> None:
    """13.3: every sum stays in its exact range."""
    see, out = part.added("places", "see_codes"), part.added("out_codes")
    for kind, added in (("see", see), ("mix", 0), ("dense", 0), ("out", out)):
        bound(part.layer(kind), kind, 255, 24, added)


# ---------------------------------------------------------------- 14 The latent prior


def decode_latents(coder: Decoder, count: int, model: Model, quality: int) -> Integers:
    """14.1: the symbols (count, D) of ``count`` images, decoded group by group."""
    part = model.part("latent_prior")
    gains = gains_at(model.part("latent_decoder"), quality)
    c, order = part.config, part.tensors["order"].astype(np.int64)
    coded = np.zeros((count, c["latents"]), np.int64)  # in the order of coding
    for g in range(-(-c["latents"] // c["group"])):
        members = slice(g * c["group"], (g + 1) * c["group"])
        raw = predict_group(part, g, coded[:, : members.start], gains[order], quality)
        levels = coder.decode(raw.reshape(-1, raw.shape[-1]), 0)
        coded[:, members] = levels.reshape(count, -1) - 128  # 14.4
    symbols = np.empty_like(coded)
    symbols[:, order] = coded
    return symbols


def predict_group(part: Part, g: int, known: Integers, gains: Integers, quality: int) -> Integers:
    """14.3: symbols (n, g N) and gains (D,), both in coding order, to group g's raw (n, N, 3K)."""
    c, tensors = part.config, part.tensors
    count = known.shape[1]
    members = slice(count, count + c["group"])
    unit = tensors["unit"].astype(np.int64)[tensors["order"]]
    h = np.broadcast_to(row_at(tensors["see_rows"], quality, 0)[g], (len(known), c["features"]))
    if g:
        before = unit[:count]
        v = np.clip((known * gains[:count] + ((1 << before) >> 1)) >> before, -128, 127)
        h = h + part.layer(f"see{g}")(v)
    out = part.layer(f"out{g}")(act(part.layer(f"mix{g}")(act(h))))
    raw = out.reshape(len(known), -1, 3 * c["mixtures"])
    raw = raw + row_at(tensors["out_rows"], quality, 0)[members]
    k, gain = c["mixtures"], np.maximum(gains[members], 1)[:, None]
    means = (raw[..., :k] << unit[members][:, None]) // gain + 1024
    raw[..., :k] = np.clip(means, -(2**20), 2**20)
    return raw


def prior_tensors(part: Part) -> dict[str, tuple[str, tuple[int, ...]]]:
    """14.4: dtype and shape of each tensor of the prior."""
    c = part.config
    latents, group, f, raw = c["latents"], c["group"], c["features"], 3 * c["mixtures"]
    groups = -(-latents // group)
    tensors = {
        "order": ("int16", (latents,)),
        "unit": ("uint8", (latents,)),
        "see_rows": ("int16", (9, groups, f)),
        "out_rows": ("int16", (9, latents, raw)),
    }
    for g in range(groups):
        if g:
            tensors |= layer_tensors(f"see{g}", (f, g * group))
        tensors |= layer_tensors(f"mix{g}", (f, f))
        tensors |= layer_tensors(f"out{g}", (raw * min(group, latents - g * group), f))
    return tensors


def prove_prior(part: Part, model: Model) -> None:
    """14.3 and 14.5: the order is a permutation, and every sum stays in its exact range."""
    c, tensors = part.config, part.tensors
    latents = model.part("latent_decoder").config.get("latents")
    require(c["latents"] == latents, f"latent_prior: latents is {c['latents']}, not {latents}")
    order = sorted(tensors["order"].tolist())
    require(
        order == list(range(c["latents"])), "latent_prior: order does not name each latent once"
    )
    require(tensors["unit"].max() <= 15, "latent_prior: unit is over 15")
    see, out = part.added("see_rows"), part.added("out_rows")
    for g in range(-(-c["latents"] // c["group"])):
        if g:
            bound(part.layer(f"see{g}"), f"see{g}", 128, 24, see)
        bound(part.layer(f"mix{g}"), f"mix{g}", 255, 24)
        bound(part.layer(f"out{g}"), f"out{g}", 255, 24, out)


PARTS: dict[str, tuple[Callable[..., Any], Callable[[Part, Model], None]]] = {
    "latent_decoder": (latent_decoder_tensors, prove_latent_decoder),
    "pixel_fast": (pixel_tensors, prove_pixel_model),
    "pixel_small": (pixel_tensors, prove_pixel_model),
    "dequantizer": (dequantizer_tensors, prove_dequantizer),
    "latent_prior": (prior_tensors, prove_prior),
}


# ---------------------------------------------------------------- the whole file


def decode(data: bytes, models: Sequence[Model] = ()) -> Images:
    """All images of a file, (N, H, W, C)."""
    file = open_file(data)
    header = file.header
    nbytes = sum(entry[2] for entry in file.index) * math.prod(header.shape)
    require(nbytes <= MAX_DECODED_NBYTES, f"{nbytes} bytes of images", Limit)
    require(not set(PIXEL_MODELS) <= set(file.parts), "PART names two pixel models")  # 11.1
    chunks = [read_chunk(data, i, entry, header) for i, entry in enumerate(file.index)]
    for mode in {sub.mode for chunk in chunks for sub in chunk.subs}:
        check_parts(mode, file.parts)
    if not chunks:
        return np.empty((0, *header.shape), np.uint8)
    model = find_model(file, models)
    for tensor, flag in NEW.items():  # 10.7
        if any(tensor in part.tensors for part in model.parts.values()):
            require(
                header.flags & flag, f"a part has {tensor}, which required_flags does not announce"
            )
    if any("underlay" in part.tensors for part in model.parts.values()):  # 11.8
        require(
            {"latent_decoder", "latent_prior"} <= set(model.parts), "an underlay has no latents"
        )
    return np.concatenate([decode_chunk(each, header, model) for each in chunks])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status tells how a file was refused."""
    parser = argparse.ArgumentParser(description="Decode an .aez file to a NumPy array.")
    parser.add_argument("file")
    parser.add_argument(
        "--model", action="append", default=[], help="a model file; may be given several times"
    )
    parser.add_argument(
        "-o", "--output", help="the .npy file to write; the sha256 is printed in any case"
    )
    options = parser.parse_args(arguments)
    try:
        models = [read_model(read_bytes(path), path) for path in options.model]
        images = decode(read_bytes(options.file), models)
    except Refused as refusal:
        print(f"{options.file}: {type(refusal).__name__.lower()}: {refusal}", file=sys.stderr)
        return {Unsupported: 4, Limit: 4, Missing: 5}.get(type(refusal), 3)
    if options.output:
        np.save(options.output, images)
    print(f"{images.shape} sha256 {hashlib.sha256(images.tobytes()).hexdigest()}")
    return 0


def read_bytes(path: str) -> bytes:
    """All bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
