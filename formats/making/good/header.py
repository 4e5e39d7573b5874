"""Clauses 1 to 3 and 17: shapes, a file of no images, and fields of the header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from making.coding import by_bytes, chunk_of, file_of, noise, smooth
from making.vector import Vector

SMALL = (2, 3, 1)


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    yield "empty", Vector(file_of(SMALL, []), "2.3", "no images, no chunk")
    yield from _shapes()
    yield from _fields()


def _shapes() -> Iterator[tuple[str, Vector]]:
    two = file_of((3, 2, 2), [chunk_of([by_bytes(smooth(4, (3, 2, 2)))])])
    yield "stored-two-channels", Vector(two, "1.3", "two channels")
    four = file_of((1, 1, 4), [chunk_of([by_bytes(noise(9, (1, 1, 4)))])])
    yield "stored-four-channels", Vector(four, "1.3", "four channels")


def _file(**fields: int) -> bytes:
    """A file of five stored images with these fields in its header."""
    return file_of(SMALL, [chunk_of([by_bytes(smooth(5, SMALL))])], **fields)


TARGETS: Sequence[tuple[int, int, str]] = (
    (1, 1408, "a quality"),
    (2, 255, "a maximum error"),
    (3, 65535, "a PSNR"),
    (4, 4294967295, "bytes an image"),
    (200, 4294967295, "a kind that is unknown, told and not refused"),
)


def _fields() -> Iterator[tuple[str, Vector]]:
    for kind, value, about in TARGETS:
        data = _file(target_kind=kind, target_value=value)
        yield f"target-kind-{kind}", Vector(data, "3.5", f"what was asked for: {about}")
    data = _file(optional_flags=0xFFFFFFFF)
    yield "optional-flags", Vector(data, "1.4", "an unused field that is not 0")
    data = _file(version_minor=0)
    yield "minor-of-the-draft", Vector(data, "17.1", "version_minor 0, which was the draft's")
    data = _file(version_minor=65535)
    yield "minor-from-the-future", Vector(data, "3.4", "any version_minor is read")
