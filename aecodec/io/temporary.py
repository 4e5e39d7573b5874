"""Temporary files and folders: names that tell whose they are, and what dead runs left behind.

A name is ``.OUTPUT.aecodec-HOST-PROCESS-xxxxxx.tmp``, or ``.old`` for a folder that is being
replaced. A run that writes the same output removes what a process left that is dead on this host.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
from functools import cache
from pathlib import Path

NAME_MAX = 40  # characters of the output's name: the sibling's must fit into 255 bytes too
_LIVE: set[str] = set()  # of this process


def new_temporary(
    folder: Path, name: str, *, mode: int, directory: bool = False, suffix: str = ".tmp"
) -> Path:
    """A new file or folder in ``folder``, for an output called ``name``.

    Its permissions are ``mode`` without the bits in the umask, as ``open`` would give.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to write into", str(folder))
    while True:
        token = secrets.token_hex(6)
        path = folder / f"{_prefix(name)}{os.getpid()}-{token}{suffix}"
        _LIVE.add(path.name)
        try:
            # Not ``tempfile``: its 0600 and 0700 could be undone only through the umask, which
            # can be read only by changing it for the whole process.
            if directory:
                path.mkdir(mode)
            else:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        except FileExistsError:
            continue
        except BaseException:
            _LIVE.discard(path.name)
            raise
        return path


def remove(path: Path) -> None:
    """Remove a temporary file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    _LIVE.discard(path.name)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what runs for the output ``name`` left in a folder when they were killed.

    Only of processes that are dead on this host. A folder that was about to be replaced is put
    back where nothing has taken its place.
    """
    pattern = re.compile(re.escape(_prefix(name)) + r"([0-9]+)-[0-9a-f]{12}\.(tmp|old)")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for found in names:
        match = pattern.fullmatch(found)
        if match is None or found in _LIVE or not _is_dead(int(match[1])):
            continue
        try:
            if match[2] == "old":
                _put_back(folder / found, folder)
            remove(folder / found)
        except OSError:
            continue  # another's, whom the folder's permissions protect


def _put_back(aside: Path, folder: Path) -> None:
    for old in list(aside.iterdir()):
        if not os.path.lexists(folder / old.name):
            old.rename(folder / old.name)


def _prefix(name: str) -> str:
    return f".{name[:NAME_MAX]}.aecodec-{_host()}-"


@cache
def _host() -> str:
    """This machine, and which of its containers, if any: there process numbers are others."""
    host = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:20] or "host"
    try:
        space = re.sub(r"[^0-9]", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return host
    return host if space == "4026531836" else f"{host}.{space}"  # that of the machine itself


def _is_dead(process: int) -> bool:
    """Whether no process of this number runs; this process made none but those in ``_LIVE``."""
    if process == os.getpid():
        return True
    if os.name == "nt":  # there the question ends the process
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
