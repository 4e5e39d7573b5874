"""Labels and columns in files of their own: IDX, ``.npy``, text, and ``metadata.csv`` in a folder.

A ``metadata.csv`` has a column ``file_name``, as image folders of other tools do, and a row for each
picture, in their order. ``metadata.json`` beside it tells what a table cannot: title, origin,
licence, classes, which column holds the labels, and the columns' types.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from aecodec.annotations.annotations import Annotations, annotate, label_name
from aecodec.annotations.column import Column
from aecodec.annotations.values import DTYPES, TEXT
from aecodec.errors import ImageSetError
from aecodec.images.base import Skipped, damage_named, read_up_to
from aecodec.images.streams import IDX_DTYPES, read_idx_dims, read_npy_header

TABLE_FILE, ABOUT_FILE = "metadata.csv", "metadata.json"
FILE_NAME = "file_name"
LABELS_MAX_NBYTES = 1 << 30
_IDX_NUMBERS = {name: number for number, name in IDX_DTYPES.items()}
_IDX_INTEGERS = ("uint8", "int8", "int16", "int32")  # the smallest that holds all is taken


# ---------------------------------------------------------------- labels


def read_labels(path: str | os.PathLike[str]) -> Column:
    """The labels in an IDX file (gzipped or not), a ``.npy``, or a text with one in each line.

    Lines that are all whole numbers are taken for such. Raises ImageSetError for anything else.
    """
    label = os.fspath(path)
    with open(label, "rb") as file, damage_named(label):
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_idx_labels(cast("IO[bytes]", unpacked), label)
        if head.startswith(b"\0\0"):
            return _read_idx_labels(file, label)
        if head.startswith(b"\x93NUMPY"):
            return _read_npy_labels(file, label)
    try:
        lines = Path(label).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ImageSetError(
            f"{label}: expected labels in an IDX file, .npy or text, one a line: {error}"
        ) from error
    return typed_column("label", lines)


def _read_idx_labels(stream: IO[bytes], label: str) -> Column:
    dims, dtype = read_idx_dims(stream, label)
    if len(dims) != 1:
        raise ImageSetError(f"{label}: IDX of {len(dims)} dimensions, expected 1: labels")
    stored = np.dtype(dtype).newbyteorder(">")
    nbytes = dims[0] * stored.itemsize
    if nbytes > LABELS_MAX_NBYTES:
        raise ImageSetError(f"{label}: {nbytes} bytes of labels, the limit is {LABELS_MAX_NBYTES}")
    data = read_up_to(stream, nbytes)
    if len(data) != nbytes or stream.read(1):
        found = f"more than {nbytes}" if len(data) == nbytes else str(len(data))
        raise ImageSetError(f"{label}: expected {nbytes} bytes of labels, found {found}")
    return Column.of("label", np.frombuffer(data, stored).astype(dtype))


def _read_npy_labels(stream: BinaryIO, label: str) -> Column:
    header = read_npy_header(stream, label)
    nbytes = os.fstat(stream.fileno()).st_size - stream.tell()
    if len(header.dims) != 1 or header.dtype.hasobject:
        raise ImageSetError(
            f"{label}: found {header.dtype} {header.dims}, expected one number or text for each image"
        )
    if nbytes != header.dims[0] * header.dtype.itemsize:
        expected = header.dims[0] * header.dtype.itemsize
        raise ImageSetError(f"{label}: expected {expected} bytes of labels, found {nbytes}")
    return _of_array("label", np.frombuffer(stream.read(), header.dtype), label)


def _of_array(name: str, array: Any, label: str) -> Column:  # noqa: ANN401
    try:
        return Column.of(name, array)
    except ValueError as error:
        raise ImageSetError(f"{label}: {error}") from error


def idx_labels(labels: Column, *, compress: bool = False) -> bytes:
    """An IDX file of labels, gzipped if asked for.

    ImageSetError for texts, and numbers that IDX has no type for.
    """
    array = labels.array
    dtype = labels.dtype if labels.dtype in _IDX_NUMBERS else None
    if labels.dtype == "bool":
        dtype = "uint8"
    if dtype is None and array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if len(array) else (0, 0)
        fits = (n for n in _IDX_INTEGERS if np.iinfo(n).min <= low and high <= np.iinfo(n).max)
        dtype = next(fits, None)
    if dtype is None:
        raise ImageSetError(
            f"column {labels.name}: {labels.dtype} is nothing that IDX holds; choose .npz or a folder"
        )
    start = struct.pack(">BBBBI", 0, 0, _IDX_NUMBERS[dtype], 1, len(array))
    data = start + array.astype(np.dtype(dtype).newbyteorder(">")).tobytes()
    return gzip.compress(data, mtime=0) if compress else data


def labels_path(images_path: str | os.PathLike[str]) -> Path:
    """Where the labels of an IDX file of images go: its name with "labels" for "images"."""
    path = Path(images_path)
    if "images" in path.name:
        name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
        return path.with_name(name)
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-labels{dot}{suffixes}")


# ---------------------------------------------------------------- tables


def typed_column(name: str, cells: Sequence[str], dtype: str | None = None) -> Column:
    """A column from the cells of a table: of ``dtype``, or of the one that gives back every cell.

    Those are int64, float64, bool ("True", "False") and text, the first that does.
    """
    if dtype is None:
        for guess in ("int64", "float64", "bool"):
            try:
                column = typed_column(name, cells, guess)
            except ValueError:
                continue
            if cells and [_cell(value) for value in column.values] == list(cells):
                return column
        return Column.of(name, list(cells), TEXT)
    if dtype == TEXT:
        return Column.of(name, list(cells), TEXT)
    if dtype == "bool":
        return Column.of(name, [{"True": True, "False": False}.get(c, c) for c in cells], dtype)
    return Column.of(name, [(float if "float" in dtype else int)(c) for c in cells], dtype)


def _cell(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def read_table(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """The columns of a CSV file with a row of names on top; ImageSetError where rows differ."""
    label = os.fspath(path)
    try:
        with open(label, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ImageSetError(f"{label}: not a table in CSV, {error}") from error
    if not rows or len(set(rows[0])) < len(rows[0]):
        raise ImageSetError(f"{label}: expected a first row of different names of columns")
    for i, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise ImageSetError(f"{label}: row {i} has {len(row)} cells, expected {len(rows[0])}")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def table_annotations(path: str | os.PathLike[str]) -> Annotations:
    """The columns of a CSV file, one row for each image; a column ``file_name`` is left out."""
    cells = read_table(path)
    cells.pop(FILE_NAME, None)
    return annotate(columns={name: typed_column(name, column) for name, column in cells.items()})


def read_folder_table(
    folder: str, found: list[str]
) -> tuple[list[str], Annotations, list[Skipped]]:
    """The pictures in the order of the folder's table, what it tells, and what it leaves out."""
    about = _read_about(os.path.join(folder, ABOUT_FILE))
    dtypes = about.pop("dtypes", {})
    label, classes = about.pop("label", None), about.pop("classes", None)
    path = os.path.join(folder, TABLE_FILE)
    cells = read_table(path) if os.path.isfile(path) else {}
    if FILE_NAME not in cells:
        return found, annotate(about=about), []
    names = cells.pop(FILE_NAME)
    there, told = set(found), set(names)
    if len(told) < len(names):
        raise ImageSetError(f"{path}: a {FILE_NAME} occurs twice")
    skipped = [Skipped(n, f"named in {TABLE_FILE}, not there") for n in names if n not in there]
    skipped += [Skipped(n, f"not named in {TABLE_FILE}") for n in found if n not in told]
    rows = [i for i, name in enumerate(names) if name in there]
    try:
        columns = {
            name: typed_column(name, [column[i] for i in rows], dtypes.get(name))
            for name, column in cells.items()
        }
        annotations = annotate(columns=columns, about=about)
        label = label if label is not None else label_name(columns)
        annotations = replace(annotations, label=label, classes=tuple(classes or ()))
        annotations.require_count(len(rows))
    except (ValueError, KeyError) as error:
        raise ImageSetError(f"{path}: {error}") from error
    return [names[i] for i in rows], annotations, skipped


def _read_about(path: str) -> dict[str, Any]:
    """What ``metadata.json`` tells; nothing for one that is of another make."""
    if not os.path.isfile(path):
        return {}
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImageSetError(f"{path}: not JSON, {error}") from error
    if not isinstance(about, dict):
        return {}
    kinds = {"title": str, "origin": str, "licence": str, "label": str, "classes": list}
    told = {name: about[name] for name, kind in kinds.items() if isinstance(about.get(name), kind)}
    dtypes = about.get("dtypes")
    if isinstance(dtypes, dict):
        told["dtypes"] = {n: d for n, d in dtypes.items() if isinstance(d, str) and d in DTYPES}
    return told


def write_folder_table(folder: str, names: Sequence[str], annotations: Annotations) -> None:
    """``metadata.csv`` and ``metadata.json`` in a folder of pictures called by ``names``."""
    columns = annotations.columns
    if any(column.name == FILE_NAME for column in columns):
        raise ImageSetError(
            f"column {FILE_NAME}: a folder's {TABLE_FILE} cannot hold one so called"
        )
    with open(os.path.join(folder, TABLE_FILE), "x", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([FILE_NAME, *(column.name for column in columns)])
        cells = (map(_cell, column.values) for column in columns)
        table.writerows(zip(names, *cells, strict=True))
    about = annotations.metadata()
    about["dtypes"] = {column.name: column.dtype for column in columns}
    with open(os.path.join(folder, ABOUT_FILE), "x", encoding="utf-8") as file:
        json.dump(about, file, indent=1, ensure_ascii=False)
        file.write("\n")
