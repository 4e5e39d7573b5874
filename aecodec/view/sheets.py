"""The page's pictures: images in sheets of 16 x 16, large ones of fewer, as PNGs."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from aecodec.held_rows import Rows

if TYPE_CHECKING:
    from types import ModuleType

MOST_COLUMNS = 16
SHEET_NBYTES = 16 << 20  # of pixels, unless one image has more


def sheet_columns(shape: tuple[int, int, int]) -> int:
    """How many images (H, W, C) a sheet has in a row, and as many rows."""
    return max(1, min(MOST_COLUMNS, math.isqrt(SHEET_NBYTES // math.prod(shape))))


def drawing_nbytes(shape: tuple[int, int, int]) -> int:
    """The memory that a sheet of one image (H, W, C) takes: Pillow copies pixels of 2 and 3."""
    height, width, channels = shape
    return height * width * (channels if channels in (1, 4) else channels + 4)


def sheet_count(images: Rows) -> int:
    """How many sheets images (N, H, W, C) fill."""
    return -(-len(images) // sheet_columns(_shape(images)) ** 2)


def sheets(images: Rows) -> list[bytes]:
    """All sheets, PNGs; see :func:`sheet`."""
    return [sheet(images, number) for number in range(sheet_count(images))]


def sheet(images: Rows, number: int) -> bytes:
    """A PNG with as many images as fill a square, the last one filled up with zeros.

    ImportError without Pillow.
    """
    pillow = _import_pillow()
    height, width, channels = shape = _shape(images)
    side = sheet_columns(shape)
    tiles = images[number * side * side : (number + 1) * side * side]
    if len(tiles) < side * side:
        tiles = np.concatenate([tiles, np.zeros((side * side - len(tiles), *shape), np.uint8)])
    grid = tiles.reshape(side, side, height, width, channels).swapaxes(1, 2)
    pixels = grid.reshape(side * height, side * width, channels)
    del tiles, grid  # a copy, unless it is one image
    picture = pillow.fromarray(pixels[..., 0] if channels == 1 else pixels)
    del pixels
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _shape(images: Rows) -> tuple[int, int, int]:
    return images.shape[1], images.shape[2], images.shape[3]


def _import_pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("view needs Pillow: pip install 'aecodec[png]'") from error
    return Image
