"""Images to planes and back, in NumPy (aez.md 11.2)."""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Images, Planes
from aecodec.nets.planes import PHASES, PlaneGrid


def split(images: Images) -> Planes:
    """Images (N, H, W, C) -> planes in coding order (N, P, R, S), zeros where no pixel is."""
    grid, count = PlaneGrid.of(images), len(images)
    rows, columns = grid.cells
    padded = np.zeros((count, 4 * rows, 4 * columns, grid.channels), np.uint8)
    padded[:, : grid.height, : grid.width] = images
    cells = padded.reshape(count, rows, 4, columns, 4, grid.channels)
    phases = cells.transpose(0, 2, 4, 5, 1, 3)
    phases = phases.reshape(count, len(PHASES), grid.channels * rows * columns)
    return phases.take(PHASES, axis=1).reshape(count, grid.planes, rows, columns)


def join(planes: Planes, grid: PlaneGrid) -> Images:
    """Planes (N, P, R, S) of images of the grid's shape -> the images (N, H, W, C)."""
    images = np.empty((len(planes), grid.height, grid.width, grid.channels), np.uint8)
    for k in range(grid.planes):
        row, column, channel = grid.plane(k)
        rows, columns = grid.plane_shape(k)
        images[:, row::4, column::4, channel] = planes[:, k, :rows, :columns]
    return images
