"""Folders as outputs: an empty one is filled, one that holds nothing else is replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from aecodec.io.temporary import new_temporary, remove

NAMES_SHOWN = 3


def is_empty_folder(folder: Path, besides: Path | None = None) -> bool:
    """Whether a folder holds nothing, but for the entry ``besides``."""
    with os.scandir(folder) as entries:
        return all(besides is not None and entry.name == besides.name for entry in entries)


def refuse_precious_folder(folder: Path) -> None:
    """FileExistsError for a folder that is in use, PermissionError for one that is read-only."""
    for place, what in ((Path.cwd(), "the working folder"), (_home(), "the home folder")):
        if place is not None and place.is_relative_to(folder):
            raise FileExistsError(f"{folder}: is or holds {what}, it is not replaced")
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    if os.path.ismount(folder):
        raise FileExistsError(f"{folder}: another disk is mounted there, it is not replaced")


def _home() -> Path | None:
    try:
        return Path(os.path.realpath(Path.home()))
    except RuntimeError:  # nobody knows
        return None


def refuse_other_entries(
    folder: str | os.PathLike[str],
    has_file: Callable[[str], bool],
    has_folder: Callable[[str], bool] | None = None,
) -> None:
    """FileExistsError if a folder holds anything else than these, told by paths in it with /.

    ``has_file`` tells which files may be there, ``has_folder`` which folders; without it, any
    folder may be there that holds nothing else. A folder that is not there holds nothing.
    """
    others = sorted(_others(os.fspath(folder), has_file, has_folder))
    if others:
        shown = ", ".join(repr(name) for name in others[:NAMES_SHOWN])
        more = f" and {len(others) - NAMES_SHOWN} more" if len(others) > NAMES_SHOWN else ""
        raise FileExistsError(
            f"{os.fspath(folder)}: holds {shown}{more}, which would be deleted; "
            "move them away or name another folder"
        )


def _others(
    folder: str, has_file: Callable[[str], bool], has_folder: Callable[[str], bool] | None
) -> Iterator[str]:
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                for entry in entries:
                    name = f"{below}/{entry.name}" if below else entry.name
                    if not entry.is_dir(follow_symlinks=False):
                        if not has_file(name):
                            yield name
                    elif has_folder is None or has_folder(name):
                        waiting.append(name)
                    else:
                        yield name
        except FileNotFoundError:
            return


def move_into_folder(temporary: Path, folder: Path) -> None:
    """Move all that a temporary folder holds into the folder that it lies in; all or nothing.

    FileExistsError if that holds anything else.
    """
    if not is_empty_folder(folder, besides=temporary):
        raise FileExistsError(f"{folder}: is not empty any more, something else writes there")
    moved: list[str] = []
    try:
        for name in os.listdir(temporary):
            os.rename(temporary / name, folder / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            os.rename(folder / name, temporary / name)
        raise
    remove(temporary)


def replace_folder(temporary: Path, folder: Path) -> None:
    """Put a new folder in the place of an old one, all of whose entries the new one has too.

    FileExistsError if the old one holds others.
    """
    refuse_other_entries(
        folder,
        has_file=lambda name: os.path.isfile(temporary / name),
        has_folder=lambda name: os.path.isdir(temporary / name),
    )
    # No system renames over a folder with files.
    aside = new_temporary(folder.parent, folder.name, mode=0o700, directory=True, suffix=".old")
    try:
        folder.replace(aside / folder.name)
        temporary.replace(folder)
    except BaseException:
        if (aside / folder.name).is_dir():
            (aside / folder.name).replace(folder)
        remove(aside)
        raise
    remove(aside)
