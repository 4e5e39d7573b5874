"""Reading tables of numbers, image sets, ``.aez`` files and labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.arrays import Floats, Images
from aecodec.images import ImageSetError, open_images
from aecodec.images.plain import array_of_npy, load_npy, read_unzipped

AEZ_HEAD = b"\x89AEZ"
IDX_LABELS = b"\0\0\x08\x01"


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


def read_image_set(source: str | BinaryIO) -> Images:
    """uint8 (N, H, W, C) of an image set or an ``.aez``, whole; ImageSetError if it is empty.

    An open file has to be seekable, and is read from its start.
    """
    if is_aez(source):
        with Archive(source) as archive:
            batches = list(archive.batches())
    else:
        with open_images(source) as opened:
            batches = list(opened.batches(4096))
    if not batches:
        raise ImageSetError(f"{getattr(source, 'name', source)}: the set is empty")
    return np.concatenate(batches)


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
    """Numbers, a header line or none."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = [(i, line) for i, line in enumerate(csv.reader(file), 1) if line]
    if lines and not all(_is_number(cell) for cell in lines[0][1]):
        lines = lines[1:]
    width = len(lines[0][1]) if lines else 0
    rows = np.empty((len(lines), width), np.float64)
    for row, (number, cells) in zip(rows, lines, strict=True):
        if len(cells) != width:
            raise ValueError(f"{path}: line {number} has {len(cells)} cells, expected {width}")
        try:
            row[:] = [float(cell) for cell in cells]
        except ValueError as error:
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


def read_labels(path: str, count: int) -> npt.NDArray[Any]:
    """(count,) labels of an IDX file (gzipped or not), a ``.npy``, or a text, one a line."""
    data = read_unzipped(path)
    labels: npt.NDArray[Any]
    if data.startswith(IDX_LABELS):
        stated = int.from_bytes(data[4:8], "big")
        labels = np.frombuffer(data[8:], np.uint8)
        if stated != len(labels):
            raise ValueError(f"{path}: states {stated} labels, holds {len(labels)}")
    elif data.startswith(b"\x93NUMPY"):
        labels = array_of_npy(data, path)
    else:
        labels = np.array(data.decode("utf-8").split("\n"))
        labels = labels[: len(labels) - (labels[-1:] == "").sum()]
    if labels.shape != (count,):
        raise ValueError(f"{path}: found labels {labels.shape}, expected ({count},)")
    return labels
