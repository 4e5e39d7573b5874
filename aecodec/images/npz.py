"""``.npz``: the images, and in other arrays labels, columns, names, title and the like."""

from __future__ import annotations

import shutil
import struct
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import BinaryIO, cast

from aecodec.annotations.annotations import (
    ABOUT,
    LABEL,
    LABEL_NAMES,
    Annotations,
    label_name,
)
from aecodec.annotations.column import Column
from aecodec.errors import ImageSetError
from aecodec.images.base import READ_NBYTES, ImageSource, Skipped, damage_named
from aecodec.images.beside import CLASSES, LABEL_COLUMN, NAMES, Beside
from aecodec.images.members import (
    NPZ_MEMBER,
    belonging_to_others,
    images_member,
    labels_member,
    labels_of,
    members_of,
    named_member,
)
from aecodec.images.streams import open_npy

RESERVED = (NPZ_MEMBER, *ABOUT, NAMES, CLASSES, LABEL_COLUMN)


def open_npz(
    file: BinaryIO, label: str, stack: ExitStack, chosen: str | None = None, *, is_file: bool = True
) -> ImageSource:
    """The images of an .npz, with names and annotations from its other arrays.

    ``chosen`` is the name of the array of images; without it the only one that can be images is
    taken. Labels that go with it by name (y_train with x_train) become the column "label"; what
    goes with other arrays of images is not read. ``stack`` closes what is opened. ImageSetError if
    the file is damaged, has no images or several arrays of them; ``is_file`` says that ``label`` is
    a path, for the message.
    """
    if not file.seekable():  # the directory of a zip is at its end
        on_disk = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(file, on_disk, READ_NBYTES)
        file = cast("BinaryIO", on_disk)
    with _damage_named(label):
        archive = stack.enter_context(zipfile.ZipFile(file))
        members = members_of(archive, label)
        if chosen is None:
            images = images_member(members, label, is_file=is_file).name
            apart: set[str] = set()
        else:
            images = named_member(members, chosen, label).name
            others = [m.name for m in members if m.is_pictorial and m.name != images]
            apart = belonging_to_others([m.name for m in members], images, others)
        stream = stack.enter_context(archive.open(f"{images}.npy"))
        source = open_npy(stream, f"{label}: {images}.npy", "npz", rewindable=True)
        entries = [e for e in archive.namelist() if e.removesuffix(".npy") not in (images, *apart)]
        _read_beside(archive, entries, images, source, label)
        return source


def read_npz_labels(file: BinaryIO, label: str, chosen: str | None) -> Column:
    """The labels in an .npz: the array ``chosen``, that of a usual name, or the only one.

    ImageSetError for a damaged file, and for an array of another kind.
    """
    with _damage_named(label), zipfile.ZipFile(file) as archive:
        members = members_of(archive, label)
        find = labels_member(members, label) if chosen is None else None
        member = find or named_member(members, chosen or "", label)
        count = (*member.header.dims, 0)[0]
        found = Beside(archive, label, RESERVED).read(f"{member.name}.npy", count)
    if isinstance(found, list):
        found = Column.of(LABEL, found)
    if isinstance(found, str):
        raise ImageSetError(f"{label}: array {member.name!r} cannot be labels: {found}")
    return replace(found, name=LABEL)


def _damage_named(label: str) -> AbstractContextManager[None]:
    # RuntimeError: encrypted, or an unknown compression; the others: damage in the directory
    return damage_named(label, RuntimeError, ValueError, struct.error)


def _read_beside(
    archive: zipfile.ZipFile, entries: Sequence[str], images: str, source: ImageSource, label: str
) -> None:
    """Names and annotations from the other arrays; the rest is listed as skipped."""
    beside = Beside(archive, label, RESERVED)
    columns: dict[str, Column] = {}
    texts: dict[str, list[str]] = {}
    skipped = []
    own_labels = labels_of(images, [entry.removesuffix(".npy") for entry in entries])
    for entry in dict.fromkeys(entries):
        found = beside.read(entry, source.image_count)
        if isinstance(found, str):
            skipped.append(Skipped(entry, found))
        elif isinstance(found, Column):
            columns[found.name] = found
        else:
            texts[entry.removesuffix(".npy")] = found
    if own_labels in columns and own_labels not in LABEL_NAMES and LABEL not in columns:
        columns[LABEL] = replace(columns.pop(own_labels), name=LABEL)
    names = texts.pop(NAMES, None)
    classes = tuple(texts.pop(CLASSES, ()))
    about = {name: text[0] or None for name, text in texts.items() if name in ABOUT}
    wanted = texts[LABEL_COLUMN][0] if LABEL_COLUMN in texts else label_name(columns)
    try:
        source.annotations = Annotations(tuple(columns.values()), wanted, classes, **about)
        source.annotations.require_count(source.image_count)
    except (ValueError, KeyError) as error:
        raise ImageSetError(f"{label}: {error}") from error
    source.names = None if names is None else tuple(names)
    source.skipped = tuple(skipped)
    source.label = label
    source._tell()
