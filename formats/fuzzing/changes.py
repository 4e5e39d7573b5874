"""Changes of bytes that know nothing of the format: flips, numbers, cuts, repeats and splices."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 257, 4096, 65535, 65536)
NUMBERS += (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)

Change = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def changed(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """``data`` after one or more random changes; a splice copies bytes of ``others``."""
    out = bytearray(data)
    for _ in range(1 + int(rng.expovariate(1.2))):
        rng.choice(_CHANGES)(out, rng, others)
    return bytes(out)


def _place(out: bytearray, rng: random.Random, room: int = 1) -> int:
    return rng.randrange(max(1, len(out) - room + 1))


def flip_bit(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """Flip one bit; ``others`` is not used."""
    del others
    if out:
        out[_place(out, rng)] ^= 1 << rng.randrange(8)


def set_byte(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """Replace one byte; ``others`` is not used."""
    del others
    if out:
        out[_place(out, rng)] = rng.randrange(256)


def set_number(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """Write one of NUMBERS, or add -1 or 1 to a number of 1, 2, 4 or 8 bytes."""
    del others
    nbytes = rng.choice((1, 2, 4, 8))
    if len(out) >= nbytes:
        at = _place(out, rng, nbytes)
        value = rng.choice(NUMBERS) % (1 << 8 * nbytes)
        if rng.random() < 0.5:
            value = (int.from_bytes(out[at : at + nbytes], "little") + rng.choice((-1, 1))) % (
                1 << 8 * nbytes
            )
        out[at : at + nbytes] = value.to_bytes(nbytes, "little")


def _cut(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    at = _place(out, rng)
    del out[at : at + 1 + int(rng.expovariate(0.1))]


def _truncate(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    del out[_place(out, rng) :]


def _repeat(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    at = _place(out, rng)
    piece = out[at : at + 1 + int(rng.expovariate(0.05))]
    out[at:at] = piece * rng.choice((1, 1, 1, 2, 16))


def _splice(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    start = rng.randrange(max(1, len(other)))
    piece = other[start : start + 1 + int(rng.expovariate(0.02))]
    at = _place(out, rng)
    out[at : at + rng.choice((0, len(piece)))] = piece


_CHANGES: tuple[Change, ...] = (
    flip_bit,
    set_byte,
    set_byte,
    set_number,
    set_number,
    _cut,
    _truncate,
    _repeat,
    _splice,
)
