"""Text files of users: their encoding, their lines, and the cells of their tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aecodec.errors import ImageSetError

# The longer marks first: that of UTF-32 starts as that of UTF-16 does.
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
DELIMITERS = ("\t", ";", ",")  # of two that fit alike, the later one
_LINE_END = re.compile("\r\n|\n|\r")
_STATED_MARK = re.compile("sep=([,;\t])\r?\n")  # a first line by Excel


class Row(NamedTuple):
    """A row of a table, and the line of the file, from 1, that it ends on."""

    line: int
    cells: list[str]


def decode_text(data: bytes, *, keep_bytes: bool = False) -> str:
    """A text in UTF-8, or in what its byte order mark says; the mark is left out.

    UnicodeDecodeError for anything else. With ``keep_bytes``, bytes that are not UTF-8 become
    surrogates, as in the names of files that Python gives.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            if encoding == "utf-8":
                data = data[len(mark) :]
                break
            return data[len(mark) :].decode(encoding)
    return data.decode("utf-8", "surrogateescape" if keep_bytes else "strict")


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends: LF, CR LF or CR, and no other character."""
    lines = _LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def table_rows(
    text: str, label: str, is_known: Callable[[str], bool] = lambda name: False
) -> list[Row]:
    """The rows of a table whose cells stand between commas, semicolons or tabs.

    The first row decides between them: by cells that ``is_known`` knows, then by whether there are
    several. Empty lines are passed over. ImageSetError for uneven rows, and for quotes that do not
    match; ``label`` names the file.
    """
    if stated := _STATED_MARK.match(text):
        rows = _rows(text, label, stated[1])[1:]
    else:
        ranked = sorted(DELIMITERS, key=lambda mark: _rank(text, label, mark, is_known))
        rows = _rows(text, label, ranked[-1])
        if ranked[-1] != "," and _uneven(rows):  # a mark inside the name of the only column
            commas = _rows(text, label, ",")
            rows = rows if _uneven(commas) else commas
    if (uneven := _uneven(rows)) is not None:
        found, expected = len(uneven.cells), len(rows[0].cells)
        raise ImageSetError(
            f"{label}: line {uneven.line} has {found} cells, expected {expected} as in the first"
        )
    return rows


def _rank(text: str, label: str, mark: str, is_known: Callable[[str], bool]) -> tuple[bool, bool]:
    first = _rows(text, label, mark, only_first=True)
    cells = first[0].cells if first else []
    return any(map(is_known, cells)), len(cells) > 1


def _uneven(rows: Sequence[Row]) -> Row | None:
    """The first row that has more or fewer cells than the first."""
    return next((row for row in rows if len(row.cells) != len(rows[0].cells)), None)


def _rows(text: str, label: str, mark: str, *, only_first: bool = False) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows = []
    try:
        for cells in reader:
            if cells:
                rows.append(Row(reader.line_num, cells))
                if only_first:
                    break
    except csv.Error as error:
        raise ImageSetError(
            f"{label}: not a table in CSV, line {reader.line_num}: {error}"
        ) from error
    return rows
