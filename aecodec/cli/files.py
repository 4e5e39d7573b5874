"""Where commands read and write: standard input and output, and files that exist already."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path
from typing import BinaryIO, cast

STDIO = "-"  # standard input or output, in place of a file's name


def standard_input() -> BinaryIO:
    """Standard input, in bytes; ValueError for a terminal."""
    if sys.stdin.isatty():
        raise ValueError("standard input is a terminal: name a file, or pipe one in")
    return sys.stdin.buffer


def standard_output() -> BinaryIO:
    """Standard output, in bytes; ValueError for a terminal."""
    if sys.stdout.isatty():
        raise ValueError("standard output is a terminal: name an output with -o, or redirect it")
    if isinstance(sys.stdout.buffer, io.RawIOBase):  # python -u: a write may stop short
        sys.stdout = open(sys.stdout.fileno(), "w", closefd=False)  # noqa: SIM115
    return cast("BinaryIO", sys.stdout.buffer)


def refuse_existing(path: str | Path | None, *, force: bool) -> None:
    """FileExistsError for an output that exists, unless ``force`` is given.

    For commands that work for long: the output itself is checked again when it is written.
    """
    if path and Path(path).exists() and not force:
        raise FileExistsError(errno.EEXIST, "exists", str(path))
