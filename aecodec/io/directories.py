"""Folders as outputs: an empty one is filled, one that holds nothing else is replaced."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from aecodec.io.temporary import new_temporary, remove

NAMES_SHOWN = 3


def is_empty_folder(folder: Path, besides: Path | None = None) -> bool:
    """Whether a folder holds nothing, but for the entry ``besides``."""
    with os.scandir(folder) as entries:
        return all(besides is not None and entry.name == besides.name for entry in entries)


def refuse_precious_folder(folder: Path) -> None:
    """FileExistsError for a folder that is in use, and so never replaced."""
    for place, what in ((Path.cwd(), "the working folder"), (_home(), "the home folder")):
        if place is not None and place.is_relative_to(folder):
            raise FileExistsError(f"{folder}: is or holds {what}, it is not replaced")
    if os.path.ismount(folder):
        raise FileExistsError(f"{folder}: another disk is mounted there, it is not replaced")


def _home() -> Path | None:
    try:
        return Path(os.path.realpath(Path.home()))
    except RuntimeError:  # nobody knows
        return None


def refuse_other_entries(folder: str | os.PathLike[str], names: Collection[str]) -> None:
    """FileExistsError if a folder holds anything but ``names``, paths in it with /.

    Folders that the names lie in may be there. A folder that is not there holds nothing.
    """
    allowed = set(names)
    above = {name[:i] for name in allowed for i, char in enumerate(name) if char == "/"}
    others = sorted(_others(os.fspath(folder), allowed, above))
    if others:
        shown = ", ".join(repr(name) for name in others[:NAMES_SHOWN])
        more = f" and {len(others) - NAMES_SHOWN} more" if len(others) > NAMES_SHOWN else ""
        raise FileExistsError(
            f"{os.fspath(folder)}: holds {shown}{more}, which would be deleted; "
            "move them away or name another folder"
        )


def _others(folder: str, allowed: set[str], above: set[str]) -> Iterator[str]:
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, below)))
        except FileNotFoundError:
            return
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                if name in above:
                    waiting.append(name)
                else:
                    yield name
            elif name not in allowed:
                yield name


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
    refuse_other_entries(folder, _files(temporary))
    # No system renames over a folder with files.
    aside = new_temporary(folder.parent, folder.name, mode=0o700, directory=True, suffix=".old")
    folder.replace(aside / folder.name)
    try:
        temporary.replace(folder)
    except BaseException:
        (aside / folder.name).replace(folder)
        aside.rmdir()
        raise
    remove(aside)


def _files(folder: Path) -> list[str]:
    return [
        (Path(path) / name).relative_to(folder).as_posix()
        for path, _, names in os.walk(folder)
        for name in names
    ]
