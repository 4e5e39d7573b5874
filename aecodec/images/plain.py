"""Files that hold one array or some bytes, read whole; whatever is wrong is an ImageSetError."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import ImageSetError
from aecodec.images.base import damage_named


def read_unzipped(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, out of gzip if it is gzipped."""
    data = Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    with damage_named(os.fspath(path)):
        return gzip.decompress(data)


def load_npy(path: str | os.PathLike[str], *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file, of any type but objects; read when it is used if ``mapped``."""
    label = os.fspath(path)
    with open(label, "rb") as file:
        if not file.seekable():
            return array_of_npy(file.read(), path)
    with damage_named(label, ValueError):
        array = np.load(label, mmap_mode="r" if mapped else None, allow_pickle=False)
    return _one_array(array, label)


def array_of_npy(data: bytes, path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array in the bytes of the ``.npy`` file ``path``, of any type but objects."""
    label = os.fspath(path)
    with damage_named(label, ValueError):
        array = np.load(io.BytesIO(data), allow_pickle=False)
    return _one_array(array, label)


def _one_array(array: Any, label: str) -> npt.NDArray[Any]:  # noqa: ANN401  # or an .npz
    if not isinstance(array, np.ndarray):
        array.close()
        raise ImageSetError(f"{label}: found an .npz, expected one array in a .npy file")
    return array
