"""No output of a command is one of its inputs, or another of its outputs: one rule, in one place.

:func:`claimed` is entered with all inputs and outputs before anything is written. While it lasts,
:func:`aecodec.io.atomic.atomic_path` holds everything that it opens against the same inputs, so
that an output whose name is found late, or was forgotten, is refused too. The inputs also tell who
may read what is made of them.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TypeGuard

Identity = tuple[int, int]  # device and inode
Reads = Callable[[str], bool]  # whether a file of this name is read when its folder is
OWNER, GROUP, OTHERS = 0o700, 0o070, 0o007


def every_name(name: str) -> bool:
    """True: all files of a folder are read."""
    del name
    return True


class _Place:
    """A file or folder, told apart by device and inode, or by its real path if it is not there."""

    def __init__(self, path: str | int, reads: Reads = every_name) -> None:
        self.name = str(path)
        self._reads = reads
        self.path = os.path.normcase(os.path.realpath(path)) if isinstance(path, str) else ""
        if sys.platform == "darwin":  # most of its disks take names in any case
            self.path = self.path.casefold()
        self.status: os.stat_result | None = None
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            self.status = found
        else:
            self.path = ""  # a pipe or a device is not replaced by what is written to it

    @property
    def is_folder(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    def is_same(self, other: _Place) -> bool:
        if self.status is not None and other.status is not None:
            return os.path.samestat(self.status, other.status)
        return bool(self.path) and self.path == other.path

    def is_below(self, folder: _Place) -> bool:
        """Whether this lies somewhere in a folder."""
        parent = os.path.dirname(self.path)
        while parent and parent != os.path.dirname(parent):
            if folder.path == parent or _is(parent, folder):
                return True
            parent = os.path.dirname(parent)
        return bool(parent) and _is(parent, folder)

    @cached_property
    def files(self) -> dict[Identity, int]:
        """The files in a folder that are read with it, with their modes."""
        found: dict[Identity, int] = {}
        for folder, _, names in os.walk(self.path):
            for name in filter(self._reads, names):
                try:
                    status = os.stat(os.path.join(folder, name))
                except (OSError, ValueError):
                    continue
                found[status.st_dev, status.st_ino] = status.st_mode
        return found

    @cached_property
    def readable(self) -> int:
        """The classes of users, as bits of a mode, that may read this."""
        if self.status is None:
            return OWNER | GROUP | OTHERS
        modes = [self.status.st_mode, *(self.files.values() if self.is_folder else ())]
        of_others = all(mode & 0o004 for mode in modes)
        same_group = hasattr(os, "getegid") and self.status.st_gid == os.getegid()
        of_group = of_others or (same_group and all(mode & 0o040 for mode in modes))
        return OWNER | (GROUP if of_group else 0) | (OTHERS if of_others else 0)


def _is_file(model: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether a model is named by its file, not by its name alone."""
    return isinstance(model, str | os.PathLike) and os.path.isfile(model)


def _is(path: str, folder: _Place) -> bool:
    try:
        return folder.status is not None and os.path.samestat(os.stat(path), folder.status)
    except (OSError, ValueError):
        return False


_CLAIMED: ContextVar[tuple[tuple[_Place, ...], tuple[_Place, ...]]] = ContextVar(
    "claimed", default=((), ())
)


@contextmanager
def claimed(
    *,
    inputs: Iterable[object],
    outputs: Iterable[object],
    models: Iterable[object] = (),
    reads: Reads = every_name,
) -> Iterator[None]:
    """While it lasts, ``inputs`` and ``models`` are not replaced by what is written.

    Each is a path, a URL, an open file, or an array; what is no file is passed over, and so is
    None. ``reads`` tells which files of a folder are read. ``outputs`` are paths. ValueError if
    one of them is an input, another output, a file that is read in a folder, or a folder that
    holds an input.
    """
    before, models_before = _CLAIMED.get()
    read = [place for thing in inputs for place in _places(thing, reads)]
    of_models = [_Place(os.fspath(name)) for name in models if _is_file(name)]
    token = _CLAIMED.set(((*before, *read), (*models_before, *of_models)))
    try:
        written = [place for thing in outputs for place in _places(thing, every_name)]
        for i, place in enumerate(written):
            _refuse_input(place)
            for other in written[:i]:
                _refuse_other_output(place, other)
        yield
    finally:
        _CLAIMED.reset(token)


def refuse_input(path: str | os.PathLike[str]) -> None:
    """ValueError if writing to ``path`` would replace one of the inputs that are claimed."""
    _refuse_input(_Place(os.fspath(path)))


def readable_by() -> int:
    """The classes of users, as bits of a mode, that may read all of the inputs that are claimed.

    Models do not count: they are code more than content.
    """
    allowed = OWNER | GROUP | OTHERS
    for place in _CLAIMED.get()[0]:
        allowed &= place.readable
    return allowed


def _refuse_input(output: _Place) -> None:
    inputs, models = _CLAIMED.get()
    for read in (*inputs, *models):
        if output.is_same(read):
            raise ValueError(f"{output.name}: writing there would replace the input {read.name}")
        if output.is_folder and read.is_below(output):
            raise ValueError(
                f"{output.name}: writing there would replace the input {read.name}, which it holds"
            )
        if read.is_folder and output.status is not None and _is_read(output, read):
            raise ValueError(
                f"{output.name}: writing there would replace a part of the input {read.name}"
            )


def _is_read(output: _Place, folder: _Place) -> bool:
    if output.status is None:
        return False
    if output.is_folder:
        return output.is_below(folder) and bool(output.files)
    return (output.status.st_dev, output.status.st_ino) in folder.files


def _refuse_other_output(output: _Place, other: _Place) -> None:
    if output.is_same(other):
        raise ValueError(f"{output.name}: two outputs would be written there, expected two names")
    for inner, outer in ((output, other), (other, output)):
        if inner.is_below(outer):
            raise ValueError(f"{inner.name}: lies in {outer.name}, which is written as well")


def _places(thing: object, reads: Reads) -> list[_Place]:
    """The files that a source or a target of any kind names, or is read from."""
    if isinstance(thing, str | os.PathLike):
        path = os.fspath(thing)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        return [_Place(name, reads) for name in _local_names(path)]
    places: list[_Place] = []
    while thing is not None:
        if isinstance(name := getattr(thing, "filename", None), str | os.PathLike):
            places.append(_Place(os.fspath(name)))  # an array that is mapped from a file
        elif hasattr(thing, "fileno"):
            try:
                places.append(_of_open_file(thing))
            except (OSError, ValueError, TypeError):
                return places
        thing = getattr(thing, "base", None)
    return places


def _of_open_file(file: object) -> _Place:
    place = _Place(file.fileno())  # type: ignore[attr-defined]
    name = getattr(file, "name", None)
    place.name = name if isinstance(name, str) else "that is open"
    return place


def _local_names(name: str) -> Iterator[str]:
    """The paths on this machine in a path, a URL, or a path and the name of an array in it."""
    for piece in name.split("::"):
        protocol, separator, rest = piece.partition("://")
        if not separator:
            yield piece
        elif protocol in ("file", "local"):
            yield rest
    if "::" not in name and "://" not in name and not os.path.lexists(name):
        file, colon, _ = name.rpartition(":")
        if colon and os.path.isfile(file):
            yield file
