"""Images to planes and back, in NumPy (aez.md 11.2)."""

from __future__ import annotations

import numpy as np
import torch

from aecodec.arrays import Images, Planes
from aecodec.nets.planes import PlaneGrid, split_planes


def split(images: Images) -> Planes:
    """Images (N, H, W, C) -> planes in coding order (N, P, R, S), zeros where no pixel is."""
    writable = np.require(images, requirements="W")  # torch warns of arrays that are read-only
    return split_planes(torch.from_numpy(writable), PlaneGrid.of(images)).contiguous().numpy()


def join(planes: Planes, grid: PlaneGrid) -> Images:
    """Planes (N, P, R, S) of images of the grid's shape -> the images (N, H, W, C)."""
    images = np.empty((len(planes), grid.height, grid.width, grid.channels), np.uint8)
    for k in range(grid.planes):
        row, column, channel = grid.plane(k)
        rows, columns = grid.plane_shape(k)
        images[:, row::4, column::4, channel] = planes[:, k, :rows, :columns]
    return images
