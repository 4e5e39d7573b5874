"""What a set has besides its pixels: columns, labels, classes, title, origin, licence.

Needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from aecodec.annotations.column import Column
from aecodec.annotations.foreign import named_values
from aecodec.annotations.values import NAME_MAX_NBYTES, text_fault
from aecodec.errors import AezCorruptError

if TYPE_CHECKING:
    Values = Iterable[Any]  # a value for each image: Column.of says of which kinds

LABEL: Final = "label"
LABEL_NAMES: Final = (LABEL, "labels", "y", "target", "targets")  # names of columns of labels
ABOUT: Final = ("title", "origin", "licence")
ABOUT_MAX_NBYTES: Final = 65535
CLASSES_MAX: Final = 65536


@dataclass(frozen=True)
class Annotations:
    """Columns and facts of an image set.

    ``label`` is the name of the column of labels. If there are ``classes``, the labels are their
    positions, from 0.
    """

    columns: tuple[Column, ...] = ()
    label: str | None = None
    classes: tuple[str, ...] = ()
    title: str | None = None
    origin: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"columns: a name occurs twice among {', '.join(names)}")
        if fault := about_fault({name: getattr(self, name) for name in ABOUT}, self.classes):
            raise ValueError(fault)

    def column(self, name: str) -> Column:
        """The column of this name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def labels(self) -> Column | None:
        """The column of labels, or None."""
        return None if self.label is None else self.column(self.label)

    def over(self, others: Annotations) -> Annotations:
        """These, and what the ``others`` have and these lack; labels keep their own classes."""
        columns = {column.name: column for column in (*others.columns, *self.columns)}
        merged = {
            name: getattr(self, name) if getattr(self, name) is not None else getattr(others, name)
            for name in ABOUT
        }
        first = self if self.label is not None or self.classes else others
        classes = self.classes or (() if self.label is not None else others.classes)
        return Annotations(
            tuple(columns.values()),
            first.label if first.label is not None else others.label,
            classes,
            **merged,
        )

    def take(self, indices: Sequence[int]) -> Annotations:
        """The annotations of the images at these indices."""
        return replace(self, columns=tuple(column.take(indices) for column in self.columns))

    def require_count(self, image_count: int) -> None:
        """ValueError unless columns have a value for each image and labels number the classes."""
        for column in self.columns:
            if len(column) != image_count:
                raise ValueError(
                    f"column {column.name}: {len(column)} values, expected {image_count}, "
                    "one for each image"
                )
        if fault := class_fault(self.labels, self.classes):
            raise ValueError(fault)

    def metadata(self) -> dict[str, Any]:
        """The entries of META for these annotations (aez.md 16.1)."""
        entries: dict[str, Any] = {name: getattr(self, name) for name in ABOUT}
        entries |= {"label": self.label, "classes": list(self.classes) or None}
        return {name: value for name, value in entries.items() if value is not None}


def annotate(
    labels: Values | None = None,
    columns: Mapping[str, Values] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Annotations:
    """Annotations from a caller's arrays, lists or columns of one value for each image.

    ``columns`` map names to values; a data frame or table does, too.
    ``labels`` become the column "label". Without them, the column whose name comes first in
    LABEL_NAMES is the one of labels. ``about`` may have title, origin and licence, and classes, a
    list of texts.
    """
    made = {name: _column(name, values) for name, values in named_values(columns).items()}
    if labels is not None:
        made[LABEL] = _column(LABEL, labels)
    known = {field.name for field in fields(Annotations)} - {"columns", "label"}
    given = dict(about or {})
    if unknown := set(given) - known:
        raise ValueError(
            f"about: {', '.join(sorted(unknown))}, expected {', '.join(sorted(known))}"
        )
    given["classes"] = tuple(given.get("classes", ()))
    return Annotations(tuple(made.values()), label_name(made), **given)


def _column(name: str, values: Iterable[Any]) -> Column:
    return replace(values, name=name) if isinstance(values, Column) else Column.of(name, values)


def label_name(names: Mapping[str, Any]) -> str | None:
    """The name of the column of labels among these, by LABEL_NAMES; None if there is none."""
    return next((name for name in LABEL_NAMES if name in names), None)


def read_metadata(metadata: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``label``, ``classes`` and ABOUT of a META section; AezCorruptError for a bad one."""
    label, classes = metadata.get("label"), metadata.get("classes", [])
    about = {name: metadata.get(name) for name in ABOUT}
    if label is not None and not isinstance(label, str):
        raise AezCorruptError(f"{where}: META: label is {label!r:.40}, expected a text")
    if not isinstance(classes, list):
        raise AezCorruptError(f"{where}: META: classes is {classes!r:.40}, expected a list")
    if fault := about_fault(about, classes):
        raise AezCorruptError(f"{where}: META: {fault}")
    return {"label": label, "classes": tuple(classes), **about}


def about_fault(about: Mapping[str, Any], classes: Sequence[Any]) -> str | None:
    """What is wrong with title, origin, licence or the classes, or None."""
    for name, text in about.items():
        if text is not None and not isinstance(text, str):
            return f"{name} is {text!r:.40}, expected a text"
        if text is not None and (fault := text_fault(text, ABOUT_MAX_NBYTES)):
            return f"{name} {text!r:.40} {fault}"
    if len(classes) > CLASSES_MAX:
        return f"{len(classes)} classes, expected at most {CLASSES_MAX}"
    for i, text in enumerate(classes):
        if not isinstance(text, str):
            return f"class {i} is {text!r:.40}, expected a text"
        if fault := text_fault(text, NAME_MAX_NBYTES):
            return f"class {i} {text!r:.40} {fault}"
    if len(set(classes)) < len(classes):
        return "a class occurs twice"
    return None


def class_fault(labels: Column | None, classes: Sequence[str]) -> str | None:
    """What keeps the labels from numbering the classes, or None."""
    if not classes:
        return None
    if labels is None:
        return "classes are given, and no column of labels"
    if "int" not in labels.dtype:
        return (
            f"column {labels.name}: dtype is {labels.dtype}, expected integers: classes are given"
        )
    for value in (min(labels, default=0), max(labels, default=0)):
        if not 0 <= value < len(classes):  # type: ignore[operator]
            return f"column {labels.name}: {value}, expected 0..{len(classes) - 1}: the classes"
    return None
