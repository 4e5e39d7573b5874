"""The page's pictures: images in sheets of 16 x 16, as PNGs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Images

if TYPE_CHECKING:
    from types import ModuleType

SHEET_COLUMNS = 16
SHEET_IMAGES = SHEET_COLUMNS * SHEET_COLUMNS


def sheets(images: Images) -> list[bytes]:
    """PNGs with 16 x 16 images each, the last one filled up with zeros.

    ImportError without Pillow.
    """
    pillow = _import_pillow()
    _, height, width, channels = images.shape
    made = []
    for start in range(0, len(images), SHEET_IMAGES):
        tiles = np.zeros((SHEET_IMAGES, height, width, channels), np.uint8)
        part = images[start : start + SHEET_IMAGES]
        tiles[: len(part)] = part
        grid = tiles.reshape(SHEET_COLUMNS, SHEET_COLUMNS, height, width, channels)
        sheet = grid.swapaxes(1, 2).reshape(SHEET_COLUMNS * height, SHEET_COLUMNS * width, channels)
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
