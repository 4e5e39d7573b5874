"""A chunk within a number of bytes, with the least error that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aecodec.arrays import Images
from aecodec.codec.bounds import BoundSearch
from aecodec.codec.by_bound import encode_pixels, priced_by
from aecodec.codec.plan import ChunkPlan, encode_without_model
from aecodec.container import Chunk, chunk_nbytes
from aecodec.pixels.payloads import STATES_NBYTES
from aecodec.targets import BOUND_MAX


class SizeError(ValueError):
    """A size under a target that no way of coding the images reaches."""


def encode_within_nbytes(
    nbytes: int, smallest: Callable[[float], Chunk | None], tries: int = 8
) -> Chunk | None:
    """The chunk that ``smallest`` makes from a share of bytes for payloads, of ``nbytes`` in all.

    A chunk has more than its payloads, and the guard codes some images otherwise. So the bytes over
    ``nbytes`` are taken off the share, and the chunk is made again. None if none of the tries fits.
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
    """A chunk at the finest bounds whose payloads have ``share`` bytes or less; None if none fits.

    The first images get one bound and the others the next finer bound worth using. Or each image
    gets a bound of its own, if that has less error.
    """
    room = 8 * (share - STATES_NBYTES)
    fine, coarse = search.bracket(lambda _, bits, part: bits <= room * part)
    if coarse is None:
        return None
    count = len(search.plans.images)
    if fine is not None:
        bits, fewer = search.plans.at(fine)[0].bits, search.plans.at(coarse)[0].bits
        both = 8 * (share - 2 * STATES_NBYTES - 2)
        fit = np.flatnonzero(bits.sum() + np.cumsum(fewer - bits) <= both)
        count = int(fit[0]) + 1 if len(fit) else count
    split = search.split(fine, coarse, count)
    _, mixed = search.assignments(lambda _, bits, part: bits <= 8 * share * part, coarse)
    best = mixed if mixed is not None and mixed.error < split.error else split
    return encode_pixels(ChunkPlan(search.plans.images), priced_by(search.plans, best))


def encode_rounded_within(images: Images, nbytes: int) -> Chunk | None:
    """A chunk under zstd, gray levels rounded to the finest bound that fits; None if none does."""
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
