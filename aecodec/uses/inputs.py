"""Reading tables of numbers, image sets, ``.aez`` files and labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.arrays import Floats
from aecodec.errors import AezLimitError
from aecodec.held_rows import AT_ONCE_NBYTES, Rows, hold
from aecodec.images import ImageSetError, Skipped, open_images, paired_labels, read_label_rows
from aecodec.images.plain import load_npy
from aecodec.images.tables import needless
from aecodec.images.texts import decode_text, parsed_max_nbytes, table_cells
from aecodec.limits import DEFAULT_LIMITS, Limits

AEZ_HEAD = b"\x89AEZ"
HELD_SHARE = 16  # how many times max_memory_nbytes an ``.aez`` may take in a temporary file


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

    ``columns`` are the names of the columns, labels among them, that the set has, and
    ``has_names`` tells whether its images have names, if these were not asked for.
    """

    images: Rows
    names: Sequence[str] | None
    skipped: tuple[Skipped, ...] = ()
    columns: tuple[str, ...] = ()
    has_names: bool = False


def load_image_set(
    source: str | BinaryIO, limits: Limits = DEFAULT_LIMITS, *, with_names: bool = True
) -> ImageSet:
    """An image set or an ``.aez``, whole; ImageSetError if it is empty.

    An open file has to be seekable, and is read from its start. Large sets lie in a temporary
    file. AezLimitError if the images of an ``.aez``, all of them together, take more than 16 times
    ``max_memory_nbytes`` there.
    """
    if is_aez(source):
        with Archive(source, limits=limits) as archive:
            sections = archive.sections
            columns = tuple(head.name for head in sections.column_heads)
            names = archive.names if with_names else None
            found = ImageSet(read_all(archive), names, (), columns, sections.has_names)
    else:
        with open_images(source) as opened:
            at_once = max(1, min(4096, AT_ONCE_NBYTES // math.prod(opened.shape)))
            images = hold(opened.batches(at_once), opened.shape, np.uint8)
            columns = tuple(column.name for column in opened.annotations.columns)
            names = opened.names  # known when all is read
            found = ImageSet(images, names, opened.skipped, columns, names is not None)
    if not len(found.images):
        raise ImageSetError(f"{getattr(source, 'name', source)}: the set is empty")
    return found


def read_image_set(source: str | BinaryIO, limits: Limits = DEFAULT_LIMITS) -> Rows:
    """uint8 (N, H, W, C) of an image set or an ``.aez``, whole; ImageSetError if it is empty."""
    return load_image_set(source, limits).images


def read_all(archive: Archive) -> Rows:
    """All images (N, H, W, C); AezLimitError, before any is read, as in :func:`load_image_set`."""
    require_held(archive, math.prod(archive.image_shape), "images")
    return hold(archive.batches(), archive.image_shape, np.uint8)


def require_memory(limits: Limits, name: str, nbytes: int, what: str) -> None:
    """AezLimitError if ``nbytes``, ``what`` they are for, are more than ``max_memory_nbytes``."""
    if nbytes > limits.max_memory_nbytes:
        raise AezLimitError(
            f"{name}: {nbytes} bytes {what}, max_memory_nbytes allows {limits.max_memory_nbytes}"
        )


def require_held(archive: Archive, nbytes: int, what: str) -> None:
    """AezLimitError if ``nbytes`` for each image take more than 16 times ``max_memory_nbytes``."""
    needed, most = nbytes * len(archive), archive.limits.max_memory_nbytes
    if needed > HELD_SHARE * most:
        raise AezLimitError(
            f"{archive.name}: {needed} bytes of {what} in a temporary file, "
            f"{HELD_SHARE} times max_memory_nbytes, which allows {most}"
        )


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
    table = table_cells(text, path, max_nbytes=parsed_max_nbytes(len(data)))
    columns, lines = table.columns, table.lines.tolist()
    if all(map(_is_number, table.header)):
        lines.insert(0, table.header_line)
        columns = [[first, *cells] for first, cells in zip(table.header, columns, strict=True)]
    else:
        columns = [
            cells
            for i, (name, cells) in enumerate(zip(table.header, columns, strict=True))
            if name or not needless(i, cells)
        ]
    rows = np.empty((len(lines) if columns else 0, len(columns)), np.float64)
    for i, number in enumerate(lines if columns else ()):
        try:
            rows[i] = [float(cells[i]) for cells in columns]
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
