"""Outputs that are no files: pipes, character devices, and descriptors of this process."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from aecodec.errors import AezLimitError
from aecodec.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DESCRIPTOR = re.compile(r"/dev/fd/([0-9]+)|/proc/self/fd/([0-9]+)|/dev/std(in|out|err)")
_STANDARD = {"in": 0, "out": 1, "err": 2}
SPOOL_NBYTES = 16 << 20  # of a pipe that are kept in memory; of a longer one all is on the disk
PIECE_NBYTES = 256 << 10


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
        try:
            yield temporary
        except OSError as error:
            raise _kept_meanwhile(error, os.fspath(path), temporary) from error.__cause__
        with open(temporary, "rb") as source, open_special(path) as target:
            shutil.copyfileobj(source, target)


def seekable(file: BinaryIO, most: int = DEFAULT_LIMITS.max_decoded_nbytes) -> BinaryIO:
    """A file itself, or all that comes through a pipe; the caller closes it.

    That is kept in memory, or on the disk if it is long. AezLimitError for more than ``most``
    bytes, the caller's ``max_decoded_nbytes``.
    """
    if file.seekable():
        return file
    name = getattr(file, "name", None)
    return spooled(file, name if isinstance(name, str) else "the pipe", most)


def spooled(
    file: BinaryIO, name: str, most: int, check: Callable[[int], None] | None = None
) -> BinaryIO:
    """All that can be read of a file, in memory up to ``SPOOL_NBYTES`` and beyond it on the disk.

    AezLimitError for more than ``most`` bytes, OSError if the disk is full. ``check`` is called
    with the number of bytes that have come, and may raise.
    """
    kept: BinaryIO = io.BytesIO()
    nbytes = 0
    try:
        while piece := file.read(PIECE_NBYTES):
            nbytes += len(piece)
            if nbytes > most:
                raise AezLimitError(
                    f"{name}: over {most} bytes come, max_decoded_nbytes allows no more; "
                    "save it to a file and name that"
                )
            if nbytes > SPOOL_NBYTES and isinstance(kept, io.BytesIO):
                kept = _on_disk(kept)
            kept.write(piece)
            if check is not None:
                check(nbytes)
        kept.seek(0)  # writes what is left
    except BaseException as error:
        with contextlib.suppress(OSError):  # it may write what is left, again
            kept.close()
        if isinstance(error, OSError):
            raise _kept_meanwhile(error, name) from error
        raise
    return kept


def _kept_meanwhile(error: OSError, name: str, temporary: Path | None = None) -> OSError:
    """The error; if the disk is full, it names the folder where an input or output is kept."""
    is_there = error.filename in (None, None if temporary is None else os.fspath(temporary))
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and is_there:
        text = f"{error.strerror}, where {name} is kept meanwhile"
        return OSError(error.errno, text, tempfile.gettempdir())
    return error


def _on_disk(memory: io.BytesIO) -> BinaryIO:
    disk = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    with memory.getbuffer() as view:
        disk.write(view)
    return cast("BinaryIO", disk)


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    match = _DESCRIPTOR.fullmatch(os.fspath(path))
    if match is None:
        return None
    return _STANDARD[match[3]] if match[3] else int(match[1] or match[2])
