"""Pictures that were renamed: told in a few words, and their own names in ``metadata.csv``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from aecodec.images.column_names import shown_name
from aecodec.images.safe_names import HIDDEN_CATEGORIES
from aecodec.images.tree_names import NamedPaths

NAMES_SHOWN = 3
CELL_MAX_CHARS = 1024  # of a name in the table


class Renames:
    """How many pictures were renamed, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[str, str]] = []

    def add(self, name: str, path: str) -> None:
        """One more picture, which is at ``path`` in the folder."""
        self.count += 1
        if len(self.first) < NAMES_SHOWN:
            self.first.append((name, path))

    def notes(self) -> tuple[str, ...]:
        """What is to be told, as words for people."""
        if not self.count:
            return ()
        pictures = "1 picture has" if self.count == 1 else f"{self.count:,} pictures have"
        some = ", ".join(f"{shown_name(path)} for {shown_name(name)}" for name, path in self.first)
        more = ", ..." if self.count > NAMES_SHOWN else ""
        told = (
            f"{pictures} another name than in the file, as not every system can have that one "
            f"(metadata.csv has both): {some}{more}"
        )
        return (told,)


def original_cells(names: Sequence[str], paths: NamedPaths) -> Iterator[str]:
    """The names of the pictures that were renamed, and "" for all others, for a table."""
    return (_cell(name) if paths.renamed(i) else "" for i, name in enumerate(names))


def _cell(name: str) -> str:
    """A name as it is, or with escapes for what no table holds; the start of a long one."""
    shown = name[:CELL_MAX_CHARS]
    cell = "".join(map(_plain_char, shown))
    return cell if shown == name else f"{cell}..."


def _plain_char(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) not in HIDDEN_CATEGORIES:
        return char
    return char.encode("unicode_escape").decode("ascii")
