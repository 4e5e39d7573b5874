"""``metadata.csv`` and ``metadata.json`` in a folder of pictures.

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

from aecodec.annotations.annotations import ABOUT, Annotations, annotate, label_name
from aecodec.annotations.values import DTYPES
from aecodec.errors import ImageSetError
from aecodec.images.base import PassedOver, Skipped
from aecodec.images.pairing import FILE_NAME, NamesOfImages, name_column
from aecodec.images.tables import Table, cell_text, read_table, typed_column
from aecodec.images.texts import decode_text

TABLE_FILE, ABOUT_FILE = "metadata.csv", "metadata.json"
_KINDS = {"title": str, "origin": str, "licence": str, "label": str, "classes": list}
_NO_NAMES = f"has no column {FILE_NAME} (or filename, path, file, image) with the pictures' names"


def read_folder_table(
    folder: str, found: list[str]
) -> tuple[list[str], Annotations, list[Skipped]]:
    """The pictures in the order of the folder's table, their annotations, and what is left out.

    ``found`` are the pictures in the folder. Without a table they keep their order.
    """
    about, skipped = _read_about(os.path.join(folder, ABOUT_FILE))
    dtypes, label = about.pop("dtypes", {}), about.pop("label", None)
    classes = about.pop("classes", None)
    path = os.path.join(folder, TABLE_FILE)
    lone = [name for name, value in (("label", label), ("classes", classes)) if value]
    without = [Skipped(f"{ABOUT_FILE}: {name}", "no table has it") for name in lone]
    if not os.path.isfile(path):
        return found, annotate(about=about), skipped + without
    table = read_table(path)
    skipped += [PassedOver(f"{TABLE_FILE}: {name}", reason) for name, reason in table.passed_over]
    column = name_column(table.cells, NamesOfImages(found))
    if column is None:
        left_out = [*skipped, Skipped(TABLE_FILE, _NO_NAMES), *without]
        return found, annotate(about=about), left_out
    table.require_texts(path, column)
    rows, missing = _rows_of_pictures(path, table, column, found)
    try:
        columns = {
            name: typed_column(name, [cells[i] for i in rows.values()], dtypes.get(name))
            for name, cells in table.cells.items()
            if name != column
        }
        label = label if label is not None else label_name(columns)
        if label is not None and label not in columns:
            raise ValueError(f"{ABOUT_FILE} calls the labels {label!r}, no column has this name")
        annotations = replace(
            annotate(columns=columns, about=about), label=label, classes=tuple(classes or ())
        )
        annotations.require_count(len(rows))
    except ValueError as error:
        raise ImageSetError(f"{path}: {error}") from error
    return [found[at] for at in rows], annotations, skipped + missing


def _rows_of_pictures(
    path: str, table: Table, column: str, found: Sequence[str]
) -> tuple[dict[int, int], list[Skipped]]:
    """The row of each picture, by its position in ``found``, in the order of the rows.

    Rows without a picture, and pictures without a row, are skipped; ImageSetError if no row has a
    picture, or two rows have the same.
    """
    images, cells = NamesOfImages(found), table.cells[column]
    rows: dict[int, int] = {}
    skipped = []
    for i, cell in enumerate(cells):
        at = images.find(cell)
        if at is None:
            skipped.append(Skipped(cell, f"named in {TABLE_FILE}, not there"))
        elif at in rows:
            raise ImageSetError(
                f"{path}: a {column} occurs twice: {found[at]!r}, on the lines "
                f"{table.lines[rows[at]]} and {table.lines[i]}"
            )
        else:
            rows[at] = i
    if found and cells and not rows:
        raise ImageSetError(
            f"{path}: column {column} names no picture of the folder: its line {table.lines[0]} "
            f"has {cells[0]!r}, the first picture is {found[0]!r}"
        )
    skipped += [
        Skipped(name, f"not named in {TABLE_FILE}")
        for at, name in enumerate(found)
        if at not in rows
    ]
    return rows, skipped


def _read_about(path: str) -> tuple[dict[str, Any], list[Skipped]]:
    """The known entries of ``metadata.json``, and those that are left out."""
    if not os.path.isfile(path):
        return {}, []
    try:
        about = json.loads(decode_text(Path(path).read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ImageSetError(f"{path}: not JSON, {error}") from error
    if not isinstance(about, dict):
        return {}, [Skipped(ABOUT_FILE, f"holds a {type(about).__name__}, expected a JSON object")]
    known = {n: about[n] for n, kind in _KINDS.items() if isinstance(about.get(n), kind)}
    if isinstance(dtypes := about.get("dtypes"), dict):
        known["dtypes"] = {n: d for n, d in dtypes.items() if isinstance(d, str) and d in DTYPES}
    wanted = ", ".join([*_KINDS, "dtypes"])
    skipped = [
        Skipped(f"{ABOUT_FILE}: {name}", f"expected texts under {wanted}, and classes as a list")
        for name in about
        if name not in known and about[name] is not None
    ]
    try:
        annotate(about={name: known[name] for name in ABOUT if name in known})
    except ValueError as error:
        raise ImageSetError(f"{path}: {error}") from error
    return known, skipped


def write_folder_table(folder: str, names: Sequence[str], annotations: Annotations) -> None:
    """Write ``metadata.csv`` and ``metadata.json`` for the pictures ``names`` in a folder."""
    columns = annotations.columns
    if any(column.name == FILE_NAME for column in columns):
        raise ImageSetError(
            f"column {FILE_NAME}: a folder's {TABLE_FILE} cannot hold a column of this name"
        )
    path = os.path.join(folder, TABLE_FILE)
    # the names on disk may be bytes that are not UTF-8, which Python tells as surrogates
    with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow([FILE_NAME, *(column.name for column in columns)])
        cells = (map(cell_text, column.values) for column in columns)
        table.writerows(zip(names, *cells, strict=True))
    about = annotations.metadata()
    about["dtypes"] = {column.name: column.dtype for column in columns}
    with open(os.path.join(folder, ABOUT_FILE), "x", encoding="utf-8") as file:
        json.dump(about, file, indent=1, ensure_ascii=False)
        file.write("\n")
