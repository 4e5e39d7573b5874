"""Where the bytes of a file come from: a path, a URL, bytes, an open file or a pipe."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, Union

from aecodec.io.remote import is_url, open_url

Source = Union[str, "os.PathLike[str]", bytes, BinaryIO]


def open_source(source: Source) -> tuple[BinaryIO, str, bool]:
    """A seekable file, its name for messages, and whether closing it is the caller's."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "bytes", True
    if isinstance(source, str) and is_url(source):
        return open_url(source), source, True
    if isinstance(source, str | os.PathLike):
        return open(source, "rb"), os.fspath(source), True
    if not source.seekable():  # a pipe: the index is at its end
        return io.BytesIO(source.read()), str(getattr(source, "name", "stream")), True
    return source, str(getattr(source, "name", "stream")), False


def keep_source(source: object, target: str | os.PathLike[str]) -> None:
    """ValueError if replacing ``target`` would delete ``source``: itself, or a folder around it."""
    if not isinstance(source, str | os.PathLike):
        return
    read, written = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if written == read or written in read.parents:
        raise ValueError(f"{os.fspath(target)}: writing there would replace the input")
