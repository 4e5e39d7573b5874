"""Check a file: its checksums, its pixels, and the errors it states against the originals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from aecodec.archive.array import Archive
from aecodec.archive.damage import pointing_to_repair
from aecodec.archive.options import Progress, no_progress
from aecodec.archive.source import Source
from aecodec.arguments import FUNCTION, LIMITS, MODEL, SOURCE, checked
from aecodec.arrays import Images
from aecodec.codec.choosing import ModelLike
from aecodec.errors import AezCorruptError
from aecodec.images import open_images
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.measures import metrics


@checked(source=SOURCE, model=MODEL.or_none(), limits=LIMITS, progress=FUNCTION)
def verify(
    source: Source,
    *,
    full: bool = False,
    against: str | os.PathLike[str] | BinaryIO | Images | None = None,
    model: ModelLike = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> int:
    """Check every checksum; with ``full`` decode everything and compare the pixel hashes.

    ``against`` is the original set: every chunk's errors are computed again and must be those that
    the file states. Returns the number of images; raises an AezError that says what is wrong.
    """
    with Archive(source, model=model, limits=limits) as archive:
        archive.check_sections()
        done = 0
        if against is not None:
            for done in _compare(archive, against):
                progress(done, len(archive))
            return len(archive)
        batches = archive.batches() if full else None
        for i in range(archive.reader.chunk_count):
            with pointing_to_repair():
                count = len(next(batches)) if batches else archive.reader.read_chunk(i).image_count
            done += count
            progress(done, len(archive))
        return len(archive)


def _compare(
    archive: Archive, original: str | os.PathLike[str] | BinaryIO | Images
) -> Iterator[int]:
    """Images compared so far, chunk by chunk; AezCorruptError where errors are not as stated."""
    with open_images(original) as opened:
        if opened.shape != archive.image_shape:
            raise ValueError(
                f"{archive.name}: its images are {archive.image_shape}, those to compare with "
                f"are {opened.shape}"
            )
        done = 0
        originals = opened.batches(archive.reader.header.chunk_images)
        for i, decoded in enumerate(archive.batches()):
            x = next(originals, decoded[:0])
            if len(x) != len(decoded):
                break
            head = archive.reader.read_chunk_head(i)
            found = (
                int(metrics.max_error(x, decoded).max()),
                int(metrics.squared_error(x, decoded).sum()),
            )
            stated = (head.max_error, head.sum_squared_error)
            if found != stated:
                raise AezCorruptError(
                    f"{archive.name}: chunk {i}: against the original its max error and sum of "
                    f"squared errors are {found}, the file states {stated}"
                )
            done += len(decoded)
            yield done
        if done < len(archive) or next(originals, None) is not None:
            raise ValueError(
                f"{archive.name}: {len(archive)} images, the set to compare with has another number"
            )
