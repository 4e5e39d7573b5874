"""Sets that are read in any order, in little memory: large ones lie in a temporary file."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

MEMORY_NBYTES = 8 << 20  # smaller sets are arrays
AT_ONCE_NBYTES = 4 << 20  # that are read together


class _OwnFile:
    """A temporary file that is closed with the last of its rows; threads may share it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self._file.close()

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows behind those that are there."""
        left = rows.reshape(-1).view(np.uint8).data
        while left:
            left = left[self._file.write(left) :]

    def read(self, offset: int, out: npt.NDArray[Any]) -> None:
        """Fill an array from there on."""
        left = out.reshape(-1).view(np.uint8).data
        with self._lock:
            self._file.seek(offset)
            while left:
                count = self._file.readinto(left)
                if not count:
                    raise OSError(f"the temporary file ends {len(left)} bytes early")
                left = left[count:]


class HeldRows:
    """A read-only array (N, ...) in a temporary file without a name, which goes with it.

    A slice, or positions (n,), of its first axis gives a new array.
    """

    def __init__(self, file: _OwnFile, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._file, self.shape, self.dtype = file, shape, np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of samples, of all rows."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                out = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
                self._read(start, out)
                return out
            key = np.arange(start, stop, step)
        taken = np.empty((len(key), *self.shape[1:]), self.dtype)
        for place, row in enumerate(key.tolist()):
            self._read(row, taken[place : place + 1])
        return taken

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[i : i + 1][0] for i in range(len(self)))

    def reshaped(self, shape: tuple[int, ...]) -> HeldRows:
        """The same numbers in another shape, in the same file."""
        if math.prod(shape) != self.size:
            raise ValueError(f"shape {shape}, expected one of {self.size} numbers")
        return HeldRows(self._file, shape, self.dtype)

    def _read(self, row: int, out: npt.NDArray[Any]) -> None:
        if out.size:
            self._file.read(row * math.prod(self.shape[1:]) * self.dtype.itemsize, out)


Rows: TypeAlias = npt.NDArray[Any] | HeldRows  # (N, ...)


def hold(batches: Iterable[npt.NDArray[Any]], shape: tuple[int, ...], dtype: npt.DTypeLike) -> Rows:
    """Batches (n, *shape) as one set (N, *shape): an array, if it is small.

    OSError if the disk is full.
    """
    kept: list[npt.NDArray[Any]] = [np.empty((0, *shape), dtype)]
    file: _OwnFile | None = None
    count = nbytes = 0
    for batch in batches:
        count, nbytes = count + len(batch), nbytes + batch.nbytes
        kept.append(np.ascontiguousarray(batch, dtype))
        if nbytes > MEMORY_NBYTES:
            file = file or _OwnFile()
            while kept:
                file.append(kept.pop(0))
        del batch  # before the next one is made
    return np.concatenate(kept) if file is None else HeldRows(file, (count, *shape), dtype)


def reshaped(rows: Rows, shape: tuple[int, ...]) -> Rows:
    """The same numbers in another shape."""
    return rows.reshaped(shape) if isinstance(rows, HeldRows) else rows.reshape(shape)


def flattened(rows: Rows) -> Rows:
    """The same as (N, P)."""
    return reshaped(rows, (len(rows), math.prod(rows.shape[1:])))


def batches_of(rows: Rows, most: int, numbers: int) -> Iterator[npt.NDArray[Any]]:
    """The rows in order, as many together as :func:`rows_at_once` says."""
    at_once = rows_at_once(rows, most, numbers)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]


def rows_at_once(rows: Rows, most: int, numbers: int) -> int:
    """How many of these rows hold at most so many numbers; 1 to ``most``."""
    return max(1, min(most, numbers // max(1, math.prod(rows.shape[1:]))))
