"""Where the bytes of a file come from: a path, a URL, bytes, an open file or a pipe."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from typing import BinaryIO, Union

from aecodec.io.remote import is_url, open_url
from aecodec.io.special import seekable
from aecodec.limits import Limits

Source = Union[str, "os.PathLike[str]", bytes, BinaryIO]


def open_source(source: Source, limits: Limits) -> tuple[BinaryIO, str, bool]:
    """A seekable file, its name for messages, and whether closing it is the caller's.

    What comes through a pipe, or from a server without ranges, is read whole: AezLimitError if it
    is more than ``max_decoded_nbytes``.
    """
    most = limits.max_decoded_nbytes
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "bytes", True
    if isinstance(source, str) and is_url(source):
        return open_url(source, most), source, True
    if isinstance(source, str | os.PathLike):
        with ExitStack() as stack:
            file = stack.enter_context(open(source, "rb"))
            whole = seekable(file, most)  # of a pipe: the index is at its end
            if whole is file:
                stack.pop_all()
            return whole, os.fspath(source), True
    whole = seekable(source, most)
    return whole, str(getattr(source, "name", "stream")), whole is not source
