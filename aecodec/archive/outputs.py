"""What a decompression writes, and where: the kind of set, its path, a second file for labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from aecodec.annotations.annotations import ABOUT
from aecodec.annotations.values import TEXT
from aecodec.archive.array import Archive
from aecodec.archive.source import Source
from aecodec.images import ImageSetError, idx_labels, labels_path
from aecodec.io.remote import is_url, local_name
from aecodec.io.special import is_special

HOLDING_ANNOTATIONS = ("npz", "folder")  # kinds of sets that hold names and columns
ENDINGS = ".npy, .npz, .idx, -ubyte, .gz, or none"


def kind_and_target(
    source: Source,
    archive: Archive,
    kind: str | None,
    target: str | os.PathLike[str] | BinaryIO | None,
) -> tuple[str, Path | BinaryIO]:
    """The kind of set to write, and where: as asked for, or as names and the archive suggest.

    TypeError without a target where the source has no name; ValueError for a target whose ending
    names no kind.
    """
    came_from = archive.metadata.get("source")
    usual = came_from if came_from in ("idx", "idx.gz", "npz", "folder") else "npy"
    if target is None:
        if not isinstance(source, str | os.PathLike):
            raise TypeError("without a target the source must be a path or URL, to name the output")
        kind = kind or usual
        return kind, default_output(os.fspath(source), kind)
    if not isinstance(target, str | os.PathLike):
        return kind or ("npy" if usual == "folder" else usual), target
    if is_special(target):
        return kind or ("npy" if usual == "folder" else usual), Path(target)
    if kind is None and usual == "folder" and os.path.isdir(target):
        kind = "folder"
    return kind or kind_by_ending(target) or usual, Path(target)


def kind_by_ending(target: str | os.PathLike[str]) -> str | None:
    """The kind of set that an output's ending asks for; None for a name without one.

    A name that ends in / is a folder's. ValueError for any other ending.
    """
    text = os.fspath(target).lower()
    if text.endswith(("/", os.sep)):
        return "folder"
    if text.endswith("-ubyte"):
        return "idx"
    path = Path(text)
    packed = path.with_suffix("") if path.suffix == ".gz" else None
    if packed is not None and (packed.suffix in ("", ".idx") or packed.name.endswith("-ubyte")):
        return "idx.gz"
    if path.suffix in ("", ".npy", ".npz", ".idx"):
        return path.suffix[1:] or None
    ending = "".join(path.suffixes[-2:] if packed else path.suffixes[-1:])
    raise ValueError(
        f"{os.fspath(target)}: the ending {ending} names no kind of set, expected {ENDINGS}; "
        "or say the kind with --to (kind=)"
    )


def default_output(archive_path: str, kind: str) -> Path:
    """Where ``decompress`` writes without -o: the name without .aez, with the kind's suffix."""
    path = Path(local_name(archive_path) if is_url(archive_path) else archive_path)
    stem = path.with_suffix("") if path.suffix == ".aez" else path.with_name(path.name + ".out")
    suffix = {"npy": ".npy", "npz": ".npz", "idx.gz": ".gz"}.get(kind, "")
    return stem if stem.name.endswith(suffix) else stem.with_name(stem.name + suffix)


def labels_target(
    archive: Archive, kind: str, target: object, wanted: str | os.PathLike[str] | None
) -> str | os.PathLike[str] | None:
    """The second file for labels that the set itself cannot hold; None for none.

    ``wanted`` is the path asked for, if any; ValueError where there are no labels to write to it.
    """
    label = archive.sections.facts["label"]
    if wanted is not None:
        if label is None:
            raise ValueError(f"{archive.name}: has no labels to write to {os.fspath(wanted)}")
        return wanted
    if not isinstance(target, str | os.PathLike) or is_special(target):
        return None
    if label is None or kind not in ("idx", "idx.gz") or not _fits_idx(archive):
        return None
    return labels_path(target)


def _fits_idx(archive: Archive) -> bool:
    column = archive.sections.label_column
    if column is None or column.dtype == TEXT:
        return False
    try:
        idx_labels(column)
    except ImageSetError:
        return False
    return True


def left_out(archive: Archive, kind: str, *, labels_are_written: bool) -> list[str]:
    """The annotations of a file that a set of this kind cannot hold, as words for people."""
    if kind in HOLDING_ANNOTATIONS:
        return []
    facts = archive.sections.facts
    kept = facts["label"] if labels_are_written else None
    lost = [f"column {head.name}" for head in archive.sections.column_heads if head.name != kept]
    lost += [name for name in ABOUT if facts[name] is not None]
    lost += ["classes"] if facts["classes"] else []
    return lost + (["names"] if archive.sections.has_names else [])
