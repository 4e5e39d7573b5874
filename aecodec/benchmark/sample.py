"""The images of a set that ``aecodec bench`` measures."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aecodec.arrays import Images, Indices, evenly
from aecodec.images import Skipped, open_images

MAX_IMAGES = 3000
MAX_SAMPLES = 2_400_000  # 3,000 images of 28 x 28, which take about a minute
READ_IMAGES = 1024


@dataclass(frozen=True, eq=False)
class Sample:
    """Images (n, H, W, C) and their positions in a set; the names in that set, if it has any."""

    images: Images
    indices: Indices
    names: tuple[str, ...] | None
    skipped: tuple[Skipped, ...]


def read_sample(source: str | os.PathLike[str] | BinaryIO | Images, limit: int | None) -> Sample:
    """Images of a set: at most ``limit``, evenly spread.

    Without a limit as many as can be measured in about a minute. ValueError for an empty set.
    """
    with open_images(source) as opened:
        most = min(MAX_IMAGES, max(1, MAX_SAMPLES // math.prod(opened.shape)))
        n = min(opened.image_count, most if limit is None else limit)
        if n < 1:
            raise ValueError("no images, expected at least 1")
        wanted = evenly(opened.image_count, n)
        found, start = [], 0
        for batch in opened.batches(READ_IMAGES):
            here = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
            found.append(batch[here])
            start += len(batch)
        return Sample(np.concatenate(found), wanted[wanted < start], opened.names, opened.skipped)
