"""Means over whole sets, some samples at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.held_rows import Rows, rows_at_once
from aecodec.nets.latent_decoder import AutoencoderConfig

MEAN_IMAGES = 20_000  # of a large set, at least, and less than twice as many
NUMBERS_AT_ONCE = 1 << 20


def mean_and_spread(rows: Rows) -> tuple[npt.NDArray[np.float64], float]:
    """The mean (P,) of rows (N, P), and the root of their mean squared distance from it."""
    at_once = rows_at_once(rows, len(rows), NUMBERS_AT_ONCE)
    starts = range(0, len(rows), at_once)
    if isinstance(rows, np.ndarray):
        mean = rows.mean(axis=0, dtype=np.float64)
    else:
        sums = (rows[start : start + at_once].sum(axis=0, dtype=np.float64) for start in starts)
        mean = np.sum(np.stack(list(sums)), axis=0) / len(rows)
    total = 0.0
    for start in starts:
        x = rows[start : start + at_once].astype(np.float64)
        x -= mean
        total += float(np.square(x, out=x).sum())
    return mean, math.sqrt(total / rows.size)


def mean_image(images: Rows, c: AutoencoderConfig) -> Tensor:
    """The mean (C, H4, W4) of images uint8 (N, H, W, C), gray / 256, padded by their edges.

    Of more than 40,000 images it is that of some. Their sums are exact in float32.
    """
    step = max(1, len(images) // MEAN_IMAGES)
    rows = step * rows_at_once(images, len(images), NUMBERS_AT_ONCE)
    total, count = np.zeros(images.shape[1:], np.int64), 0
    for start in range(0, len(images), rows):
        some = images[start : min(start + rows, len(images)) : step]
        total += some.sum(axis=0, dtype=np.int64)
        count += len(some)
    mean = torch.from_numpy(total.astype(np.float32))[None].permute(0, 3, 1, 2) / 256 / count
    bottom, right = c.padded[0] - c.height, c.padded[1] - c.width
    return F.pad(mean, (0, right, 0, bottom), mode="replicate")[0]
