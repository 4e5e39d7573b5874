"""Where an archive came from, so that it can be opened again; another file there is noticed."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from aecodec.archive.source import Source
from aecodec.io.remote import is_url


@dataclass(frozen=True)
class Origin:
    """What opens an archive again, in this process or another: a path, a URL or bytes.

    ``path`` is absolute: the working directory may change.
    """

    path: str | None = None
    url: str | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, source: Source, file: BinaryIO) -> Origin | None:
        """The origin of a source and of the file that it was opened as; None for a file object."""
        if isinstance(source, str) and is_url(source):
            return cls(url=source)
        if isinstance(file, io.BytesIO) and file is not source:  # bytes, or a pipe's
            return cls(data=file.getvalue())
        if isinstance(source, str | os.PathLike):
            return cls(path=os.path.abspath(os.fspath(source)))
        return None

    @property
    def source(self) -> Source:
        """What ``aecodec.open`` takes."""
        return next(each for each in (self.path, self.url, self.data) if each is not None)

    def stamp(self) -> tuple[int, ...] | None:
        """A hint of which file lies at the path; None without a path, or without a file there."""
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class Recipe:
    """What opens an archive again: its origin, identity and name, and the options it was given."""

    origin: Origin
    identity: str
    name: str
    options: dict[str, Any]
