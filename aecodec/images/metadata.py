"""``metadata.csv`` and ``metadata.json`` in a folder of pictures.

A ``metadata.csv`` has a row for each picture, in order, and a column ``file_name``, as in image
folders of other tools. A ``metadata.jsonl``, of one JSON object for each picture, is read in its
place, and not written. ``metadata.json`` beside it has what a table cannot hold: title, origin,
licence, classes, the name of the column of labels, and the columns' types.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecodec.annotations.annotations import ABOUT, Annotations, annotate, label_name
from aecodec.annotations.column import Column
from aecodec.annotations.values import DTYPES, TEXT
from aecodec.errors import ImageSetError
from aecodec.images.base import PassedOver, Skipped
from aecodec.images.column_names import free_name
from aecodec.images.pairing import FILE_NAME, NamesOfImages, is_name_header, name_column
from aecodec.images.safe_names import ABOUT_FILE, LINES_FILE, TABLE_FILE
from aecodec.images.tables import Table, cell_text, read_table, typed_column
from aecodec.images.texts import decode_text, split_lines

ORIGINAL_NAME = "original_name"  # the column of names that pictures could not have
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
    lone = [name for name, value in (("label", label), ("classes", classes)) if value]
    without = [Skipped(f"{ABOUT_FILE}: {name}", "no table has it") for name in lone]
    name, path = TABLE_FILE, os.path.join(folder, TABLE_FILE)
    lines_path = os.path.join(folder, LINES_FILE)
    if not os.path.isfile(path):
        name, path = LINES_FILE, lines_path
    elif os.path.isfile(lines_path):
        skipped.append(Skipped(LINES_FILE, f"{TABLE_FILE} is there, and read"))
    if not os.path.isfile(path):
        return found, annotate(about=about), skipped + without
    table = read_table(path) if name == TABLE_FILE else read_json_lines(path)
    skipped += [PassedOver(f"{name}: {entry}", reason) for entry, reason in table.passed_over]
    cells = {key: list(map(str, values)) for key, values in table.cells.items()}
    column = name_column(cells, NamesOfImages(found))
    if column is None:
        return found, annotate(about=about), [*skipped, Skipped(name, _NO_NAMES), *without]
    table.require_texts(path, column)
    rows, missing = _rows_of_pictures(path, table, column, found)
    kept = {n: v for n, v in table.cells.items() if n != column or not is_name_header(column)}
    taken = {n: [v[i] for i in rows.values()] for n, v in kept.items()}
    try:
        if name == LINES_FILE:
            columns, unfit = _json_columns(taken, dtypes)
            skipped += unfit
        else:
            columns = {n: typed_column(n, values, dtypes.get(n)) for n, values in taken.items()}
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


def _json_columns(
    values: dict[str, list[Any]], dtypes: dict[str, str]
) -> tuple[dict[str, Column], list[Skipped]]:
    """Columns of values from JSON, and those that are none: of lists, say, or with gaps."""
    columns, unfit = {}, []
    for name, column in values.items():
        try:
            if any(isinstance(value, list | dict) for value in column):
                raise ValueError("values are lists or objects")
            columns[name] = Column.of(name, column, dtypes.get(name))
        except ValueError as error:  # noqa: PERF203  # each column may fail alone
            reason = str(error).removeprefix(f"column {name}: ")
            unfit.append(Skipped(f"{LINES_FILE}: {name}", reason))
    return columns, unfit


def read_json_lines(path: str) -> Table:
    """The objects in a file of one JSON object a line, by their keys; None where one has no such.

    ImageSetError for a line that holds something else.
    """
    values: dict[str, list[Any]] = {}
    numbers: list[int] = []
    for number, line in enumerate(split_lines(decode_text(Path(path).read_bytes())), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ImageSetError(f"{path}: line {number}: not JSON, {error}") from error
        if not isinstance(entry, dict):
            raise ImageSetError(f"{path}: line {number}: expected a JSON object, found {line:.40}")
        for key in (key for key in entry if key not in values):
            values[key] = [None] * len(numbers)
        numbers.append(number)
        for key, column in values.items():
            column.append(entry.get(key))
    return Table(values, numbers)


def _rows_of_pictures(
    path: str, table: Table, column: str, found: Sequence[str]
) -> tuple[dict[int, int], list[Skipped]]:
    """The row of each picture, by its position in ``found``, in the order of the rows.

    Rows without a picture, and pictures without a row, are skipped; ImageSetError if no row has a
    picture, or two rows have the same.
    """
    images, cells = NamesOfImages(found), list(map(str, table.cells[column]))
    rows: dict[int, int] = {}
    skipped, name = [], os.path.basename(path)
    for i, cell in enumerate(cells):
        at = images.find(cell)
        if at is None:
            skipped.append(Skipped(cell, f"named in {name}, not there"))
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


def write_folder_table(
    folder: str,
    names: Iterable[str],
    annotations: Annotations,
    original_names: Iterable[str] | None = None,
) -> None:
    """Write ``metadata.csv`` and ``metadata.json`` for the pictures ``names`` in a folder.

    ``original_names`` are what the pictures were called where they had to be renamed, "" for all
    others. One row at a time is in memory. No column may be called as that of the pictures' names.
    """
    columns = annotations.columns
    heads = [FILE_NAME, *(column.name for column in columns)]
    dtypes = {column.name: column.dtype for column in columns}
    cells: list[Iterable[str]] = [names, *(map(cell_text, column) for column in columns)]
    if original_names is not None:
        heads.insert(1, free_name(ORIGINAL_NAME, heads))
        dtypes = {heads[1]: TEXT} | dtypes
        cells.insert(1, original_names)
    path = os.path.join(folder, TABLE_FILE)
    # the names on disk may be bytes that are not UTF-8, which Python tells as surrogates
    with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(heads)
        table.writerows(zip(*cells, strict=True))
    about = annotations.metadata()
    about["dtypes"] = dtypes
    with open(os.path.join(folder, ABOUT_FILE), "x", encoding="utf-8") as file:
        json.dump(about, file, indent=1, ensure_ascii=False)
        file.write("\n")
