"""Opening an image set of any kind, and an output of a given kind."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, BinaryIO, cast

import numpy as np

from aecodec.annotations.annotations import Annotations
from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import (
    READ_NBYTES,
    ImageSink,
    ImageSource,
    damage_named,
    layout_of,
    read_up_to,
)
from aecodec.images.folders import FolderSink, FolderSource
from aecodec.images.members import is_npz, split_member
from aecodec.images.npz import open_npz
from aecodec.images.npz_sink import NpzSink
from aecodec.images.streams import (
    IDX_DTYPES,
    ArraySource,
    StreamSink,
    StreamSource,
    open_npy,
    read_idx_header,
    start_idx,
    start_idx_gz,
    start_npy,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

KINDS = ("idx", "idx.gz", "npy", "npz", "folder")
ACCEPTED = "an IDX file (gzipped or not), .npy, .npz or a folder of pictures"
SNIFF_NBYTES = 16
PICTURE_MAGIC = re.compile(
    rb"(?P<PNG>\x89PNG)|(?P<JPEG>\xff\xd8\xff)|(?P<GIF>GIF8)|(?P<TIFF>II\*\0|MM\0\*)"
    rb"|(?P<BMP>BM.{4}\0{4})|(?P<PGM>P[25]\s)|(?P<PPM>P[36]\s)|(?P<WebP>RIFF.{4}WEBP)",
    re.DOTALL,
)


def open_images(source: str | os.PathLike[str] | BinaryIO | Images) -> ImageSource:
    """Open an image set: a path, a binary file object (a pipe too) or an array.

    The path ``FILE.npz:ARRAY`` picks an array of an .npz, for files that hold several. The kind
    follows from the content, never from the name. Raises ImageSetError for what is no image set,
    OSError for what cannot be read (FileNotFoundError for a folder without pictures).
    """
    if isinstance(source, np.ndarray):
        return ArraySource("array", "array", source)
    if isinstance(source, str | os.PathLike):
        label, member = split_member(source)
        if os.path.isdir(label):
            return FolderSource(label)
    elif hasattr(source, "read"):
        label, member = str(getattr(source, "name", "stream")), None
    else:
        raise TypeError(f"expected a path, a binary file or an array, found {type(source)}")
    with ExitStack() as stack:
        if is_file := isinstance(source, str | os.PathLike):
            source = stack.enter_context(open(label, "rb"))
        opened = _open_file(source, label, stack, member, is_file=is_file)
        opened._closer = stack.pop_all()
        return opened


def detect_kind(head: bytes, name: str) -> str:
    """The kind of the set whose first SNIFF_NBYTES bytes are ``head``; ``name`` is for errors.

    ImageSetError for anything but a set, with the reason.
    """
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if is_npz(head):
        return "npz"
    if head.startswith(b"\x1f\x8b"):
        return "idx.gz"
    if head.startswith(b"\0\0") and head[2:3] and head[2] in IDX_DTYPES:
        return "idx"
    raise ImageSetError(f"{name}: {_describe(head)}, expected {ACCEPTED}")


def _describe(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.startswith(b"\x89AEZ"):
        return "an .aez file, already compressed"
    if picture := PICTURE_MAGIC.match(head):
        return f"a single {picture.lastgroup} picture (give the folder that holds it)"
    return f"not an image set, it starts with {head!r}"


class _Unread(io.RawIOBase):
    """A pipe with its first bytes put back in front; closing it leaves the pipe open."""

    def __init__(self, head: bytes, pipe: BinaryIO) -> None:
        super().__init__()
        self._head, self._pipe = head, pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._head[: len(view)] or self._pipe.read(len(view))
        self._head = self._head[len(view) :]
        view[: len(piece)] = piece
        return len(piece)


def _open_file(
    file: BinaryIO, label: str, stack: ExitStack, member: str | None, *, is_file: bool
) -> ImageSource:
    """Open a file by its first bytes; ``stack`` closes what is opened besides.

    ``member`` is the array of an .npz to open.
    """
    rewindable = file.seekable()
    head = bytes(read_up_to(file, SNIFF_NBYTES))
    kind = detect_kind(head, label)
    if member is not None and kind != "npz":
        raise ImageSetError(f"{label}: is no .npz, so it has no array {member!r}")
    if rewindable:
        file.seek(-len(head), os.SEEK_CUR)
    else:
        file = io.BufferedReader(_Unread(head, file), READ_NBYTES)
    if kind == "npz":
        return open_npz(file, label, stack, member, is_file=is_file)
    if kind == "npy":
        return open_npy(file, label, "npy", rewindable=rewindable)
    stream: IO[bytes] = file
    if kind == "idx.gz":
        stream = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
    with damage_named(label):
        layout = read_idx_header(stream, label)
    return StreamSource(kind, label, layout, stream, rewindable=rewindable)


def open_sink(
    target: str | os.PathLike[str] | BinaryIO,
    kind: str,
    shape: Shape,
    *,
    has_channel_axis: bool,
    image_count: int,
    names: Sequence[str] | None = None,
    annotations: Annotations = Annotations(),  # noqa: B008  # it is frozen
) -> ImageSink:
    """Open ``target`` to write ``image_count`` images of ``shape`` (H, W, C) as ``kind``.

    ``target`` is a path or a binary file object; for "folder" it is an existing folder. Pictures
    get their ``names`` (with the suffix .png if their own format would change pixels), or
    000000.png, 000001.png and so on; then labelled ones go to a folder for each label.
    ``annotations`` go into .npz files and folders; the other kinds hold pixels alone. The same
    images give the same bytes (for gzip and PNG: with the same zlib and Pillow).
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    dims = (image_count, *shape) if has_channel_axis else (image_count, *shape[:2])
    if layout_of("the set to write", dims).shape != shape:
        raise ValueError(f"shape {shape} has {shape[2]} channels, they need has_channel_axis")
    if kind == "folder":
        if not isinstance(target, str | os.PathLike):
            raise TypeError("a folder of pictures needs a path, not a file object")
        return FolderSink(os.fspath(target), shape, image_count, names, annotations)
    with ExitStack() as stack:
        if isinstance(target, str | os.PathLike):
            target = stack.enter_context(open(target, "wb"))
        if kind == "npz":
            sink: StreamSink = NpzSink(target, dims, shape, names, annotations)
            stack.push(sink._closer.pop_all())  # the zip ends before its file is closed
        else:
            sink = StreamSink(shape, image_count, _STARTERS[kind](target, dims, stack))
        sink._closer = stack.pop_all()
        return sink


_STARTERS: dict[str, Callable[[IO[bytes], tuple[int, ...], ExitStack], IO[bytes]]] = {
    "idx": start_idx,
    "idx.gz": start_idx_gz,
    "npy": start_npy,
}
