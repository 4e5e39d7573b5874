"""Rows of tables and the images that they are for: paired by the images' names."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aecodec.annotations.annotations import LABEL
from aecodec.annotations.column import Column
from aecodec.errors import ImageSetError
from aecodec.images.base import Skipped
from aecodec.images.pictures import is_picture

FILE_NAME = "file_name"
# What a column of names is called, in any case and without "_", "-" and spaces. The first two say
# it alone; the others only if their values are names of pictures.
_HEADERS = (
    "filename",
    "filenames",
    "filepath",
    "path",
    "file",
    "imagepath",
    "imagename",
    "imagefile",
    "image",
    "imgpath",
    "imgname",
    "img",
    "picture",
    "name",
)
_SURE_HEADERS = _HEADERS[:2]
_SHOWN = 3  # names in a message


def is_name_header(header: str) -> bool:
    """Whether a column of this name may hold the names of pictures."""
    return _plain_header(header) in _HEADERS


def _plain_header(header: str) -> str:
    return header.strip().casefold().translate(dict.fromkeys(map(ord, "_- ")))


@dataclass(frozen=True)
class Rows:
    """Columns from one table; ``where`` names it in messages.

    ``lines`` are the numbers of the rows' lines in the file, or None. ``passed_over`` are columns
    of the file that are not among these.
    """

    where: str
    columns: tuple[Column, ...]
    lines: Sequence[int] | None = None
    passed_over: tuple[Skipped, ...] = ()

    def paired(
        self, names: Sequence[str], skipped: Collection[str] = ()
    ) -> tuple[Column, ...] | None:
        """The columns in the order of ``names``, without the one that holds the names.

        None if no column does. ``skipped`` are entries of the set that are no images: rows for
        them are left out. ImageSetError unless there is one row for each image and no other.
        """
        images = NamesOfImages(names)
        texts = {column.name: _texts(column) for column in self.columns}
        column = name_column(texts, images)
        if column is None:
            return None
        cells = texts[column]
        found = [images.find(cell) for cell in cells]
        others = NamesOfImages(tuple(skipped))
        strangers = [
            i for i, at in enumerate(found) if at is None and others.find(cells[i]) is None
        ]
        row_of = {at: i for i, at in enumerate(found) if at is not None}
        twice = [i for i, at in enumerate(found) if at is not None and row_of[at] != i]
        lone = [name for at, name in enumerate(names) if at not in row_of]
        faults = [
            self._fault(strangers, cells, "names no image", "name no image"),
            self._fault(twice, cells, "names an image again", "name an image again"),
        ]
        if lone:
            have = "image has no row" if len(lone) == 1 else "images have no row"
            faults.append(f"{len(lone):,} {have}: {_some([repr(name) for name in lone])}")
        if any(faults):
            raise ImageSetError(
                f"{self.where}: column {column} pairs rows with images; "
                + "; ".join(filter(None, faults))
            )
        order = [row_of[at] for at in range(len(names))]
        return tuple(other.take(order) for other in self.columns if other.name != column)

    def _fault(self, rows: Sequence[int], cells: Sequence[str], one: str, many: str) -> str:
        if not rows:
            return ""
        verb = f"row {one}" if len(rows) == 1 else f"rows {many}"
        return f"{len(rows):,} {verb}: " + _some([f"{self.place(i)} {cells[i]!r}" for i in rows])

    def place(self, row: int) -> str:
        """Where a row is, as words for people."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"


class NamesOfImages:
    """Names of images, to be found under other spellings too.

    A name is found as it is; then whatever its Unicode form is, with "\\" for "/", or "./" in
    front; then without its suffix. A spelling that fits two names finds neither.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name: i for i, name in enumerate(names)}
        self._plain: dict[str, int | None] = {}
        self._stems: dict[str, int | None] = {}
        for i, name in enumerate(names):
            plain = _plain_name(name)
            for known, key in ((self._plain, plain), (self._stems, posixpath.splitext(plain)[0])):
                known[key] = None if key in known else i

    def find(self, cell: str) -> int | None:
        """The position of the image that a cell names; None for no image."""
        if (at := self._exact.get(cell)) is not None:
            return at
        plain = _plain_name(cell)
        return self._plain[plain] if plain in self._plain else self._stems.get(plain)

    def are_meant_by(self, cells: Sequence[str]) -> bool:
        """Whether most of the cells are names of these images, or look like names of pictures."""
        named = sum(
            is_picture(posixpath.basename(cell)) or self.find(cell) is not None for cell in cells
        )
        return 2 * named > len(cells)


def name_column(columns: Mapping[str, Sequence[str]], images: NamesOfImages) -> str | None:
    """Which of these columns of texts holds the names of images, or None."""
    found: dict[str, str] = {}
    for name, cells in columns.items():
        header = _plain_header(name)
        sure = header in _SURE_HEADERS
        if sure or (header in _HEADERS and images.are_meant_by(cells)):
            found.setdefault(header, name)
    return next((found[header] for header in _HEADERS if header in found), None)


def _plain_name(name: str) -> str:
    return posixpath.normpath(unicodedata.normalize("NFC", name).replace("\\", "/"))


def _texts(column: Column) -> list[str]:
    return [str(value) for value in column.values]


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")


def paired_columns(
    tables: Sequence[Rows], names: Sequence[str] | None, skipped: Collection[str] = ()
) -> tuple[Column, ...]:
    """The columns of all tables, for images with these names, or without any.

    A table that names its images has its rows put in their order (:meth:`Rows.paired`); all others
    are in that order. Columns of one name replace those of the tables before. ImageSetError where
    two tables name images that have no names of their own, and differ.
    """
    columns: dict[str, Column] = {}
    for table in tables:
        paired = None if names is None else table.paired(names, skipped)
        for column in table.columns if paired is None else paired:
            before = columns.get(column.name)
            if before is not None and before != column and is_name_header(column.name):
                raise ImageSetError(
                    f"{table.where}: column {column.name} names other images than the column "
                    "of this name that was given besides"
                )
            columns[column.name] = column
    return tuple(columns.values())


def paired_labels(rows: Rows, names: Sequence[str] | None, skipped: Collection[str] = ()) -> Column:
    """The column "label" of a table, for images with these names; see :func:`paired_columns`."""
    columns = paired_columns([rows], names, skipped)
    return next(column for column in columns if column.name == LABEL)
