"""Changes that make much of little: many records, overlapping heads, columns of many values."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

BIG = 1 / 400  # of the inputs are made large
BIG_NBYTES = 1 << 18


def grown(
    data: bytes,
    records: Sequence[tuple[int, int]],
    mend: Callable[[bytes], bytes],
    rng: random.Random,
) -> bytes:
    """A large input: one record very often, markers, or forged heads behind a part of a file."""
    nbytes = rng.choice((1 << 15, 1 << 16, BIG_NBYTES))
    drawn = rng.random()
    if drawn < 0.4 and records:
        begin, end = rng.choice(records)
        count = max(1, min(4000, nbytes // (end - begin)))
        pieces = [data[a:b] for a, b in records]
        pieces += [data[begin:end]] * count
        return mend(data[:48] + b"".join(renumbered(pieces)))
    keep = data[: rng.choice([48, *(end for _, end in records)])]
    if rng.random() < 0.3:
        keep = bytes(len(keep))  # no header: a copy of it is looked for
    if drawn < 0.6:
        return keep + rng.choice((b"\x89CHK", b"\x89SEC", b"\x89", b"\x89CHK\x89SEC")) * (
            nbytes // 8
        )
    if drawn < 0.8:
        kind = rng.choice((b"XXXX", b"INDX", b"HEAD", b"NAME", b"COLM", b"META"))
        return keep + _frames(kind, nbytes)
    return keep + _heads(data[32:36], nbytes) + data[48:]


def _frames(kind: bytes, nbytes: int) -> bytes:
    """Frames of sections, each of which says that its payload is the rest."""
    count = nbytes // 28
    out = bytearray()
    for i in range(count):
        frame = b"\x89SEC" + kind + struct.pack("<IQI", 0, (count - i - 1) * 28, 1)
        out += frame + struct.pack("<I", zlib.crc32(frame))
    return bytes(out)


def _heads(chunk_images: bytes, nbytes: int) -> bytes:
    """Heads of stored chunks with their tables, each of which says that its payload is the rest."""
    count = nbytes // 88
    out = bytearray()
    for i in range(count):
        rest = (count - i - 1) * 88
        table = struct.pack("<BBHI", 1, 0, 0, rest)
        head = b"\x89CHK" + struct.pack("<I", i) + chunk_images + struct.pack("<IQQ", 8, rest, 0)
        head += bytes(32) + struct.pack("<II4x", zlib.crc32(table), 1)
        out += head + struct.pack("<I", zlib.crc32(head)) + table
    return bytes(out)


def renumbered(pieces: Sequence[bytes]) -> list[bytes]:
    """The records with the ordinals of chunks counted anew."""
    out, ordinal = [], 0
    for piece in pieces:
        if piece[:4] == b"\x89CHK":
            piece = piece[:4] + struct.pack("<I", ordinal) + piece[8:]
            ordinal += 1
        out.append(piece)
    return out


def changed_column(payload: bytes, rng: random.Random) -> bytes:
    """The payload of a COLM (16.3) with another dtype, count or name, or many values."""
    if len(payload) < 11:
        return payload
    dtype, count, nbytes, length = struct.unpack_from("<BIIB", payload)
    name, packed = payload[10 : 10 + length], payload[10 + length :]
    drawn = rng.random()
    if drawn < 0.3:
        dtype = rng.randrange(14)
    elif drawn < 0.5:
        count = rng.choice((0, 1, count + 1, 256, 257, 65537, 2**32 - 1))
    elif drawn < 0.7:
        odd = (b"", b"file_name", b"a/b", b"../x", b"\xff", b"x" * 255, b"images", b"<b>", b"a\0")
        name = rng.choice(odd)
    elif drawn < 0.85:
        packed = zlib.compress(bytes(rng.choice((0, 1, 1000, 1 << 20, 1 << 22))), 9)
    else:  # many texts, all of them short
        count = rng.choice((2, 300, 70_000))
        texts = b"".join(struct.pack("<H", 5) + b"%05x" % i for i in range(count))
        dtype, nbytes = 0, len(texts)
        packed = zlib.compress(texts + bytes(count), 1)
    return struct.pack("<BIIB", dtype, count, nbytes, len(name)) + name + packed
