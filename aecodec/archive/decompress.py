"""Files to image sets, bytes to arrays. Memory is bounded by the chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aecodec.annotations.column import Column
from aecodec.archive.array import Archive
from aecodec.archive.damage import pointing_to_repair
from aecodec.archive.options import Progress, no_progress
from aecodec.archive.outputs import (
    HOLDING_ANNOTATIONS,
    kind_and_target,
    labels_target,
    left_out,
)
from aecodec.archive.ranges import asked_for
from aecodec.archive.repair import Repair
from aecodec.archive.salvage import Salvage, salvaged
from aecodec.archive.source import Source
from aecodec.arguments import (
    CODEC,
    FUNCTION,
    LIMITS,
    MODEL,
    PATH,
    SLICE,
    SOURCE,
    TARGET,
    TEXT,
    checked,
)
from aecodec.arrays import Images
from aecodec.codec.choosing import ModelLike
from aecodec.codec.codec import Codec
from aecodec.images import idx_labels, open_sink
from aecodec.images.folders import FolderSink
from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed
from aecodec.io.directories import refuse_other_entries
from aecodec.io.special import is_special, open_special
from aecodec.limits import DEFAULT_LIMITS, Limits


@checked(blob=SOURCE, model=MODEL.or_none(), codec=CODEC.or_none(), limits=LIMITS)
def decode(
    blob: bytes,
    *,
    model: ModelLike = None,
    codec: Codec | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Images:
    """All images of an ``.aez``: uint8 (N, H, W), or (N, H, W, C) if they had a channel axis."""
    with Archive(blob, model=model, codec=codec, limits=limits) as archive:
        return archive[:]


@dataclass(frozen=True)
class Unpacked:
    """What a decompression wrote, what it left out, and what damage kept from being written.

    ``output`` is the path, None for a file object. ``left_out`` says, in words for people, which
    annotations a set of this ``kind`` cannot hold, and ``notes`` what has another name in it: no
    file can have its own on some system, or another image has the same. ``lost`` are [first,
    last + 1] positions of images that were asked for and are not there. ``repair`` is what else
    the container lost, None if it was whole.
    """

    output: Path | None
    kind: str
    images: int
    left_out: list[str]
    lost: list[list[int]]
    repair: Repair | None = None
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return not self.lost and (self.repair is None or self.repair.whole)


@checked(
    source=SOURCE,
    target=TARGET.or_none(),
    kind=TEXT.or_none(),
    images=SLICE,
    model=MODEL.or_none(),
    device=TEXT,
    labels=PATH.or_none(),
    limits=LIMITS,
    progress=FUNCTION,
)
def decompress(
    source: Source,
    target: str | os.PathLike[str] | BinaryIO | None = None,
    *,
    kind: str | None = None,
    images: slice = slice(None),
    model: ModelLike = None,
    device: str = "cpu",
    labels: str | os.PathLike[str] | None = None,
    skip_damaged: bool = False,
    exact_range: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    progress: Progress = no_progress,
) -> Unpacked:
    """Write the images of an ``.aez`` as a set: "idx", "idx.gz", "npy", "npz" or "folder".

    Without ``kind``, the target's ending decides it (ValueError for one that names no kind), or
    without an ending the kind of set that the images came from; a file object or a pipe gets .npy
    in place of a folder. Without a target, the set is written under the name of the source, a path
    or URL, without its .aez.

    ``images`` picks a range, step 1, which is cut at the end of the file as Python's slices are;
    with ``exact_range`` it must lie in the file and hold an image. Chunks that are written whole
    are checked against the hash of their pixels. Labels go where the kind keeps them: into an .npz
    or a folder, or into a second file beside an IDX file (``labels``; by default its name with
    "labels" for "images"). The result says which annotations had to be left out.

    An existing output is replaced with ``force``: a file, or a folder that holds nothing but names
    that are written again (FileExistsError names the others). An empty folder is filled. No output
    may be the source, or another output (ValueError). A file takes the permissions and the time of
    a source that is a file.

    ``skip_damaged`` writes what is whole of a cut or damaged file, with its names and labels, and
    the result says what is lost. Without it, damage raises AezCorruptError and nothing is written.
    """
    opened = salvaged if skip_damaged else _undamaged
    with opened(source, model=model, device=device, limits=limits) as found, ExitStack() as stack:
        archive = found.archive
        kind, target = kind_and_target(source, archive, kind, target)
        spans, lost = asked_for(found, images, exact=exact_range)
        image_count = sum(stop - start for start, stop in spans)
        archive.check_decoded(image_count)
        archive.check_chunk_memory()  # before millions of names are made
        place_of_labels = labels_target(archive, kind, target, labels)
        outputs = [target if isinstance(target, Path) else None, place_of_labels]
        stack.enter_context(claimed(inputs=[source], models=[model], outputs=outputs))
        options = _sink_options(archive, kind, spans)
        like = source if isinstance(source, str | os.PathLike) else None
        if place_of_labels is not None:
            beside = stack.enter_context(atomic_path(place_of_labels, force=force, like=like))
            column = _labels(archive, spans)
            beside.write_bytes(idx_labels(column, compress=kind == "idx.gz"))
        written = _opened(stack, target, kind, force=force, like=like)
        sink = stack.enter_context(open_sink(written, kind, archive.image_shape, **options))
        if isinstance(sink, FolderSink) and isinstance(target, Path):
            _refuse_others(target, written, sink)
        for batch in _batches(archive, spans, progress):
            sink.write(batch)
        return Unpacked(
            output=target if isinstance(target, Path) else None,
            kind=kind,
            images=image_count,
            left_out=[
                *left_out(archive, kind, labels_are_written=place_of_labels is not None),
                *sink.left_out,
            ],
            lost=lost,
            repair=found.repair,
            notes=sink.notes,
        )


def _labels(archive: Archive, spans: Sequence[tuple[int, int]]) -> Column:
    column = archive.sections.label_column
    if column is None:
        raise ValueError(f"{archive.name}: has no labels")
    return column.take_spans(spans)


def _refuse_others(target: Path, written: object, sink: FolderSink) -> None:
    """FileExistsError for what would be deleted, told before all the work."""
    is_inside = isinstance(written, Path) and written.parent == Path(os.path.realpath(target))
    if not is_inside:  # of a folder that was empty
        refuse_other_entries(target, sink.writes)


def _opened(
    stack: ExitStack,
    target: Path | BinaryIO,
    kind: str,
    *,
    force: bool,
    like: str | os.PathLike[str] | None,
) -> Path | BinaryIO:
    """Where a sink writes; a path appears whole or not at all, if it is no pipe."""
    if not isinstance(target, Path):
        return target
    directory = kind == "folder"
    if is_special(target) and not directory:
        return stack.enter_context(open_special(target))
    return stack.enter_context(atomic_path(target, force=force, directory=directory, like=like))


def _sink_options(archive: Archive, kind: str, spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What a set is opened for writing with: names and annotations, where the kind holds them."""
    options: dict[str, Any] = {
        "has_channel_axis": archive.has_channel_axis,
        "image_count": sum(stop - start for start, stop in spans),
    }
    if kind in HOLDING_ANNOTATIONS:
        options["names"] = archive.sections.names_of(spans)
        options["annotations"] = archive.sections.annotations_of(spans)
    return options


@contextmanager
def _undamaged(
    source: Source, *, model: ModelLike, device: str, limits: Limits
) -> Iterator[Salvage]:
    """The archive as it is, with all of its images."""
    options: dict[str, Any] = {"model": model, "device": device, "limits": limits}
    with pointing_to_repair(), Archive(source, **options) as archive:
        yield Salvage(archive, [(0, len(archive), 0)], [], None)


def _batches(
    archive: Archive, spans: Sequence[tuple[int, int]], progress: Progress
) -> Iterator[Images]:
    """The images of these spans as (n, H, W, C), a chunk at a time."""
    total = sum(stop - start for start, stop in spans)
    done = 0
    for batch in _whole_or_cut(archive, spans):
        yield batch
        done += len(batch)
        progress(done, total)


def _whole_or_cut(archive: Archive, spans: Sequence[tuple[int, int]]) -> Iterator[Images]:
    size = archive.reader.header.chunk_images
    for start, stop in spans:
        if (start, stop) == (0, len(archive)):
            yield from archive.batches()
            continue
        for at in range(start - start % size, stop, size):
            chosen = np.arange(max(start, at), min(stop, at + size))
            yield archive.take(chosen)
