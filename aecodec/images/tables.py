"""Columns in tables: CSV files, and ``metadata.csv`` in a folder of pictures.

A ``metadata.csv`` has a row for each picture, in order, and a column ``file_name``, as in image
folders of other tools. ``metadata.json`` beside it has what a table cannot hold: title, origin,
licence, classes, the name of the column of labels, and the columns' types.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecodec.annotations.annotations import Annotations, annotate, label_name
from aecodec.annotations.column import Column
from aecodec.annotations.values import DTYPES, TEXT
from aecodec.errors import ImageSetError
from aecodec.images.base import Skipped

TABLE_FILE, ABOUT_FILE = "metadata.csv", "metadata.json"
FILE_NAME = "file_name"


def typed_column(name: str, cells: Sequence[str], dtype: str | None = None) -> Column:
    """A column from the cells of a table; ValueError if ``dtype`` cannot hold them.

    The default dtype is the first of int64, float64, bool ("True", "False") and text from which
    every cell can be restored as it is.
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
    """The cells of a CSV file by column, named in the first row; ImageSetError for uneven rows."""
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
    """The columns of a CSV file of one row for each image; a column ``file_name`` is left out."""
    cells = read_table(path)
    cells.pop(FILE_NAME, None)
    return annotate(columns={name: typed_column(name, column) for name, column in cells.items()})


def read_folder_table(
    folder: str, found: list[str]
) -> tuple[list[str], Annotations, list[Skipped]]:
    """The pictures in the order of the folder's table, their annotations, and what is left out.

    ``found`` are the pictures in the folder. Without a table they keep their order.
    """
    about = _read_about(os.path.join(folder, ABOUT_FILE))
    dtypes = about.pop("dtypes", {})
    label, classes = about.pop("label", None), about.pop("classes", None)
    path = os.path.join(folder, TABLE_FILE)
    cells = read_table(path) if os.path.isfile(path) else {}
    if FILE_NAME not in cells:
        return found, annotate(about=about), []
    names = cells.pop(FILE_NAME)
    there, named = set(found), set(names)
    if len(named) < len(names):
        raise ImageSetError(f"{path}: a {FILE_NAME} occurs twice")
    skipped = [Skipped(n, f"named in {TABLE_FILE}, not there") for n in names if n not in there]
    skipped += [Skipped(n, f"not named in {TABLE_FILE}") for n in found if n not in named]
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
    """The known entries of ``metadata.json``; none if it is not an object, or not there."""
    if not os.path.isfile(path):
        return {}
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImageSetError(f"{path}: not JSON, {error}") from error
    if not isinstance(about, dict):
        return {}
    kinds = {"title": str, "origin": str, "licence": str, "label": str, "classes": list}
    known = {n: about[n] for n, kind in kinds.items() if isinstance(about.get(n), kind)}
    dtypes = about.get("dtypes")
    if isinstance(dtypes, dict):
        known["dtypes"] = {n: d for n, d in dtypes.items() if isinstance(d, str) and d in DTYPES}
    return known


def write_folder_table(folder: str, names: Sequence[str], annotations: Annotations) -> None:
    """Write ``metadata.csv`` and ``metadata.json`` for the pictures ``names`` in a folder."""
    columns = annotations.columns
    if any(column.name == FILE_NAME for column in columns):
        raise ImageSetError(
            f"column {FILE_NAME}: a folder's {TABLE_FILE} cannot hold a column of this name"
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
