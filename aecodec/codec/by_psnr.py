"""A chunk that reaches a PSNR in the fewest bytes, under the pixel model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images
from aecodec.codec.bounds import BoundSearch
from aecodec.codec.by_bound import encode_pixels, priced_by
from aecodec.codec.plan import ChunkPlan, rounded_to
from aecodec.container import Chunk
from aecodec.measures import metrics
from aecodec.pixels.payloads import Refiner
from aecodec.targets import BOUND_MAX, PEAK_SQUARED

if TYPE_CHECKING:
    from aecodec.pixels.layer import Dequantizer


def squared_error_limit(psnr: float, shape: Sequence[int]) -> float:
    """The sum of squared errors of images of ``shape`` (N, H, W, C) at a PSNR in dB."""
    return math.prod(shape) * PEAK_SQUARED * 10 ** (-psnr / 10)


def encode_with_psnr(
    images: Images, psnr: float, refiner: Refiner, dequantizer: Dequantizer | None
) -> Chunk:
    """A chunk of images (n, H, W, C), n >= 1, at the coarsest bounds that reach a PSNR in dB.

    The first images get one bound and the others the next finer bound worth using. Or each image
    gets a bound of its own, if that is smaller. Images that zstd packs better are rounded, unless
    that would miss the PSNR: then they are stored as they are.
    """
    limit = squared_error_limit(psnr, images.shape)
    search = BoundSearch(images, refiner, dequantizer)

    def too_coarse(error: float, _: float, share: float) -> bool:
        return error > limit * share

    fine, coarse = search.bracket(too_coarse)
    fine = 0 if fine is None else fine  # a bound of 0 has no error
    count = 0
    if coarse is not None:
        errors, coarser = search.plans.at(fine)[1], search.plans.at(coarse)[1]
        fit = np.flatnonzero(errors.sum() + np.cumsum(coarser - errors) <= limit)
        count = int(fit[-1]) + 1 if len(fit) else 0
    split = search.split(fine, coarse, count)
    mixed, _ = search.assignments(too_coarse, fine)
    best = mixed if mixed is not None and mixed.bits < split.bits else split
    priced = priced_by(search.plans, best)
    plan = ChunkPlan(images)
    plan.fallback = rounded_to(images, psnr_bounds(images, psnr))
    chunk = encode_pixels(plan, priced)
    if chunk.sum_squared_error > limit:
        return encode_pixels(ChunkPlan(images), priced)
    return chunk


def psnr_bounds(images: Images, psnr: float) -> npt.NDArray[np.intp]:
    """Bounds (N,), one or two neighbouring ones, that reach a PSNR by rounding gray levels."""
    limit = squared_error_limit(psnr, images.shape)

    def errors(bound: int) -> npt.NDArray[np.int64]:
        return metrics.squared_error(images, rounded_to(images, np.full(len(images), bound)))

    low, high = 0, BOUND_MAX  # low is good enough
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if errors(middle).sum() <= limit else (low, middle - 1)
    bounds = np.full(len(images), low, np.intp)
    if low < BOUND_MAX:
        fine = errors(low)
        more = np.cumsum(errors(low + 1) - fine)
        fit = np.flatnonzero(fine.sum() + more <= limit)
        bounds[: fit[-1] + 1 if len(fit) else 0] += 1
    return bounds
