"""The page's pictures: images in sheets of 16 x 16, large ones of fewer, as PNGs."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Images

if TYPE_CHECKING:
    from types import ModuleType

MOST_COLUMNS = 16
SHEET_NBYTES = 16 << 20  # of pixels, unless one image has more


def sheet_columns(shape: tuple[int, int, int]) -> int:
    """How many images (H, W, C) a sheet has in a row, and as many rows."""
    return max(1, min(MOST_COLUMNS, math.isqrt(SHEET_NBYTES // math.prod(shape))))


def sheets(images: Images) -> list[bytes]:
    """PNGs with as many images each as fill a square, the last one filled up with zeros.

    ImportError without Pillow.
    """
    pillow = _import_pillow()
    _, height, width, channels = images.shape
    side, made = sheet_columns((height, width, channels)), []
    for start in range(0, len(images), side * side):
        tiles = np.zeros((side * side, height, width, channels), np.uint8)
        part = images[start : start + side * side]
        tiles[: len(part)] = part
        grid = tiles.reshape(side, side, height, width, channels)
        sheet = grid.swapaxes(1, 2).reshape(side * height, side * width, channels)
        out = io.BytesIO()
        picture = pillow.fromarray(sheet[..., 0] if channels == 1 else sheet)
        picture.save(out, "PNG", optimize=True)
        made.append(out.getvalue())
    return made


def _import_pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("view needs Pillow: pip install 'aecodec[png]'") from error
    return Image
