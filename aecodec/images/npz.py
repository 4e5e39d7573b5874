"""``.npz``: the images, and in other arrays labels, columns, names, title and the like."""

from __future__ import annotations

import math
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import ABOUT, Annotations, annotate, label_name
from aecodec.annotations.column import Column
from aecodec.annotations.values import TEXT
from aecodec.errors import ImageSetError
from aecodec.images.base import READ_NBYTES, ImageSource, Skipped, damage_named
from aecodec.images.streams import open_npy, read_npy_header, start_npy

NPZ_MEMBER = "images"  # the name that is written
NPZ_MEMBERS = (NPZ_MEMBER, "x", "arr_0")  # the names that reading looks for
NAMES, CLASSES, LABEL_COLUMN = "names", "classes", "label_column"
RESERVED = (*NPZ_MEMBERS, *ABOUT, NAMES, CLASSES, LABEL_COLUMN)
BESIDE_MAX_NBYTES = 1 << 30  # of each array other than the images


def open_npz(file: BinaryIO, label: str, stack: ExitStack) -> ImageSource:
    """The images of an .npz, with names and annotations from its other arrays.

    ``stack`` closes what is opened. ImageSetError if the file is damaged or has no images.
    """
    if not file.seekable():  # the directory of a zip is at its end
        on_disk = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(file, on_disk, READ_NBYTES)
        file = cast("BinaryIO", on_disk)
    # RuntimeError: encrypted, or an unknown compression; the others: damage in the directory
    with damage_named(label, RuntimeError, ValueError, struct.error):
        archive = stack.enter_context(zipfile.ZipFile(file))
        member = _choose_member(archive, label)
        stream = stack.enter_context(archive.open(member))
        source = open_npy(stream, f"{label}: {member}", "npz", rewindable=True)
        _read_beside(archive, member, source, label)
        return source


def _choose_member(archive: zipfile.ZipFile, label: str) -> str:
    """The first of NPZ_MEMBERS that is there, or else the only array that can be images."""
    members = [name for name in archive.namelist() if name.endswith(".npy")]
    for name in NPZ_MEMBERS:
        if f"{name}.npy" in members:
            return f"{name}.npy"
    found, fitting = [], []
    for member in members:
        with archive.open(member) as stream:
            header = read_npy_header(stream, f"{label}: {member}")
        found.append(f"{member.removesuffix('.npy')} {header.dtype}{header.dims}")
        if header.dtype == np.uint8 and len(header.dims) in (3, 4):
            fitting.append(member)
    if len(fitting) != 1:
        raise ImageSetError(
            f"{label}: expected one array named {', '.join(NPZ_MEMBERS)}, or just one that is "
            f"uint8 with 3 or 4 dimensions, found: {'; '.join(found) or 'no array'}"
        )
    return fitting[0]


def _read_beside(archive: zipfile.ZipFile, images: str, source: ImageSource, label: str) -> None:
    """Names and annotations from the other arrays; the rest is listed as skipped."""
    found: dict[str, npt.NDArray[Any]] = {}
    skipped = []
    for member in archive.namelist():
        if member == images:
            continue
        array = _read_array(archive, member, source.image_count, label)
        if isinstance(array, str):
            skipped.append(Skipped(member, array))
        else:
            found[member.removesuffix(".npy")] = array
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
    archive: zipfile.ZipFile, member: str, image_count: int, label: str
) -> npt.NDArray[Any] | str:
    """An array of names or annotations, or the reason why it is neither."""
    name = member.removesuffix(".npy")
    if name == member:
        return "not an array"
    with archive.open(member) as stream:
        header = read_npy_header(stream, f"{label}: {member}")
        dims, dtype = header.dims, header.dtype
        wanted: tuple[int, ...] = (image_count,)
        if name in (*ABOUT, LABEL_COLUMN) and dtype.kind == "U":
            wanted = ()
        elif name == CLASSES and dtype.kind == "U" and len(dims) == 1:
            wanted = dims
        elif dtype.kind not in "biufU" or (name in RESERVED and name != NAMES):
            return f"{dtype}{dims}, not taken for a column"
        if dims != wanted:
            return f"shape {dims}, expected {wanted}: one value for each image"
        nbytes = math.prod(dims) * dtype.itemsize
        if nbytes > BESIDE_MAX_NBYTES:
            return f"{nbytes} bytes, the limit is {BESIDE_MAX_NBYTES}"
        if dtype.kind == "f" and dtype.itemsize > 8:
            return f"{dtype}, wider than a column can be"
        data = stream.read(nbytes + 1)
        if len(data) != nbytes:
            raise ImageSetError(f"{label}: {member}: expected {nbytes} bytes, found {len(data)}")
    return np.frombuffer(data, dtype).reshape(dims)


# --- Sinks ---


def start_npz(
    target: IO[bytes],
    dims: tuple[int, ...],
    stack: ExitStack,
    names: Sequence[str] | None = None,
    annotations: Annotations = Annotations(),  # noqa: B008  # it is frozen
) -> IO[bytes]:
    """Write all other arrays and the header of the images; return the stream for the pixels.

    ``stack`` finishes the zip. ImageSetError for a column that an .npz cannot hold.
    """
    archive = stack.enter_context(zipfile.ZipFile(target, "w"))
    for name, array in _beside(names, annotations).items():
        with archive.open(_entry(name), "w") as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)
    is_big = math.prod(dims) >= 1 << 31  # the room for sizes is fixed before they are known
    stream = stack.enter_context(archive.open(_entry(NPZ_MEMBER), "w", force_zip64=is_big))
    return start_npy(stream, dims, stack)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, the start of zip time
    entry.create_system = 3  # Unix, also on Windows: the same bytes
    entry.external_attr = 0o644 << 16
    return entry


def _beside(names: Sequence[str] | None, annotations: Annotations) -> dict[str, npt.NDArray[Any]]:
    """All arrays but the images, by name, in the order in which they are written."""
    beside: dict[str, npt.NDArray[Any]] = {}
    for column in annotations.columns:
        if column.name in RESERVED or "/" in column.name or "\\" in column.name:
            raise ImageSetError(f"column {column.name}: an .npz cannot hold one of this name")
        array = column.array
        if column.dtype == TEXT and tuple(array.tolist()) != column.values:
            raise ImageSetError(f"column {column.name}: a text ends in U+0000, NumPy drops that")
        beside[column.name] = array
    for name in ABOUT:
        if (text := getattr(annotations, name)) is not None:
            beside[name] = np.array(text)
    if annotations.classes:
        beside[CLASSES] = np.array(annotations.classes)
    if names is not None:
        beside[NAMES] = np.array(names, np.str_)
    if annotations.label is not None and annotations.label != label_name(beside):
        beside[LABEL_COLUMN] = np.array(annotations.label)
    return beside
