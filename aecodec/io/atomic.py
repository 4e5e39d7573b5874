"""Output that appears whole or not at all: a temporary sibling, fsync, rename."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(
    path: str | os.PathLike[str], *, force: bool = False, directory: bool = False
) -> Iterator[Path]:
    """Yield a new, empty temporary sibling of ``path``; rename it to ``path`` on success.

    On any exception, KeyboardInterrupt too, the sibling is removed and ``path`` is untouched.
    With ``directory`` the sibling and the target are folders. A symbolic link is followed, as
    ``open`` would. Raises FileExistsError if the target exists and ``force`` is not given, and,
    even with it, for what must not be replaced: a device, the working folder, a folder that
    holds folders; IsADirectoryError or NotADirectoryError for a target of the other kind.

    A file is flushed to the disk before the rename. The files in a folder are left to the
    system to flush, as ``cp -r`` does: thousands of small fsyncs would dominate the work.
    """
    target = Path(os.path.realpath(path))
    _refuse_to_replace(target, force=force, directory=directory)
    temporary = _new_sibling(target, directory=directory)
    try:
        yield temporary
        _fsync(temporary)
        # Again, for a target made meanwhile. What is made in the instant between this check
        # and the rename is lost: a rename that never replaces is not portable.
        _refuse_to_replace(target, force=force, directory=directory)
        _move_into_place(temporary, target)
    except BaseException:
        _remove(temporary)
        raise
    _fsync(target.parent)  # the rename itself


def _refuse_to_replace(target: Path, *, force: bool, directory: bool) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if directory and not stat.S_ISDIR(mode):
        raise NotADirectoryError(f"{target}: exists and is not a folder")
    if not directory and stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{target}: is a folder, a file was expected")
    if not directory and not stat.S_ISREG(mode):  # a rename would remove /dev/null for everyone
        raise FileExistsError(f"{target}: exists and is not an ordinary file")
    if not force:
        raise FileExistsError(f"{target}: exists; -f (force=True) overwrites it")
    if directory:
        _refuse_precious_folder(target)


def _refuse_precious_folder(target: Path) -> None:
    """Replacing a folder deletes all it holds, so only a flat one, not in use, is replaced."""
    if Path.cwd().is_relative_to(target):
        raise FileExistsError(f"{target}: holds the working folder, it is not replaced")
    with os.scandir(target) as entries:
        folder = next((e.name for e in entries if e.is_dir(follow_symlinks=False)), None)
    if folder is not None:
        raise FileExistsError(f"{target}: holds the folder {folder!r}, it is not replaced")


def _new_sibling(target: Path, *, directory: bool) -> Path:
    """A new file or folder beside ``target``, with the permissions that ``open`` would give.

    Not ``tempfile``: its 0600 and 0700 could be undone only through the umask, which can be
    read only by changing it for the whole process.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to write into", str(target.parent))
    while True:
        # 40 characters of the name: the sibling's must fit into 255 bytes too
        sibling = target.parent / f".{target.name[:40]}.{secrets.token_hex(6)}.tmp"
        try:
            if directory:
                sibling.mkdir()
            else:
                sibling.touch(exist_ok=False)
        except FileExistsError:
            continue
        return sibling


def _move_into_place(temporary: Path, target: Path) -> None:
    if not (temporary.is_dir() and target.is_dir()):
        temporary.replace(target)
        return
    aside = _new_sibling(target, directory=True)  # no system renames over a folder with files
    target.replace(aside / target.name)
    try:
        temporary.replace(target)
    except BaseException:
        (aside / target.name).replace(target)
        aside.rmdir()
        raise
    _remove(aside)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    # Windows flushes only what is open for writing, others open a folder only for reading
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
