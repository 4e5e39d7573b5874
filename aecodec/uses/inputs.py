"""Reading tables of numbers, image sets, ``.aez`` files and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.arrays import Floats, Images
from aecodec.images import ImageSetError, Skipped, open_images, paired_labels, read_label_rows
from aecodec.images.plain import load_npy
from aecodec.images.tables import needless
from aecodec.images.texts import Row, decode_text, table_rows

AEZ_HEAD = b"\x89AEZ"


def is_aez(source: str | BinaryIO) -> bool:
    """Whether a file, or a seekable open one, begins as an ``.aez`` does."""
    if not isinstance(source, str):
        source.seek(0)
        head = source.read(len(AEZ_HEAD))
        source.seek(0)
        return head == AEZ_HEAD
    if not Path(source).is_file():
        return False
    with open(source, "rb") as file:
        return file.read(len(AEZ_HEAD)) == AEZ_HEAD


@dataclass(frozen=True, eq=False)
class ImageSet:
    """uint8 (N, H, W, C), the names of the images if they have any, and what was left out.

    ``columns`` are the names of the columns, labels among them, that the set has.
    """

    images: Images
    names: Sequence[str] | None
    skipped: tuple[Skipped, ...] = ()
    columns: tuple[str, ...] = ()


def load_image_set(source: str | BinaryIO) -> ImageSet:
    """An image set or an ``.aez``, whole; ImageSetError if it is empty.

    An open file has to be seekable, and is read from its start.
    """
    names: Sequence[str] | None
    skipped: tuple[Skipped, ...] = ()
    if is_aez(source):
        with Archive(source) as archive:
            batches, names = list(archive.batches()), archive.names
            columns = tuple(archive.columns)
    else:
        with open_images(source) as opened:
            batches = list(opened.batches(4096))
            names, skipped = opened.names, opened.skipped  # known when all is read
            columns = tuple(column.name for column in opened.annotations.columns)
    if not batches:
        raise ImageSetError(f"{getattr(source, 'name', source)}: the set is empty")
    return ImageSet(np.concatenate(batches), names, skipped, columns)


def read_image_set(source: str | BinaryIO) -> Images:
    """uint8 (N, H, W, C) of an image set or an ``.aez``, whole; ImageSetError if it is empty."""
    return load_image_set(source).images


def read_table(path: str | BinaryIO) -> Floats | None:
    """Rows (N, P) of a ``.csv`` or a two-dimensional ``.npy``; None for anything else."""
    if not isinstance(path, str):
        return None
    if path.lower().endswith(".csv"):
        return _check_rows(path, _read_csv(path))
    if path.lower().endswith(".npy"):
        array = load_npy(path, mapped=True)
        if array.ndim == 2:
            return _check_rows(path, np.asarray(array))
    return None


def _read_csv(path: str) -> npt.NDArray[Any]:
    """Numbers, under a row of names or not; an index without a name is no number."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = decode_text(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a table in UTF-8: {error}") from error
    lines = table_rows(text, path)
    if lines and not all(_is_number(cell) for cell in lines[0].cells):
        head, *lines = lines
        kept = [
            i
            for i, name in enumerate(head.cells)
            if name or not needless(i, [line.cells[i] for line in lines])
        ]
        lines = [Row(line.line, [line.cells[i] for i in kept]) for line in lines]
    width = len(lines[0].cells) if lines else 0
    rows = np.empty((len(lines), width), np.float64)
    for row, (number, found) in zip(rows, lines, strict=True):
        try:
            row[:] = [float(cell) for cell in found]
        except ValueError as error:  # noqa: PERF203  # it names the line
            raise ValueError(f"{path}: line {number}: {error}") from error
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_rows(path: str, rows: npt.NDArray[Any]) -> Floats:
    if rows.dtype.kind not in "fiub":
        raise ValueError(f"{path}: found dtype {rows.dtype}, expected numbers")
    if len(rows) < 2 or rows.shape[1] < 2:
        raise ValueError(f"{path}: found a table {rows.shape}, expected 2 rows and columns or more")
    if not np.isfinite(rows).all():
        where = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(f"{path}: row {where[0]}, column {where[1]} is not a finite number")
    table: Floats = rows.astype(np.float32)
    return table


def read_labels(
    path: str, count: int, names: Sequence[str] | None = None, skipped: Iterable[Skipped] = ()
) -> npt.NDArray[Any]:
    """(count,) labels, of any file that :func:`aecodec.images.read_label_rows` reads.

    A file that names its images has its labels put in the order of ``names``, if there are any;
    ``skipped`` are entries of the set that are no images.
    """
    labels = paired_labels(read_label_rows(path), names, {name for name, _ in skipped})
    if len(labels) != count:
        raise ValueError(f"{path}: found labels ({len(labels)},), expected ({count},)")
    return labels.array
