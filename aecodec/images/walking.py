"""The pictures in a folder and below it, and what else is there."""

from __future__ import annotations

import errno
import os
import posixpath
import stat

from aecodec.errors import ImageSetError
from aecodec.images.base import PassedOver, Skipped
from aecodec.images.pictures import check_picture_name, is_picture
from aecodec.images.safe_names import METADATA_FILES

# Pictures, or several in a file, of kinds that are not read.
OTHER_PICTURES = (
    *(".apng", ".avif", ".dng", ".exr", ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jp2"),
    *(".jpe", ".jxl", ".pam", ".pbm", ".pnm", ".psd", ".svg", ".tga"),
)
NOT_READABLE = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG}


def is_read(name: str) -> bool:
    """Whether a file of this name, in a folder, is read when the folder is."""
    return is_picture(name) or name in METADATA_FILES


def walk(folder: str) -> tuple[list[str], list[Skipped]]:
    """Pictures in the folder and below it, as paths with /, and what is left out.

    Nothing below the folder stops it: what cannot be entered or told apart is left out.
    """
    found: list[str] = []
    skipped: list[Skipped] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                for entry in entries:
                    name = posixpath.join(below, entry.name)
                    left_out = _look_at(entry, name, found, waiting)
                    skipped += [] if left_out is None else [left_out]
        except OSError as error:
            if not below or error.errno not in NOT_READABLE:
                raise
            skipped.append(Skipped(below, f"a folder that cannot be read, {error.strerror}"))
    return found, skipped


def _look_at(
    entry: os.DirEntry[str], name: str, found: list[str], waiting: list[str]
) -> Skipped | None:
    """Add a picture to ``found``, a folder to ``waiting``; return anything else and the reason."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return _without_status(entry, name, error)
    if stat.S_ISDIR(mode) and not entry.name.startswith("."):
        if entry.is_symlink():
            return Skipped(name, "a symbolic link to a folder")
        waiting.append(name)
        return None
    if entry.name.startswith("."):
        return PassedOver(name, "hidden")
    if not stat.S_ISREG(mode):
        return PassedOver(name, "not a file")
    if name in METADATA_FILES:
        return None
    if entry.name.lower().endswith(OTHER_PICTURES):
        return Skipped(name, "a picture of a kind that is not read")
    if not is_picture(entry.name):
        return PassedOver(name, "not the name of a picture")
    try:
        check_picture_name(name)
    except ImageSetError as error:
        return Skipped(name, "its name has a backslash" if "\\" in name else str(error))
    found.append(name)
    return None


def _without_status(entry: os.DirEntry[str], name: str, error: OSError) -> Skipped | None:
    if entry.name.startswith("."):
        return PassedOver(name, "hidden")
    if error.errno == errno.ELOOP:
        return PassedOver(name, "a circular link")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return PassedOver(name, "a link to nothing" if entry.is_symlink() else "gone meanwhile")
    return Skipped(name, f"cannot be read, {error.strerror}")
