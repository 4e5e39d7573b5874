"""A codec measured beside ours, and codecs of pictures, given each image or a mosaic of all."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images

Shape = tuple[int, ...]  # (N, H, W, C)

IMAGE, MOSAIC, SET = "image", "mosaic", "set"  # scopes: what a file holds
LOSSLESS, BOUNDED, LOSSY = "lossless", "bounded", "lossy"  # kinds: the promise about errors


@dataclass(frozen=True)
class Peer:
    """A codec with its settings: images (N, H, W, C) -> whole files -> images.

    A setting of a BOUNDED codec is the largest error; of a LOSSLESS one, its effort. ``quick`` are
    the settings of a short run, none for a slow codec. Rows of one ``family`` make one curve.
    """

    name: str
    scope: str
    kind: str
    settings: tuple[float, ...]
    quick: tuple[float, ...]
    encode: Callable[[Images, float], list[bytes]]
    decode: Callable[[list[bytes], Shape, float], Images]
    family: str = ""

    def chosen(self, *, quick: bool) -> tuple[float, ...]:
        """The settings of a short run, or all."""
        return self.quick if quick else self.settings


@dataclass(frozen=True)
class Picture:
    """One picture, (H, W) or (H, W, C), to a file and back."""

    write: Callable[[npt.NDArray[np.uint8], float], bytes]
    read: Callable[[bytes], npt.NDArray[np.uint8]]


def installed(module: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def each(picture: Picture) -> dict[str, Any]:
    """Scope, ``encode`` and ``decode`` of a Peer that makes a file of each image."""

    def encode(images: Images, setting: float) -> list[bytes]:
        return [picture.write(as_picture(image), setting) for image in images]

    def decode(files: list[bytes], shape: Shape, setting: float) -> Images:
        x_hat = np.empty(shape, np.uint8)
        for i, file in enumerate(files):
            x_hat[i] = picture.read(file).reshape(shape[1:])
        return x_hat

    return {"scope": IMAGE, "encode": encode, "decode": decode}


def tiled(picture: Picture) -> dict[str, Any]:
    """Scope, ``encode`` and ``decode`` of a Peer that makes one picture of all images."""

    def encode(images: Images, setting: float) -> list[bytes]:
        return [picture.write(as_picture(mosaic(images)), setting)]

    def decode(files: list[bytes], shape: Shape, setting: float) -> Images:
        return apart(picture.read(files[0]), shape)

    return {"scope": MOSAIC, "encode": encode, "decode": decode}


def mosaic(images: Images) -> Images:
    """Images (N, H, W, C) -> one picture (rows * H, columns * W, C).

    There are about as many rows as columns. Places without an image are black.
    """
    n, height, width, channels = images.shape
    rows, columns = _grid(n)
    padded = np.zeros((rows * columns, height, width, channels), np.uint8)
    padded[:n] = images
    grid = padded.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, channels)


def mosaic_shape(shape: Shape) -> tuple[int, int]:
    """(height, width) of the mosaic of images (N, H, W, C)."""
    rows, columns = _grid(shape[0])
    return rows * shape[1], columns * shape[2]


def apart(picture: Images, shape: Shape) -> Images:
    """Images (N, H, W, C) of a mosaic: the inverse of ``mosaic``."""
    n, height, width, channels = shape
    rows, columns = _grid(n)
    grid = picture.reshape(rows, height, columns, width, channels).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(-1, height, width, channels)[:n])


def _grid(n: int) -> tuple[int, int]:
    columns = math.isqrt(n - 1) + 1
    return -(-n // columns), columns


def as_picture(image: Images) -> Images:
    """An image (H, W, C) as codecs of pictures take it: a gray one has no channel axis."""
    return np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
