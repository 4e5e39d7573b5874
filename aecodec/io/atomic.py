"""Output that appears whole or not at all: a temporary sibling, fsync, rename."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aecodec.advice import Advice, advised
from aecodec.io.claims import refuse_input
from aecodec.io.directories import (
    is_empty_folder,
    move_into_folder,
    refuse_precious_folder,
    replace_folder,
)
from aecodec.io.permissions import Permissions
from aecodec.io.special import is_special, spooled_output
from aecodec.io.temporary import new_temporary, remove, remove_leftovers
from aecodec.io.write_errors import named_output

REPLACE = Advice(python="force=True replaces it", command="-f replaces it")


@contextmanager
def atomic_path(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    directory: bool = False,
    like: str | os.PathLike[str] | None = None,
) -> Iterator[Path]:
    """Yield a new, empty temporary sibling of ``path``; rename it to ``path`` on success.

    On any exception, KeyboardInterrupt too, the sibling is removed and ``path`` is untouched.
    With ``directory`` the sibling and the target are folders. A symbolic link is followed, as
    ``open`` would. A pipe or a device gets the bytes at the end. ``like`` is the source file whose
    permissions and times the output takes (:class:`aecodec.io.permissions.Permissions`).

    Raises FileExistsError if the target exists and ``force`` is not given, and, even with it, for
    what must not be replaced: a block device; the home or the working folder; a folder that holds
    anything that is not in the new one. An empty folder is filled, with or without ``force``.
    IsADirectoryError or NotADirectoryError for a target of the other kind, ValueError for an input
    of the command (:func:`aecodec.io.claims.claimed`).

    A file is flushed to the disk before the rename. The files in a folder are left to the
    system to flush, as ``cp -r`` does: thousands of small fsyncs would dominate the work.
    """
    if is_special(path):
        if directory:
            raise NotADirectoryError(f"{os.fspath(path)}: exists and is not a folder")
        with spooled_output(path) as temporary:
            yield temporary
        return
    refuse_input(path)
    target = Path(os.path.realpath(path))
    remove_leftovers(target.parent, target.name)
    remove_leftovers(target, target.name)
    _refuse_to_replace(target, force=force, directory=directory)
    permissions = Permissions(target, like=like, directory=directory)
    # An empty folder may be a mount point, which nothing can be renamed to.
    parent = target if directory and target.is_dir() and not os.listdir(target) else target.parent
    temporary = new_temporary(
        parent, target.name, mode=permissions.creation_mode, directory=directory
    )
    try:
        yield temporary
        _fsync(temporary)  # before it may become read-only
        permissions.apply(temporary)
        # Again, for a target made meanwhile. What is made in the instant between this check
        # and the rename is lost: a rename that never replaces is not portable.
        _refuse_to_replace(target, force=force, directory=directory, temporary=temporary)
        _move_into_place(temporary, target)
        _fsync(target.parent)  # the rename itself
    except OSError as error:
        remove(temporary)
        raise named_output(error, temporary, path) from error.__cause__
    except BaseException:
        remove(temporary)
        raise


def _refuse_to_replace(
    target: Path, *, force: bool, directory: bool, temporary: Path | None = None
) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if directory and not stat.S_ISDIR(mode):
        raise NotADirectoryError(f"{target}: exists and is not a folder")
    if not directory and stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{target}: is a folder, a file was expected")
    if not directory and not stat.S_ISREG(mode):  # a rename would remove it for everyone
        raise FileExistsError(f"{target}: exists and is not an ordinary file")
    if directory and is_empty_folder(target, temporary):
        return
    if not force:
        raise advised(FileExistsError(f"{target}: exists"), REPLACE)
    if directory:
        refuse_precious_folder(target)


def _move_into_place(temporary: Path, target: Path) -> None:
    if temporary.parent == target:
        move_into_folder(temporary, target)
    elif temporary.is_dir() and target.is_dir():
        replace_folder(temporary, target)
    else:
        temporary.replace(target)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    # Windows flushes only what is open for writing, others open a folder only for reading
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
