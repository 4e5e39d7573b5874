"""Open a damaged file for what is whole in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, BinaryIO

from aecodec.archive.array import Archive
from aecodec.archive.repair import Range, Repair, ranges, rewrite
from aecodec.archive.source import Source, open_source
from aecodec.container.scan import Scan
from aecodec.errors import AezCorruptError
from aecodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from aecodec.archive.parts import GivenModel


@dataclass(frozen=True)
class Salvage:
    """An archive of what is whole in a damaged file.

    ``spans`` are its images that decode: (first, last + 1, position of the first one in the damaged
    file). ``lost`` are [first, last + 1] positions in the damaged file's images. ``repair`` is what
    the container lost, None if that was whole.
    """

    archive: Archive
    spans: list[tuple[int, int, int]]
    lost: list[Range]
    repair: Repair | None


@contextmanager
def salvaged(
    source: Source,
    *,
    model: GivenModel = None,
    device: str = "cpu",
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Salvage]:
    """Open a file that may be damaged, for what is whole in it; every chunk is decoded to see.

    A file whose records are not all whole is repaired into a temporary file first. Raises what
    ``repair`` raises, and what keeps every chunk from being decoded, such as a missing model.
    """
    file, name, owned = open_source(source, limits)
    options: dict[str, Any] = {"model": model, "device": device, "limits": limits}
    try:
        done: Repair | None = None
        with tempfile.TemporaryFile() as copy:
            if not _is_whole(file, options):
                done = rewrite(Scan(file, name, limits), copy)
            with Archive(file if done is None else copy, **options) as archive:
                archive.name = archive.reader.name = name
                yield _salvage(archive, done)
    finally:
        if owned:
            file.close()


def _is_whole(file: BinaryIO, options: dict[str, Any]) -> bool:
    try:
        with Archive(file, **options) as archive:
            archive.check_sections()
            for i in range(archive.reader.chunk_count):
                archive.reader.read_chunk(i)
    except AezCorruptError:
        return False
    return True


def _salvage(archive: Archive, done: Repair | None) -> Salvage:
    """Which of an archive's images decode, and where they were in the damaged file."""
    size = archive.reader.header.chunk_images
    spans: list[tuple[int, int, int]] = []
    for number, at in zip(range(archive.reader.chunk_count), _old_starts(done, size), strict=False):
        start = number * size
        stop = min(len(archive), start + size)
        try:
            for opened in archive.open_chunks([number]):
                opened.all()
        except AezCorruptError:
            continue
        _join(spans, (start, stop, at))
    total = len(archive)
    if done is not None:
        total = max([done.images or 0, *(end for _, end in [*done.kept, *done.lost])])
    _, lost = ranges([(at, at + stop - start) for start, stop, at in spans], total)
    return Salvage(archive, spans, lost, done)


def _old_starts(done: Repair | None, chunk_images: int) -> Iterator[int]:
    """Where the first image of each chunk was, before any damage."""
    if done is None:
        yield from count(0, chunk_images)
    else:
        for at, end in done.kept:
            yield from range(at, end, chunk_images)


def _join(spans: list[tuple[int, int, int]], span: tuple[int, int, int]) -> None:
    """Append a span, or let it continue the last one."""
    if spans:
        start, stop, at = spans[-1]
        if (stop, at + stop - start) == (span[0], span[2]):
            spans[-1] = (start, span[1], at)
            return
    spans.append(span)
