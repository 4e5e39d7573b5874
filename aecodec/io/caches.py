"""The folder of the user's caches, for what can be made again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def user_cache(name: str) -> Path | None:
    """The folder ``aecodec/NAME`` in the caches of the user; None where it cannot be written.

    That is $XDG_CACHE_HOME, or what each system has: ~/.cache, ~/Library/Caches, %LOCALAPPDATA%.
    """
    caches = _user_caches()
    return None if caches is None else usable_folder(caches / "aecodec" / name)


def usable_folder(folder: Path) -> Path | None:
    """The folder, made if need be; None where files cannot be made in it, or others own it."""
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, ValueError):
        return None


def _user_caches() -> Path | None:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # others are to be ignored, says the XDG specification
        return Path(named)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else None
    try:
        home = Path.home()
    except RuntimeError:  # no $HOME, and a user without an entry
        return None
    if not home.is_absolute():
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
