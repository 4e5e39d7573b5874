"""Names of columns that a kind of set has other uses for: the columns get others, and are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from aecodec.annotations.annotations import Annotations
from aecodec.annotations.values import NAME_MAX_NBYTES

SHOWN_CHARS = 60  # of a name in a message


def free_name(wanted: str, taken: Collection[str], tried: Counter[str] | None = None) -> str:
    """The name, or the first of ``name_2``, ``name_3`` and so on that is not taken.

    ``tried`` counts what was tried for each name, so that many of them take linear time.
    """
    tried = Counter() if tried is None else tried
    stem = wanted.encode()[: NAME_MAX_NBYTES - 24].decode(errors="ignore")
    name = wanted
    while name in taken:
        tried[stem] += 1
        name = f"{stem}_{tried[stem] + 1}"
    return name


def with_free_names(
    annotations: Annotations, reserved: Collection[str], refused: str = ""
) -> tuple[Annotations, tuple[str, ...]]:
    """The annotations with other names for columns whose own are reserved, and words about each.

    Characters that are ``refused`` in names become "_".
    """
    table = str.maketrans(dict.fromkeys(refused, "_"))
    columns, told, label = [], [], annotations.label
    own = {column.name for column in annotations.columns}
    taken, tried = {*reserved, *own}, Counter[str]()
    for column in annotations.columns:
        if (name := column.name.translate(table)) != column.name or name in reserved:
            name = free_name(name, taken, tried)
            taken.add(name)
            told.append(
                f"column {shown_name(column.name)} is called {shown_name(name)}, "
                "as its own name has another use there"
            )
            label = name if label == column.name else label
        columns.append(replace(column, name=name))
    return replace(annotations, columns=tuple(columns), label=label), tuple(told)


def shown_name(name: str) -> str:
    """A name of a stranger in a message: short, and in plain characters."""
    text = ascii(name[: SHOWN_CHARS + 1])[1:-1]
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
