"""Targets that read files and payloads through the library, with limits of a few MiB."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import numpy as np

import aecodec
from aecodec.annotations.payload import column_length, unpack_column
from aecodec.archive.array import Archive
from aecodec.archive.repair import rewrite
from aecodec.codec.codec import Codec
from aecodec.container.scan import Scan
from aecodec.entropy import packed_symbols
from aecodec.errors import AezError
from aecodec.models.file import unpack_model
from fuzzing.common import CODEC, LIMITS, MODEL, Finding


def opened(data: bytes, *, embedded: bool = False) -> Archive:
    """A file opened with CODEC; with ``embedded``, by its own model, or by MODEL if it has none."""
    if embedded:
        return Archive(data, model=MODEL, limits=LIMITS)
    return Archive(data, codec=CODEC, limits=LIMITS)


def info(data: bytes) -> None:
    """Read the facts and annotations of a file, but no image."""
    with opened(data) as archive:
        found = archive.info, archive.names, archive.columns, archive.labels, archive.classes
        if found[0]["images"] != len(archive):
            raise Finding("info and length differ in the number of images")


def verify(data: bytes) -> None:
    """Check the structure and all checksums of a file, without decoding images."""
    aecodec.verify(data, limits=LIMITS)


def decode(data: bytes) -> None:
    """Decode all images, and some of them alone: the pixels must be the same."""
    embedded = b"MODL" in data
    with contextlib.suppress(AezError):
        out = io.BytesIO()
        done = aecodec.decompress(
            data, out, kind="npy", model=MODEL, skip_damaged=True, limits=LIMITS
        )
        if len(np.load(io.BytesIO(out.getvalue()))) != done.images:
            raise Finding(f"{done.images} images reported, another number written")
    with opened(data, embedded=embedded) as archive:
        archive.check_decoded(len(archive))
        images = archive[:]
        if images.shape != archive.shape:
            raise Finding(f"{images.shape} decoded of {archive.shape}")
        for i in {0, len(images) // 2, len(images) - 1} if len(images) else ():
            if not np.array_equal(archive[i], images[i]):
                raise Finding(f"image {i} alone differs from that among all")


def repair(data: bytes) -> None:
    """Repair the file: the result must open, and a sound file must keep all its images."""
    out = io.BytesIO()
    done = rewrite(Scan(io.BytesIO(data), "it", LIMITS), out)
    with opened(out.getvalue()) as archive:
        if len(archive) != done.images_kept:
            raise Finding(f"{len(archive)} images in the file, {done.images_kept} kept")
        for i in range(archive.reader.chunk_count):
            archive.reader.read_chunk(i)
    try:
        with opened(data) as archive:
            archive.check_sections()
            for i in range(archive.reader.chunk_count):
                archive.reader.read_chunk(i)
    except AezError:
        return
    if done.lost or done.images_kept != len(archive):
        raise Finding("images of a whole file are lost")


def model(data: bytes) -> None:
    """Read a model file and build its networks, which proves their sums exact."""
    found = unpack_model(data, max_model_nbytes=LIMITS.max_model_nbytes)
    Codec(found).networks.prove()


def symbols(data: bytes) -> None:
    """Unpack symbols under zstd (8.2): packed and unpacked again, they must be the same."""
    count, latents = (data[0] % 40 + 1, data[1] % 8 + 1) if len(data) > 1 else (1, 1)
    found = packed_symbols.unpack_symbols(data[2:], count, latents, "it")
    again = packed_symbols.unpack_symbols(
        packed_symbols.pack_symbols(found), count, latents, "again"
    )
    if not np.array_equal(found, again):
        raise Finding("symbols differ after packing")


def column(data: bytes) -> None:
    """Unpack a column of annotations: its length and its values must agree."""
    count = data[0] if data else 0
    found = unpack_column(data[1:], count, "it", ("max_column_nbytes", 1 << 16))
    if column_length(data[1:], "it") != count and count:
        raise Finding("a column of another length")
    if len(list(found.values)) != count:
        raise Finding("a value is missing")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "info": info,
    "verify": verify,
    "repair": repair,
    "decode": decode,
    "model": model,
    "symbols": symbols,
    "column": column,
}
