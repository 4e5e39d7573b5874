"""Rate and distortion: bpp, bits per dim, squared error, largest error, PSNR."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images

SCRATCH_NBYTES = 1 << 20  # about the number of samples that are compared at a time


def bits_per_pixel(nbytes: int, shape: tuple[int, int, int, int]) -> float:
    """8 * nbytes / (N * H * W), shape (N, H, W, C); ValueError if there is no pixel.

    The caller decides what ``nbytes`` counts: the payload or the file, with or without weights.
    """
    return 8 * nbytes / _count(shape[:3], shape)


def bits_per_dim(nbytes: int, shape: tuple[int, int, int, int]) -> float:
    """8 * nbytes / (N * H * W * C), shape (N, H, W, C); ValueError if there is no pixel."""
    return 8 * nbytes / _count(shape, shape)


def squared_error(x: Images, x_hat: Images) -> npt.NDArray[np.int64]:
    """Sum of (x - x_hat)^2 for each image, exact: uint8 (N, ...) twice -> int64 (N,)."""
    sums = np.zeros(len(x), np.int64)
    for rows, difference in _absolute_differences(x, x_hat):
        squares = np.square(difference, dtype=np.uint16)  # 255 ** 2 < 2 ** 16
        sums[rows] += squares.sum(axis=1, dtype=np.int64)
    return sums


def max_error(x: Images, x_hat: Images) -> npt.NDArray[np.uint8]:
    """Largest abs(x - x_hat) in each image: uint8 (N, ...) twice -> uint8 (N,)."""
    largest = np.zeros(len(x), np.uint8)
    for rows, difference in _absolute_differences(x, x_hat):
        largest[rows] = np.maximum(largest[rows], difference.max(axis=1))
    return largest


def psnr_db(sum_squared_error: int, sample_count: int, peak: int = 255) -> float:
    """10 * log10(peak^2 / mean squared error), over N * H * W * C samples; inf without error."""
    if sample_count < 1:
        raise ValueError(f"sample_count {sample_count}, expected at least 1: no sample, no PSNR")
    if sum_squared_error < 0:
        raise ValueError(f"sum_squared_error {sum_squared_error}, expected 0 or more")
    if sum_squared_error == 0:
        return math.inf
    return 10 * math.log10(peak * peak * sample_count / sum_squared_error)


def _count(sides: tuple[int, ...], shape: tuple[int, ...]) -> int:
    count = math.prod(sides)
    if count < 1:
        raise ValueError(f"shape {shape}: no pixel to divide the bits by")
    return count


def _absolute_differences(
    x: Images, x_hat: Images
) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
    """Rows of the batch, and abs(x - x_hat) of some of their samples (rows, samples), by blocks."""
    _check_pair(x, x_hat)
    image_samples = math.prod(x.shape[1:])
    a, b = x.reshape(len(x), image_samples), x_hat.reshape(len(x), image_samples)
    row_step = max(1, SCRATCH_NBYTES // max(1, image_samples))
    for row in range(0, len(x), row_step):
        rows = slice(row, min(row + row_step, len(x)))
        for column in range(0, image_samples, SCRATCH_NBYTES):  # one block, except for huge images
            part = (rows, slice(column, column + SCRATCH_NBYTES))
            yield rows, np.maximum(a[part], b[part]) - np.minimum(a[part], b[part])


def _check_pair(x: Images, x_hat: Images) -> None:
    for name, array in (("x", x), ("x_hat", x_hat)):
        if array.dtype != np.uint8:
            raise TypeError(f"{name} has dtype {array.dtype}, expected uint8")
    if x.shape != x_hat.shape:
        raise ValueError(f"x has shape {x.shape}, x_hat {x_hat.shape}, expected the same")
