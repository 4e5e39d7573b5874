"""Bytes of a seekable file by their offset, for threads and for forked processes."""

from __future__ import annotations

import io
import mmap
import os
from contextlib import suppress
from typing import BinaryIO, Protocol
from weakref import WeakKeyDictionary

from aecodec.io.locks import ForkLock
from aecodec.io.remote import open_url, remote_url


class Positioned(Protocol):
    """An open file whose bytes are read by their offset; threads may share it."""

    nbytes: int

    def read_at(self, offset: int, nbytes: int) -> bytes:
        """The bytes from ``offset`` on, fewer only at the end of the file."""

    def has_changed(self) -> bool:
        """Whether the file was overwritten since it was opened, as far as the system tells."""


def positioned(file: BinaryIO) -> Positioned:
    """The bytes of an open file.

    Files of the operating system are read without their position, which threads and forked
    processes share. Files of other kinds are read by one thread at a time. After a fork, the child
    opens a file of a URL again; one that nothing can open again is the parent's alone.
    """
    if type(file) is io.BytesIO:
        return _Memory(file)
    if _is_plain(file) and hasattr(os, "pread"):
        return _Plain(file)
    return _Seeking(file)


def _is_plain(file: BinaryIO) -> bool:
    """Whether the file's bytes are those of its descriptor: a subclass may give others."""
    buffered = type(file) in (io.BufferedReader, io.BufferedRandom)
    return type(getattr(file, "raw", None) if buffered else file) is io.FileIO


def _end_of(file: BinaryIO) -> int:
    file.seek(0, os.SEEK_END)
    return file.tell()  # seek of a mapped file returns nothing


class _Memory:
    """Bytes in memory, as they are now."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file, self._data = file, file.getvalue()
        self.nbytes = len(self._data)

    def read_at(self, offset: int, nbytes: int) -> bytes:
        self._file.tell()  # ValueError if it is closed
        return self._data[offset : offset + nbytes]

    def has_changed(self) -> bool:
        return False


class _Plain:
    """A file of the operating system, read by ``pread``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        if file.writable():
            file.flush()
        self._state = self._stat()
        self.nbytes = _end_of(file)

    def read_at(self, offset: int, nbytes: int) -> bytes:
        pieces: list[bytes] = []
        while nbytes > 0:
            piece = os.pread(self._file.fileno(), nbytes, offset)
            if not piece:
                break
            pieces.append(piece)
            offset, nbytes = offset + len(piece), nbytes - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def has_changed(self) -> bool:
        return self._stat() != self._state

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns


_LOCKS: WeakKeyDictionary[BinaryIO, ForkLock] = WeakKeyDictionary()  # a file has one, always


class _Seeking:
    """Any other seekable file: a lock keeps seeking and reading together."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._pid, self._url = file, os.getpid(), remote_url(file)
        self._is_in_memory = isinstance(file, io.BytesIO | mmap.mmap)
        self._lock = ForkLock()
        with suppress(TypeError):  # a class of its own may have no hash, or no weak references
            self._lock = _LOCKS.setdefault(file, self._lock)
        self._changed = False
        with self._lock:
            self.nbytes = _end_of(file)

    def read_at(self, offset: int, nbytes: int) -> bytes:
        with self._lock:
            file = self._of_process()
            file.seek(offset)
            data = file.read(nbytes)
            while len(data) < nbytes and (piece := file.read(nbytes - len(data))):
                data += piece
        return data

    def has_changed(self) -> bool:
        return self._changed

    def _of_process(self) -> BinaryIO:
        """The file, which this process has opened."""
        if self._pid != os.getpid() and not self._is_in_memory:
            if self._url is None:
                raise ValueError(
                    f"{getattr(self._file, 'name', 'file')}: this file object was opened before "
                    "the process forked, and shares its position: open the file here again"
                )
            self._inherited = self._file  # never closed here: its connection is the parent's
            self._file, self._pid = open_url(self._url), os.getpid()
            self._changed = _end_of(self._file) != self.nbytes
        return self._file
