"""Text files of users: their encoding, their lines, and the cells of their tables."""

from __future__ import annotations

import csv
import re
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aecodec.errors import ImageSetError
from aecodec.limits import DEFAULT_LIMITS

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
PARSED_MAX_NBYTES = DEFAULT_LIMITS.max_column_nbytes  # of the values of a table
PARSED_TIMES = 32  # or so many times the bytes of its file, if that is more
VALUE_NBYTES = 24  # that a value takes besides its text, until it is in a column
_KNOWN_CELLS = 1 << 16
_STATED_MARK = re.compile("sep=([,;\t])\r?\n")  # a first line by Excel


class Cells(NamedTuple):
    """A table: the cells of its first row, those below each, and the lines that the rows end on."""

    header: list[str]
    header_line: int
    columns: list[list[str]]
    lines: array[int]


class _UnevenError(Exception):
    """A row has more or fewer cells than the first."""


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


def parsed_max_nbytes(file_nbytes: int) -> int:
    """How much memory the values of a table may take, that is in a file of so many bytes."""
    return max(PARSED_MAX_NBYTES, PARSED_TIMES * file_nbytes)


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends: LF, CR LF or CR, and no other character."""
    lines = _LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def table_cells(
    text: str,
    label: str,
    is_known: Callable[[str], bool] = lambda name: False,
    max_nbytes: int = PARSED_MAX_NBYTES,
) -> Cells:
    """The cells of a table, which stand between commas, semicolons or tabs.

    The first row decides between them: by cells that ``is_known`` knows, then by whether there are
    several. Empty lines are passed over. ImageSetError for uneven rows, for quotes that do not
    match, and for cells that take more than ``max_nbytes``; ``label`` names the file.
    """
    if stated := _STATED_MARK.match(text):
        marks = [stated[1]]
    else:
        ranked = sorted(DELIMITERS, key=lambda mark: _rank(text, label, mark, is_known))
        marks = [ranked[-1], ","]  # a mark may be inside the name of the only column
    start = stated.end() if stated else 0
    first: _UnevenError | None = None
    for mark in dict.fromkeys(marks):
        try:
            return _cells(text, start, label, mark, max_nbytes)
        except _UnevenError as error:  # noqa: PERF203  # of two marks
            first = first or error
    raise ImageSetError(f"{label}: {first}")


def _rank(text: str, label: str, mark: str, is_known: Callable[[str], bool]) -> tuple[bool, bool]:
    cells = next(_rows(text, 0, label, mark), (0, []))[1]
    return any(map(is_known, cells)), len(cells) > 1


def _cells(text: str, start: int, label: str, mark: str, max_nbytes: int) -> Cells:
    rows = _rows(text, start, label, mark)
    header_line, header = next(rows, (0, []))
    columns: list[list[str]] = [[] for _ in header]
    lines, known, left = array("Q"), dict[str, str](), max_nbytes
    for line, cells in rows:
        if len(cells) != len(header):
            raise _UnevenError(
                f"line {line} has {len(cells)} cells, expected {len(header)} as in the first"
            )
        lines.append(line)
        left -= VALUE_NBYTES * (1 + len(cells))
        for column, cell in zip(columns, cells, strict=True):
            same = known.get(cell)
            if same is None:
                left -= sys.getsizeof(cell)
                if len(known) < _KNOWN_CELLS:
                    known[cell] = cell
            column.append(cell if same is None else same)
        if left < 0:
            raise too_large(label, max_nbytes)
    return Cells(header, header_line, columns, lines)


def too_large(label: str, max_nbytes: int) -> ImageSetError:
    """The error for a table whose values take too much memory."""
    return ImageSetError(
        f"{label}: the values of the table take over {max_nbytes:,} bytes of memory, the limit "
        f"({PARSED_MAX_NBYTES:,}, or {PARSED_TIMES} times the file)"
    )


def _rows(text: str, start: int, label: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, and the line of the file, from 1, that each ends on."""
    reader = csv.reader(_lines(text, start), delimiter=mark, strict=True)
    before = 1 if start else 0
    try:
        for cells in reader:
            if cells:
                yield before + reader.line_num, cells
    except csv.Error as error:
        raise ImageSetError(
            f"{label}: not a table in CSV, line {before + reader.line_num}: {error}"
        ) from error


def _lines(text: str, start: int) -> Iterator[str]:
    """The lines of a text with their ends, one by one."""
    for found in _LINE_END.finditer(text, start):
        yield text[start : found.end()]
        start = found.end()
    if start < len(text):
        yield text[start:]
