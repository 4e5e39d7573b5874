"""SSIM: how alike two images are in structure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images

Floats = npt.NDArray[np.float64]

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BATCH = 512  # images at once


def ssim(x: Images, x_hat: Images) -> float:
    """Mean SSIM of uint8 (N, H, W, C) twice, channels taken alone; 1 where all is the same.

    Wang, Bovik, Sheikh and Simoncelli 2004: a Gaussian window of 11 x 11, sigma 1.5 (of the image's
    side where that is shorter), at every place where the window lies within the image.
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


def _filter(side: int) -> Floats:
    """(side - window + 1, side): each row the window at one place."""
    window = min(WINDOW, side)
    at = np.arange(window) - (window - 1) / 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    places = side - window + 1
    matrix = np.zeros((places, side))
    for place in range(places):
        matrix[place, place : place + window] = weights / weights.sum()
    return matrix


def _map(a: Floats, b: Floats, rows: Floats, columns: Floats) -> Floats:
    def mean(values: Floats) -> Floats:
        return rows @ values @ columns.T

    mean_a, mean_b = mean(a), mean(b)
    variance_a = mean(a * a) - mean_a**2
    variance_b = mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    return ((2 * mean_a * mean_b + C1) * (2 * covariance + C2)) / (
        (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
    )
