"""Whole sets at once: arrays <-> bytes, image sets <-> files. Memory is bounded by the chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.annotations.annotations import ABOUT
from aecodec.archive.array import Archive
from aecodec.archive.options import Progress, no_progress
from aecodec.archive.repair import Repair
from aecodec.archive.salvage import Salvage, salvaged
from aecodec.archive.source import Source, keep_source
from aecodec.arrays import Images
from aecodec.codec.choosing import ModelLike
from aecodec.codec.codec import Codec
from aecodec.images import ImageSetError, idx_labels, labels_path, open_sink
from aecodec.io.atomic import atomic_path
from aecodec.io.remote import is_url, local_name
from aecodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from aecodec.annotations.column import Column


# ---------------------------------------------------------------- arrays and bytes


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


# ---------------------------------------------------------------- files


@dataclass(frozen=True)
class Unpacked:
    """What a decompression wrote, what it left out, and what damage kept from being written.

    ``output`` is the path, None for a file object; ``left_out`` tells, as words for people, which
    annotations a set of this ``kind`` cannot hold. ``lost`` are [first, last + 1] positions of images
    asked for that are not there; ``repair`` tells what else the container lost, None if it was whole.
    """

    output: Path | None
    kind: str
    images: int
    left_out: list[str]
    lost: list[list[int]]
    repair: Repair | None = None

    @property
    def whole(self) -> bool:
        return not self.lost and (self.repair is None or self.repair.whole)


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
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    progress: Progress = no_progress,
) -> Unpacked:
    """Write the images of an ``.aez`` as a set of a kind: "idx", "idx.gz", "npy", "npz" or "folder".

    Unless told, ``kind`` is what the target's name asks for, else what the images came from (for a
    file object never a folder, but .npy). Without a target the set is written where the name of the
    source, a path or URL, tells, without its .aez. ``images`` picks a range, step 1. Chunks taken whole are checked against their pixel hashes.
    Labels go where the kind keeps them: into an .npz, a folder, a second file beside an IDX file
    (``labels``; by default its name with "labels" for "images"). What cannot be kept is left out,
    and told.

    ``skip_damaged`` writes what is whole of a cut or damaged file, names and labels with their
    images, and tells the rest; without it damage raises AezCorruptError and nothing is written.
    """
    opened = salvaged if skip_damaged else _undamaged
    with opened(source, model=model, device=device, limits=limits) as found:
        archive = found.archive
        kind, target = _kind_and_target(source, archive, kind, target)
        spans, lost = _asked_for(found, images)
        image_count = sum(stop - start for start, stop in spans)
        archive.check_decoded(image_count)
        indices = [i for start, stop in spans for i in range(start, stop)]
        names = archive.names
        options: dict[str, Any] = {
            "has_channel_axis": archive.has_channel_axis,
            "image_count": image_count,
            "names": [names[i] for i in indices] if names else None,
            "annotations": archive.annotations.take(indices),
        }
        place = (kind, archive.image_shape)
        with ExitStack() as stack:
            place_of_labels = _labels_target(archive, kind, target, labels)
            if place_of_labels is not None:
                beside = stack.enter_context(atomic_path(place_of_labels, force=force))
                column = options["annotations"].labels
                beside.write_bytes(idx_labels(column, compress=kind == "idx.gz"))
            written: Path | BinaryIO = target
            if isinstance(target, Path):
                keep_source(source, target)
                directory = kind == "folder"
                written = stack.enter_context(atomic_path(target, force=force, directory=directory))
            sink = stack.enter_context(open_sink(written, *place, **options))
            for batch in _batches(archive, spans, progress):
                sink.write(batch)
        return Unpacked(
            output=target if isinstance(target, Path) else None,
            kind=kind,
            images=image_count,
            left_out=_left_out(archive, kind, labels_are_written=place_of_labels is not None),
            lost=lost,
            repair=found.repair,
        )


def _kind_and_target(
    source: Source,
    archive: Archive,
    kind: str | None,
    target: str | os.PathLike[str] | BinaryIO | None,
) -> tuple[str, Path | BinaryIO]:
    """What is written and where, with what was not asked for told by names and the archive."""
    came_from = archive.metadata.get("source")
    usual = came_from if came_from in ("idx", "idx.gz", "npz", "folder") else "npy"
    if target is None:
        if not isinstance(source, str | os.PathLike):
            raise TypeError("without a target the source must be a path or URL, to name the output")
        kind = kind or usual
        return kind, default_output(os.fspath(source), kind)
    if isinstance(target, str | os.PathLike):
        target = Path(target)
        return kind or _kind_by_name(target.name) or usual, target
    return kind or ("npy" if usual == "folder" else usual), target


def _kind_by_name(name: str) -> str | None:
    """The kind that an output's suffix asks for, if any."""
    if name.endswith((".npy", ".npz")):
        return name[-3:]
    if name.endswith(".gz"):
        return "idx.gz"
    return "idx" if name.endswith(("-ubyte", ".idx")) else None


@contextmanager
def _undamaged(source: Source, **options: Any) -> Iterator[Salvage]:  # noqa: ANN401
    """The archive as it is, all of its images."""
    with Archive(source, **options) as archive:
        yield Salvage(archive, [(0, len(archive), 0)], [], None)


def _asked_for(found: Salvage, images: slice) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """(first, last + 1) of the archive's images to write, and which of those asked for are lost.

    ``images`` counts in the file as it was before any damage.
    """
    ends = [at + stop - start for start, stop, at in found.spans] + [end for _, end in found.lost]
    total = max([len(found.archive), *ends])
    first, last, step = images.indices(total)
    if step != 1:
        raise ValueError(f"images: step is {step}, expected 1")
    last = max(first, last)
    if total and images.start is not None and images.start >= total:
        raise ValueError(f"images: the first is {images.start}, the file holds {total}")
    spans: list[tuple[int, int]] = []
    for start, stop, at in found.spans:
        begin, end = max(first, at) - at + start, min(last - at + start, stop)
        if begin < end:
            spans.append((begin, end))
    lost = [[max(first, at), min(last, end)] for at, end in found.lost]
    return spans, [span for span in lost if span[0] < span[1]]


def _labels_target(
    archive: Archive, kind: str, target: object, wanted: str | os.PathLike[str] | None
) -> str | os.PathLike[str] | None:
    """Where labels go that the set itself cannot hold; None for nowhere."""
    column = archive.annotations.labels
    if wanted is not None:
        if column is None:
            raise ValueError(f"{archive.name}: has no labels to write to {os.fspath(wanted)}")
        return wanted
    beside = kind in ("idx", "idx.gz") and isinstance(target, str | os.PathLike)
    if column is None or not beside or not _fits_idx(column):
        return None
    return labels_path(target)  # type: ignore[arg-type]


def _fits_idx(column: Column) -> bool:
    try:
        idx_labels(column)
    except ImageSetError:
        return False
    return True


def _left_out(archive: Archive, kind: str, *, labels_are_written: bool) -> list[str]:
    """Of a file's annotations, what a set of this kind cannot hold, as words for people."""
    if kind in ("npz", "folder"):
        return []
    annotations = archive.annotations
    kept = annotations.labels if labels_are_written else None
    lost = [f"column {column.name}" for column in annotations.columns if column is not kept]
    lost += [name for name in ABOUT if getattr(annotations, name) is not None]
    lost += ["classes"] if annotations.classes else []
    return lost + (["names"] if archive.names is not None else [])


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


def default_output(archive_path: str, kind: str) -> Path:
    """Where ``decompress`` writes without -o: the name without .aez, with the kind's suffix."""
    path = Path(local_name(archive_path) if is_url(archive_path) else archive_path)
    stem = path.with_suffix("") if path.suffix == ".aez" else path.with_name(path.name + ".out")
    suffix = {"npy": ".npy", "npz": ".npz", "idx.gz": ".gz"}.get(kind, "")
    return stem if stem.name.endswith(suffix) else stem.with_name(stem.name + suffix)
