"""Chunks of many images in few bytes, of large images, and many chunks of few."""

from __future__ import annotations

import zlib

import numpy as np

from making import assemble, coding
from making.assemble import LATENTS, ZSTD, Chunk, File, Sub
from making.hostile.kind import MANY, MNIST, Kind, stored_images, zeros_chunk, zeros_file

MAXIMUM = 2**32 - 1


def many_images(size: int) -> bytes:
    """Four chunks of so many images of one pixel in all."""
    return zeros_file(size // 4, 1, chunks=4)


def small_chunks(size: int) -> bytes:
    """So many sound chunks of one image each."""
    head = assemble.header(height=2, width=2, chunk_images=1)
    return File(head, [stored_images(1)] * size).pack()


def small_chunks_lost(size: int) -> bytes:
    """So many chunks of one image each; every second one is damaged."""
    head = assemble.header(height=2, width=2, chunk_images=1)
    lost = assemble.stored(bytes(4), 1, changes={"payload_crc32": 1})
    return File(head, [stored_images(1), lost] * (size // 2)).pack()


def one_image(size: int) -> bytes:
    """A sound file of one black image of so many rows and columns."""
    return zeros_file(1, size)


def large_image(size: int) -> bytes:
    """What the writer makes of one image of noise of so many rows and columns."""
    import aecodec

    images = np.random.default_rng(0).integers(0, 256, (1, size, size), np.uint8)
    return aecodec.encode(images, model="none")


def large_chunks(size: int) -> bytes:
    """What the writer makes of so many small images when it is told to use one chunk."""
    import aecodec

    images = np.random.default_rng(0).integers(0, 256, (size, 8, 8), np.uint8)
    return aecodec.encode(images, model="none", chunk_images=size)


def declared(images: int, side: int) -> bytes:
    """A file that says it holds so many images, without a byte of theirs."""
    head = assemble.header(height=side, width=side, chunk_images=images)
    return File(head, [Chunk(images, [Sub(b"")], b"")]).pack()


def many_declared(size: int) -> bytes:
    """So many chunks that say they hold 2^32 - 1 images each."""
    head = assemble.header(height=1, width=1, chunk_images=MAXIMUM)
    return File(head, [Chunk(MAXIMUM, [Sub(b"")], b"")] * size).pack()


def alternating_runs(size: int) -> bytes:
    """A sound chunk of so many images, in turn from one sub-payload and the other."""
    pixels = bytes(size)
    subs = [Sub(bytes(size // 2)), Sub(assemble.zstd_zeros(size // 2), coding.PACKED)]
    runs = [(i % 2, 1) for i in range(size)]
    head = assemble.header(height=1, width=1, required_flags=ZSTD, chunk_images=size)
    return File(head, [Chunk(size, subs, pixels, runs)]).pack()


def forged_counts(size: int) -> bytes:
    """Chunk heads of so many images each without payloads; the first is lost (for ``repair``)."""
    head = assemble.header(height=1, width=1, chunk_images=size)
    names = assemble.section("NAME", zlib.compress(b"[]"))
    packed = [Chunk(size, [Sub(b"")], b"").pack(ordinal) for ordinal in range(1, 10)]
    return head + names + b"".join(packed)


def constant_latents(size: int) -> bytes:
    """So many images whose latents are all the same, so that they take no bytes."""
    import aecodec

    model = aecodec.load_model("mnist")
    latents = int(model.parts["latent_decoder"].config["latents"])
    table = bytes(2 * latents)
    frame = assemble.zstd_frame(table)
    payload = assemble.leb128(len(table)) + assemble.leb128(len(frame)) + frame
    prints = [(b"latent_decoder", model.fingerprints()["latent_decoder"])]
    flags = LATENTS | ZSTD | model.required_flags(["latent_decoder"])
    head = assemble.header(height=28, width=28, required_flags=flags, chunk_images=size)
    chunk = Chunk(size, [Sub(payload, coding.LATENTS_ZSTD, 1280)], b"")
    return File(head, [chunk], part=assemble.part_payload(prints, b"mnist")).pack()


def zstd_windows(size: int) -> bytes:
    """So many chunks under zstd that ask for its largest window."""
    pixels = bytes(4)
    frame = assemble.zstd_zeros(4, b"\0\x68")
    head = assemble.header(height=2, width=2, required_flags=ZSTD, chunk_images=1)
    return File(head, [Chunk(1, [Sub(frame, coding.PACKED)], pixels)] * size).pack()


def unpacks_to_more(size: int) -> bytes:
    """A chunk of four images whose zstd frame holds so many bytes."""
    head = assemble.header(height=2, width=2, required_flags=ZSTD, chunk_images=4)
    frame = assemble.zstd_zeros(size)
    return File(head, [Chunk(4, [Sub(frame, coding.PACKED)], bytes(16))]).pack()


def cut(size: int) -> bytes:
    """A file of so many images without its last third: no index, no footer."""
    head = assemble.header(height=1, width=1, required_flags=ZSTD, chunk_images=size)
    data = File(head, [zeros_chunk(size)] * 3).pack()
    return data[: len(data) * 2 // 3]


KINDS = [
    Kind("images of one pixel", "so many", many_images, 10_000_000, **MANY),
    Kind("chunks of an image", "so many chunks", small_chunks, 20_000, grows=True, keeps_all=True),
    Kind("chunks, every second lost", "so many chunks", small_chunks_lost, 20_000, grows=True),
    Kind("one black image", "of so many rows", one_image, 5600, grows=True),
    Kind("one image of noise", "of so many rows", large_image, 6000),
    Kind("one chunk as told", "of so many images", large_chunks, 45_000, many=True),
    Kind("declared images", "so many of 1x1", lambda size: declared(size, 1), MAXIMUM),
    Kind("declared sides", "of so many rows", lambda size: declared(1, size), 65_535),
    Kind("declared images in chunks", "so many chunks", many_declared, 20_000, grows=True),
    Kind("runs", "so many", alternating_runs, 1_600_000, **MANY),
    Kind(
        "heads without payloads",
        "of so many images each",
        forged_counts,
        2_580_000,
        grows=True,
        many=True,
    ),
    Kind("constant latents", "of so many images", constant_latents, 40_000, many=True, loads=MNIST),
    Kind("zstd windows", "so many", zstd_windows, 4000, grows=True, keeps_all=True),
    Kind("zstd of more", "so many bytes", unpacks_to_more, 1 << 30),
    Kind("a cut file", "of so many images", cut, 2_400_000, **MANY),
]
