"""Files of labels and columns: tables in CSV, arrays, and texts of one label a line."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import LABEL, LABEL_NAMES
from aecodec.annotations.column import Column
from aecodec.annotations.values import TEXT
from aecodec.errors import ImageSetError
from aecodec.images.base import PassedOver, Skipped
from aecodec.images.members import is_npz, split_member
from aecodec.images.npz import read_npz_labels
from aecodec.images.pairing import Rows, is_name_header
from aecodec.images.plain import parse_npy, unzipped
from aecodec.images.streams import read_idx_dims
from aecodec.images.texts import decode_text, split_lines, table_rows

LABELS_MAX_NBYTES = 1 << 30
_BINARY = (b"\x93NUMPY", b"PK\x03\x04", b"\0\0\x08", b"\x89")  # no text starts so
TABLE_SUFFIXES = (".csv", ".tsv")
ACCEPTED = "an IDX file, .npy, .npz, CSV or text, one a line"


class Table(NamedTuple):
    """The cells of a table by column, and the line of the file that each row ends on."""

    cells: dict[str, list[Any]]
    lines: list[int]
    passed_over: tuple[Skipped, ...] = ()

    def rows(self, where: str) -> Rows:
        """The table with typed columns; ImageSetError for a name or text that none can have."""
        self.require_texts(where)
        try:
            columns = tuple(typed_column(name, column) for name, column in self.cells.items())
        except ValueError as error:
            raise ImageSetError(f"{where}: {error}") from error
        return Rows(where, columns, self.lines, self.passed_over)

    def require_texts(self, where: str, but: str | None = None) -> None:
        """ImageSetError for a cell whose bytes are not UTF-8.

        Names of files may be any bytes: those in the column ``but``, or in a column that is called
        as names of images are.
        """
        for name, column in self.cells.items():
            if name == but or (but is None and is_name_header(name)):
                continue
            for line, cell in zip(self.lines, column, strict=True):
                if isinstance(cell, str) and not cell.isascii() and (fault := _utf8_fault(cell)):
                    raise ImageSetError(f"{where}: line {line}, column {name!r}: {fault}")


def _utf8_fault(cell: str) -> str | None:
    """What is wrong with the bytes of a cell that was read with surrogates for them, or None."""
    try:
        cell.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        return str(error)
    return None


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
            if cells and [cell_text(value) for value in column.values] == list(cells):
                return column
        return Column.of(name, list(cells), TEXT)
    if dtype == TEXT:
        return Column.of(name, list(cells), TEXT)
    if dtype == "bool":
        return Column.of(name, [{"True": True, "False": False}.get(c, c) for c in cells], dtype)
    return Column.of(name, [(float if "float" in dtype else int)(c) for c in cells], dtype)


def cell_text(value: object) -> str:
    """The cell of a table for a value, from which :func:`typed_column` restores it."""
    return repr(value) if isinstance(value, float) else str(value)


def read_table(path: str | os.PathLike[str]) -> Table:
    """The cells of a CSV file by column, named in the first row; ImageSetError for uneven rows.

    A first column without a name that counts the rows, as pandas writes its index, and columns
    with neither name nor content are passed over.
    """
    with open(path, "rb") as file:
        return parse_table(unzipped(file.read(), os.fspath(path)), os.fspath(path))


def read_rows(path: str | os.PathLike[str]) -> Rows:
    """The columns of a CSV file of one row for each image; see :func:`read_table`."""
    return read_table(path).rows(os.fspath(path))


def parse_table(data: bytes, label: str) -> Table:
    """As :func:`read_table`, of the bytes of a file."""
    try:
        text = decode_text(data, keep_bytes=True)
    except UnicodeDecodeError as error:
        raise ImageSetError(f"{label}: not a table in CSV, {error}") from error
    if data.startswith(_BINARY):
        raise ImageSetError(f"{label}: not a table in CSV, it starts with {data[:8]!r}")
    rows = table_rows(text, label, _is_known_header)
    if not rows:
        raise ImageSetError(f"{label}: an empty file, expected a first row with names of columns")
    header, body = rows[0].cells, rows[1:]
    cells: dict[str, list[str]] = {}
    passed_over = []
    for i, name in enumerate(header):
        column = [row.cells[i] for row in body]
        if not name and (reason := needless(i, column)):
            passed_over.append(PassedOver(f"column {i + 1}", reason))
            continue
        if not name:
            raise ImageSetError(
                f"{label}: column {i + 1} of {len(header)} has no name, its first value is "
                f"{''.join(column[:1])!r}: name it in the first row, or drop the column"
            )
        if name in cells:
            raise ImageSetError(
                f"{label}: two columns are called {name!r}, expected a first row of different names"
            )
        cells[name] = column
    return Table(cells, [row.line for row in body], tuple(passed_over))


def needless(position: int, cells: Sequence[str]) -> str | None:
    """Why a column without a name holds nothing that a file need keep, or None."""
    if not any(cells):
        return "it has neither a name nor values"
    if position == 0 and any(
        all(cell == str(i) for i, cell in enumerate(cells, start)) for start in (0, 1)
    ):
        return "it has no name and counts the rows, as an index of pandas does"
    return None


def _is_known_header(name: str) -> bool:
    return is_name_header(name) or name.strip().casefold() in LABEL_NAMES


# --- Labels ---


def read_labels(path: str | os.PathLike[str]) -> Column:
    """The labels in a file, in its own order: see :func:`read_label_rows`."""
    columns = read_label_rows(path).columns
    return next(column for column in columns if column.name == LABEL)


def read_label_rows(path: str | os.PathLike[str]) -> Rows:
    """The column "label" of a file, and the column with the names of images if it has one.

    The file is an IDX file, a ``.npy``, an ``.npz`` (``FILE.npz:ARRAY`` picks an array), a CSV
    file, or a text of one label a line; all of them may be gzipped. Lines and cells become numbers
    if all of them are numbers. Raises ImageSetError for any other file.
    """
    label, member = split_member(path)
    with open(label, "rb") as file:
        if is_npz(head := file.read(4)):
            return Rows(label, (_read_npz(file, head, label, member),))
        data = unzipped(head + file.read(), label)
    if member is not None:
        raise ImageSetError(f"{label}: is no .npz, so it has no array {member!r}")
    if data.startswith(b"\0\0") and not data.startswith(b"\0\0\xfe\xff"):
        return Rows(label, (_idx_labels(data, label),))
    if data.startswith(b"\x93NUMPY"):
        return Rows(label, (_of_array(parse_npy(data, label), label),))
    try:
        text = decode_text(data)
        if "\0" in text:
            raise ImageSetError(f"{label}: holds the character U+0000, expected labels in text")
    except UnicodeDecodeError as error:
        raise ImageSetError(f"{label}: expected labels in {ACCEPTED}: {error}") from error
    if _is_table(text, label):
        return _labels_of_table(parse_table(data, label), label)
    return Rows(label, (typed_column(LABEL, split_lines(text)),))


def _is_table(text: str, label: str) -> bool:
    """Whether the first line of a text names columns, so that the text is a table of labels."""
    first = split_lines(text[: text.find("\n") + 1] or text)[:1]
    cells = table_rows(first[0], label, _is_known_header) if first and first[0] else []
    names = cells[0].cells if cells else []
    named = [is_name_header(name) for name in names]
    labelled = [name.strip().casefold() in LABEL_NAMES for name in names]
    if label.lower().removesuffix(".gz").endswith(TABLE_SUFFIXES):
        return len(names) > 1 or any(labelled)
    return any(named) and any(labelled)


def _labels_of_table(table: Table, label: str) -> Rows:
    """The column of labels, and that with the names of images; the others are passed over."""
    rows = table.rows(label)
    names = [column for column in rows.columns if is_name_header(column.name)]
    others = [column for column in rows.columns if column not in names]
    by_name = {column.name.strip().casefold(): column for column in others}
    found = next((by_name[name] for name in LABEL_NAMES if name in by_name), None)
    if found is None and len(others) == 1:
        found = others[0]
    if found is None:
        held = ", ".join(repr(column.name) for column in rows.columns) or "no column"
        raise ImageSetError(
            f"{label}: expected a column of labels, called {', '.join(LABEL_NAMES)}, found {held}"
        )
    passed_over = [
        PassedOver(f"column {column.name}", "it holds no labels; --columns takes it")
        for column in others
        if column is not found
    ]
    return replace(
        rows,
        columns=(*names, replace(found, name=LABEL)),
        passed_over=(*rows.passed_over, *passed_over),
    )


def _idx_labels(data: bytes, label: str) -> Column:
    stream = io.BytesIO(data)
    dims, dtype = read_idx_dims(stream, label)
    if len(dims) != 1:
        raise ImageSetError(f"{label}: IDX of {len(dims)} dimensions, expected 1: labels")
    stored = np.dtype(dtype).newbyteorder(">")
    nbytes = dims[0] * stored.itemsize
    if nbytes > LABELS_MAX_NBYTES:
        raise ImageSetError(f"{label}: {nbytes} bytes of labels, the limit is {LABELS_MAX_NBYTES}")
    found = len(data) - stream.tell()
    if found != nbytes:
        more = f"more than {nbytes}" if found > nbytes else str(found)
        raise ImageSetError(f"{label}: expected {nbytes} bytes of labels, found {more}")
    return Column.of(LABEL, np.frombuffer(stream.read(), stored).astype(dtype))


def _read_npz(file: BinaryIO, head: bytes, label: str, member: str | None) -> Column:
    if not file.seekable():
        return read_npz_labels(io.BytesIO(head + file.read()), label, member)
    file.seek(0)
    return read_npz_labels(file, label, member)


def _of_array(array: npt.NDArray[Any], label: str) -> Column:
    try:
        return Column.of(LABEL, array)
    except ValueError as error:
        raise ImageSetError(f"{label}: {error}") from error
