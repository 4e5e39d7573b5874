"""SSIM: the structural similarity of two images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images

Doubles = npt.NDArray[np.float64]

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BATCH = 512  # images at once


def ssim(x: Images, x_hat: Images) -> float:
    """Mean SSIM of two batches uint8 (N, H, W, C), over images and channels; 1 for equal batches.

    Wang, Bovik, Sheikh and Simoncelli 2004: a Gaussian window of 11 x 11, sigma 1.5, at every place
    where it lies within the image. A side shorter than 11 has a window of that side.
    """
    if x.shape != x_hat.shape or x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}, x_hat {x_hat.shape}, expected (N, H, W, C) twice")
    rows, columns = (_filter(side) for side in x.shape[1:3])
    total = 0.0
    for start in range(0, len(x), BATCH):
        a, b = (
            images[start : start + BATCH].transpose(0, 3, 1, 2).astype(np.float64)
            for images in (x, x_hat)
        )
        total += float(_map(a, b, rows, columns).mean(axis=(1, 2, 3)).sum())
    return total / len(x)


def _filter(side: int) -> Doubles:
    """(side - window + 1, side): each row is the window at one place."""
    window = min(WINDOW, side)
    at = np.arange(window) - (window - 1) / 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    places = side - window + 1
    matrix = np.zeros((places, side))
    for place in range(places):
        matrix[place, place : place + window] = weights / weights.sum()
    return matrix


def _map(a: Doubles, b: Doubles, rows: Doubles, columns: Doubles) -> Doubles:
    def mean(values: Doubles) -> Doubles:
        return rows @ values @ columns.T

    mean_a, mean_b = mean(a), mean(b)
    variance_a = mean(a * a) - mean_a**2
    variance_b = mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    return ((2 * mean_a * mean_b + C1) * (2 * covariance + C2)) / (
        (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
    )
