"""Who may read an output: the habits of gzip and xz, and never more users than may read its source.

A temporary file is never more open than what it becomes.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from aecodec.io.claims import GROUP, OTHERS, OWNER, readable_by

_KEPT = os.name != "nt"  # where files have modes


class Permissions:
    """What an output's permissions, owner and times will be; ``like`` is the file to copy from.

    A file that is replaced leaves its mode and owner. Otherwise an output takes mode, owner, group
    and times of ``like``, or without it what ``open`` gives. Classes of users that may not read
    all of the inputs may not read the output.
    """

    def __init__(
        self, target: Path, *, like: str | os.PathLike[str] | None, directory: bool
    ) -> None:
        self._allowed = readable_by()
        self._directory = directory
        self._times = None if directory else _file_status(like)
        self._model = self._times
        if like is not None and (found := _file_status(like)) is not None:
            self._allowed &= _readable(found)
        with suppress(FileNotFoundError):
            self._model = target.stat()

    @property
    def creation_mode(self) -> int:
        """The mode to create the output with, less what the umask takes."""
        if self._model is not None:
            return 0o700 if self._directory else 0o600
        return (0o777 if self._directory else 0o666) & self._allowed

    def apply(self, temporary: Path) -> None:
        """Give a finished output its owner, mode and times, as far as this user may."""
        if not _KEPT:
            return
        if self._directory:
            self._apply_below(temporary)
        if self._model is not None:
            mode = stat.S_IMODE(self._model.st_mode) & 0o777 & self._allowed
            if not _chown(temporary, self._model):
                # of another group than it should be: that may do what everyone may
                both = (mode >> 3) & mode & OTHERS
                mode = mode & OWNER | both << 3 | both
            with suppress(OSError):
                temporary.chmod(mode)
        if self._times is not None:
            with suppress(OSError):
                os.utime(temporary, ns=(self._times.st_atime_ns, self._times.st_mtime_ns))

    def _apply_below(self, folder: Path) -> None:
        """Close the files and folders in a folder to those who may not read the inputs."""
        if self._allowed == OWNER | GROUP | OTHERS:
            return
        for path, folders, files in os.walk(folder):
            for name in (*folders, *files):
                entry = os.path.join(path, name)
                os.chmod(entry, stat.S_IMODE(os.stat(entry).st_mode) & self._allowed)


def _file_status(path: str | os.PathLike[str] | None) -> os.stat_result | None:
    """The status of an ordinary file; None for anything else."""
    if path is None:
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _readable(status: os.stat_result) -> int:
    mode = status.st_mode
    return OWNER | (GROUP if mode & 0o040 else 0) | (OTHERS if mode & 0o004 else 0)


def _chown(path: Path, like: os.stat_result) -> bool:
    """Give a file the owner and group of another; returns whether the group is the other's."""
    found = path.stat()
    if found.st_gid != like.st_gid:
        with suppress(OSError):
            os.chown(path, -1, like.st_gid)
    if found.st_uid != like.st_uid:
        with suppress(OSError):
            os.chown(path, like.st_uid, -1)
    return path.stat().st_gid == like.st_gid
