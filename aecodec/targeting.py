"""A chunk that reaches a PSNR, or keeps within a number of bytes, with the least that it takes.

Each ``encode_...`` takes images uint8 (n, H, W, C), n >= 1, or a search over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec import metrics, refinement
from aecodec.bound_search import BoundSearch
from aecodec.container import Chunk, chunk_nbytes
from aecodec.encoding import ChunkPlan, encode_pixels, encode_without_model, priced_by, rounded_to
from aecodec.refinement import Refiner
from aecodec.targets import BOUND_MAX

if TYPE_CHECKING:
    from aecodec.nets.pixel_layer import Dequantizer

Images = npt.NDArray[np.uint8]


# ---------------------------------------------------------------- a PSNR


def squared_error_limit(psnr: float, shape: Sequence[int]) -> float:
    """The sum of squared errors of images of ``shape`` (N, H, W, C) at a PSNR in dB."""
    return math.prod(shape) * 65025 * 10 ** (-psnr / 10)


def encode_with_psnr(
    images: Images, psnr: float, refiner: Refiner, dequantizer: Dequantizer | None
) -> Chunk:
    """By layer R at the coarsest bounds that reach a PSNR over the whole chunk.

    One bound for the first images and the next finer one that is worth it for the rest, or a bound
    for each image where that is smaller. Images that zstd packs better are rounded, or kept as they
    are where that would miss the PSNR.
    """
    limit = squared_error_limit(psnr, images.shape)
    search = BoundSearch(images, refiner, dequantizer)

    def too_coarse(error: float, _: float, share: float) -> bool:
        return error > limit * share

    fine, coarse = search.bracket(too_coarse)
    if fine is None:
        raise AssertionError("lossless missed a PSNR")
    count = 0
    if coarse is not None:
        errors, coarser = search.plans.at(fine)[1], search.plans.at(coarse)[1]
        fit = np.flatnonzero(errors.sum() + np.cumsum(coarser - errors) <= limit)
        count = int(fit[-1]) + 1 if len(fit) else 0
    split = search.split(fine, coarse, count)
    mixed, _ = search.mixtures(too_coarse, fine)
    best = mixed if mixed is not None and mixed.bits < split.bits else split
    priced = priced_by(search.plans, best)
    plan = ChunkPlan(images)
    plan.fallback = rounded_to(images, psnr_bounds(images, psnr))
    chunk = encode_pixels(plan, priced)
    if chunk.sum_squared_error > limit:
        return encode_pixels(ChunkPlan(images), priced)
    return chunk


def psnr_bounds(images: Images, psnr: float) -> npt.NDArray[np.intp]:
    """Bounds (N,) of the images, at most two neighbouring ones, that reach a PSNR by rounding."""
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


# ---------------------------------------------------------------- a number of bytes


def encode_within_nbytes(
    nbytes: int, smallest: Callable[[float], Chunk | None], tries: int = 8
) -> Chunk | None:
    """The chunk that ``smallest`` makes for as many payload bytes as fit ``nbytes`` in all.

    A chunk has more than its payload, and images that the guard sends elsewhere: what is over is
    taken off the payload's share, and the chunk made again. None where that does not end well.
    """
    share = float(nbytes)
    for again in range(tries):
        chunk = smallest(share) if share > 0 else None
        if chunk is None:
            return None
        over = chunk_nbytes(chunk) - nbytes
        if over <= 0:
            return chunk
        share -= over + again * nbytes / 500
    return None


def encode_pixels_within(search: BoundSearch, share: float) -> Chunk | None:
    """By layer R at the finest bounds whose payloads have ``share`` bytes or less; None if none.

    One bound for the first images and the next finer one that is worth it for the rest, or a bound
    for each image where that errs less.
    """
    room = 8 * (share - refinement.STATES_NBYTES)
    fine, coarse = search.bracket(lambda _, bits, part: bits <= room * part)
    if coarse is None:
        return None
    count = len(search.plans.images)
    if fine is not None:
        bits, fewer = search.plans.at(fine)[0].bits, search.plans.at(coarse)[0].bits
        both = 8 * (share - 2 * refinement.STATES_NBYTES - 2)
        fit = np.flatnonzero(bits.sum() + np.cumsum(fewer - bits) <= both)
        count = int(fit[0]) + 1 if len(fit) else count
    split = search.split(fine, coarse, count)
    _, mixed = search.mixtures(lambda _, bits, part: bits <= 8 * share * part, coarse)
    best = mixed if mixed is not None and mixed.error < split.error else split
    return encode_pixels(ChunkPlan(search.plans.images), priced_by(search.plans, best))


def encode_rounded_within(images: Images, nbytes: int) -> Chunk | None:
    """Under zstd, gray levels rounded to the finest bound that fits; None if none does."""
    low, high = -1, BOUND_MAX + 1  # high fits, low does not
    best = None
    while high - low > 1:
        middle = (low + high) // 2
        chunk = encode_without_model(images, middle)
        if chunk_nbytes(chunk) <= nbytes:
            best, high = chunk, middle
        else:
            low = middle
    return best
