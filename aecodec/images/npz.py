"""``.npz``: the images, and in other arrays labels, columns, names, title and the like."""

from __future__ import annotations

import math
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import (
    ABOUT,
    LABEL,
    LABEL_NAMES,
    Annotations,
    annotate,
)
from aecodec.annotations.column import Column
from aecodec.errors import ImageSetError
from aecodec.images.base import READ_NBYTES, ImageSource, Skipped, damage_named
from aecodec.images.members import (
    NPZ_MEMBER,
    belongs_to_others,
    images_member,
    labels_member,
    labels_of,
    members_of,
    named_member,
)
from aecodec.images.streams import open_npy, read_npy_header

NAMES, CLASSES, LABEL_COLUMN = "names", "classes", "label_column"
RESERVED = (NPZ_MEMBER, *ABOUT, NAMES, CLASSES, LABEL_COLUMN)
BESIDE_MAX_NBYTES = 1 << 30  # of each array other than the images


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
            apart = {m.name for m in members if belongs_to_others(m.name, images, others)}
        stream = stack.enter_context(archive.open(f"{images}.npy"))
        source = open_npy(stream, f"{label}: {images}.npy", "npz", rewindable=True)
        entries = [e for e in archive.namelist() if e.removesuffix(".npy") not in (images, *apart)]
        _read_beside(archive, entries, images, source, label)
        return source


def read_npz_labels(file: BinaryIO, label: str, chosen: str | None) -> npt.NDArray[Any]:
    """The labels (N,) in an .npz: the array ``chosen``, that of a usual name, or the only one.

    ImageSetError for a damaged file, and for an array of another kind.
    """
    with _damage_named(label), zipfile.ZipFile(file) as archive:
        members = members_of(archive, label)
        find = labels_member(members, label) if chosen is None else None
        member = find or named_member(members, chosen or "", label)
        count = (*member.header.dims, 0)[0]
        array = _read_array(archive, f"{member.name}.npy", count, label)
    if isinstance(array, str):
        raise ImageSetError(f"{label}: array {member.name!r} cannot be labels: {array}")
    return array


def _damage_named(label: str) -> AbstractContextManager[None]:
    # RuntimeError: encrypted, or an unknown compression; the others: damage in the directory
    return damage_named(label, RuntimeError, ValueError, struct.error)


def _read_beside(
    archive: zipfile.ZipFile, entries: Sequence[str], images: str, source: ImageSource, label: str
) -> None:
    """Names and annotations from the other arrays; the rest is listed as skipped."""
    found: dict[str, npt.NDArray[Any]] = {}
    skipped = []
    own_labels = labels_of(images, [entry.removesuffix(".npy") for entry in entries])
    for entry in entries:
        array = _read_array(archive, entry, source.image_count, label)
        if isinstance(array, str):
            skipped.append(Skipped(entry, array))
        else:
            found[entry.removesuffix(".npy")] = array
    if own_labels in found and own_labels not in LABEL_NAMES and LABEL not in found:
        found[LABEL] = found.pop(own_labels)
    about: dict[str, Any] = {name: str(found.pop(name)) for name in ABOUT if name in found}
    about["classes"] = found.pop(CLASSES, np.empty(0, np.str_)).tolist()
    names = found.pop(NAMES, None)
    chosen = found.pop(LABEL_COLUMN, None)
    try:
        annotations = annotate(columns={name: Column.of(name, a) for name, a in found.items()})
        wanted = annotations.label if chosen is None else str(chosen)
        about = {name: text or None for name, text in about.items() if name != CLASSES} | {
            CLASSES: tuple(about[CLASSES])
        }
        source.annotations = Annotations(annotations.columns, wanted, **about)
        source.annotations.require_count(source.image_count)
    except (ValueError, KeyError) as error:
        raise ImageSetError(f"{label}: {error}") from error
    source.names = None if names is None else tuple(names.tolist())
    source.skipped = tuple(skipped)
    source.label = label
    source._tell()


def _read_array(
    archive: zipfile.ZipFile, entry: str, image_count: int, label: str
) -> npt.NDArray[Any] | str:
    """An array of names or annotations, or the reason why it is neither."""
    name = entry.removesuffix(".npy")
    if name == entry:
        return "not an array"
    with archive.open(entry) as stream:
        header = read_npy_header(stream, f"{label}: {entry}")
        dims, dtype = header.dims, header.dtype
        wanted: tuple[int, ...] = (image_count,)
        if name in (*ABOUT, LABEL_COLUMN) and dtype.kind == "U":
            wanted = ()
        elif name == CLASSES and dtype.kind == "U" and len(dims) == 1:
            wanted = dims
        elif name == NAMES and dtype.kind != "U":
            return f"{dtype}{dims}, names of images are texts"
        elif dtype.kind not in "biufU" or (name in RESERVED and name != NAMES):
            return f"{dtype}{dims}, not taken for a column"
        if dims not in (wanted, (*wanted, 1)):  # (N, 1), as in MedMNIST
            return f"shape {dims}, expected {wanted}: one value for each image"
        nbytes = math.prod(dims) * dtype.itemsize
        if nbytes > BESIDE_MAX_NBYTES:
            return f"{nbytes} bytes, the limit is {BESIDE_MAX_NBYTES}"
        if dtype.kind == "f" and dtype.itemsize > 8:
            return f"{dtype}, wider than a column can be"
        data = stream.read(nbytes + 1)
        if len(data) != nbytes:
            raise ImageSetError(f"{label}: {entry}: expected {nbytes} bytes, found {len(data)}")
    return np.frombuffer(data, dtype).reshape(wanted)
