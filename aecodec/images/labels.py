"""Labels as IDX files of their own, beside IDX files of images."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np

from aecodec.annotations.column import Column
from aecodec.errors import ImageSetError
from aecodec.images.streams import IDX_DTYPES

_IDX_NUMBERS = {name: number for number, name in IDX_DTYPES.items()}
_IDX_INTEGERS = ("uint8", "int8", "int16", "int32")  # the first that holds all labels is used


def idx_labels(labels: Column, *, compress: bool = False) -> bytes:
    """The bytes of an IDX file of labels, gzipped with ``compress``.

    ImageSetError for texts, and for numbers that IDX has no type for.
    """
    array = labels.array
    dtype = labels.dtype if labels.dtype in _IDX_NUMBERS else None
    if labels.dtype == "bool":
        dtype = "uint8"
    if dtype is None and array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if len(array) else (0, 0)
        fits = (n for n in _IDX_INTEGERS if np.iinfo(n).min <= low and high <= np.iinfo(n).max)
        dtype = next(fits, None)
    if dtype is None:
        raise ImageSetError(
            f"column {labels.name}: IDX cannot hold {labels.dtype}; choose .npz or a folder"
        )
    start = struct.pack(">BBBBI", 0, 0, _IDX_NUMBERS[dtype], 1, len(array))
    data = start + array.astype(np.dtype(dtype).newbyteorder(">")).tobytes()
    return gzip.compress(data, mtime=0) if compress else data


def labels_path(images_path: str | os.PathLike[str]) -> Path:
    """The path for the labels of an IDX file of images: "labels" replaces "images" in its name."""
    path = Path(images_path)
    if "images" in path.name:
        name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
        return path.with_name(name)
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-labels{dot}{suffixes}")
