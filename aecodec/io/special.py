"""Outputs that are no files: pipes, character devices, and descriptors of this process."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DESCRIPTOR = re.compile(r"/dev/fd/([0-9]+)|/proc/self/fd/([0-9]+)|/dev/std(in|out|err)")
_STANDARD = {"in": 0, "out": 1, "err": 2}
SPOOL_NBYTES = 16 << 20  # of a pipe that are kept in memory, the rest on disk


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether writing goes into what is there: a pipe, a character device, ``/dev/stdout``."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_special(path: str | os.PathLike[str]) -> BinaryIO:
    """Open such an output for writing; ValueError for a terminal."""
    number = _descriptor(path)
    try:
        # The descriptor itself: opened by its name, a file would be written from its start.
        raw = _Named(path if number is None else os.dup(number), os.fspath(path))
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror, os.fspath(path)) from error
    if raw.isatty():
        raw.close()
        raise ValueError(f"{os.fspath(path)} is a terminal: name a file, or redirect it")
    return io.BufferedWriter(raw)


class _Named(io.FileIO):
    """A file whose errors name it."""

    def __init__(self, file: int | str | os.PathLike[str], path: str) -> None:
        super().__init__(os.fspath(file) if isinstance(file, os.PathLike) else file, "wb")
        self._path = path

    def write(self, data: Buffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._path
            raise


@contextmanager
def spooled_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary file; copy it into such an output on success."""
    with tempfile.TemporaryDirectory(prefix="aecodec-") as folder:
        temporary = Path(folder, "output")
        temporary.touch()
        yield temporary
        with open(temporary, "rb") as source, open_special(path) as target:
            shutil.copyfileobj(source, target)


def seekable(file: BinaryIO) -> BinaryIO:
    """A file itself, or all that comes through a pipe: in memory, or if it is long on the disk."""
    if file.seekable():
        return file
    start = bytearray()
    while len(start) < SPOOL_NBYTES and (piece := file.read(SPOOL_NBYTES - len(start))):
        start += piece
    if len(start) < SPOOL_NBYTES:
        return io.BytesIO(start)
    on_disk = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    on_disk.write(start)
    shutil.copyfileobj(file, on_disk)
    on_disk.seek(0)
    return cast("BinaryIO", on_disk)


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    match = _DESCRIPTOR.fullmatch(os.fspath(path))
    if match is None:
        return None
    return _STANDARD[match[3]] if match[3] else int(match[1] or match[2])
