"""What a kind of hostile file is, and what its files are made with."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from making import assemble, coding
from making.assemble import ZSTD, Chunk, File, Sub

MANY = {"grows": True, "many": True}
PLAIN, MNIST = "plain", "mnist"  # what decoding such a file loads: no model, or the bundled one


class Kind(NamedTuple):
    """How a file of a size is made, and what is measured of it.

    ``size`` is the largest that is measured; what it counts, ``about`` says. ``grows`` is whether
    time is compared over sizes. ``loads`` says beside which sound file memory is measured, and
    ``suffix`` which commands are for such a file. ``keeps_all`` is whether every image can be had
    by ``repair`` and by ``decompress``: then they must end with 0, or 6 for what was left out.
    ``many`` is for files of very many images, which take minutes as a folder of pictures.
    """

    name: str
    about: str
    make: Callable[[int], bytes]
    size: int = 1
    grows: bool = False
    loads: str = PLAIN
    suffix: str = ".aez"
    keeps_all: bool = False
    many: bool = False


def stored_images(count: int, side: int = 2) -> Chunk:
    """A chunk of so many small gray images that differ, stored as they are."""
    nbytes = count * side * side
    pixels = bytes(i * 37 % 251 for i in range(min(nbytes, 1 << 16)))
    return assemble.stored((pixels * (nbytes // max(1, len(pixels)) + 1))[:nbytes], count)


def file_with(
    sections: Sequence[bytes], count: int = 4, *, lost: int = 0, chunk_images: int = 0
) -> bytes:
    """A file of stored 2x2 images with these sections.

    ``lost`` chunks of it have a payload whose checksum is wrong, so that ``repair`` cuts sections.
    """
    each = chunk_images or count
    chunks = [stored_images(each) for _ in range(0, count, each)]
    for chunk in chunks[:lost]:
        chunk.changes = {"payload_crc32": 1}
    head = assemble.header(height=2, width=2, chunk_images=each)
    return File(head, chunks, sections).pack()


def zeros_chunk(count: int, side: int = 1) -> Chunk:
    """A chunk of so many black images under zstd, in next to no bytes."""
    nbytes = count * side * side
    digest = hashlib.sha256()
    for at in range(0, nbytes, 1 << 20):
        digest.update(bytes(min(1 << 20, nbytes - at)))
    sub = Sub(assemble.zstd_zeros(nbytes), coding.PACKED)
    return Chunk(count, [sub], b"", changes={"pixels_sha256": digest.digest()})


def zeros_file(
    count: int, side: int = 1, sections: Sequence[bytes] = (), *, chunks: int = 1
) -> bytes:
    """A sound file of ``chunks`` times ``count`` black images with these sections."""
    head = assemble.header(height=side, width=side, required_flags=ZSTD, chunk_images=count)
    return File(head, [zeros_chunk(count, side)] * chunks, sections).pack()


def packed_section(kind: str, content: bytes) -> bytes:
    """A section whose payload is under zlib."""
    return assemble.section(kind, zlib.compress(content, 9))


def sound_file(loads: str = PLAIN) -> bytes:
    """A small sound file: beside it, memory is measured."""
    import aecodec

    if loads == PLAIN:
        columns = {"kind": ["a", "b"] * 20, "size": list(range(40))}
        return aecodec.encode(
            coding.smooth(40, (8, 8, 1)),
            model="none",
            labels=[i % 2 for i in range(40)],
            columns=columns,
        )
    return aecodec.encode(coding.smooth(40, (28, 28, 1)), model=loads, quality=5, coder="ans")
