"""Ways to code some images of a chunk, and which image takes which: the least cost in all.

The cost of an image is its bits plus the weight of a quality times its mean squared error. A way
that misses the limit of the quality does not count. What remains is coded by zstd, without loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Bits, Images, Indices, evenly
from aecodec.codec.bound_assignment import options_worth_having
from aecodec.codec.bounds import OPTION_BITS
from aecodec.codec.zstd_fallback import code_by_zstd, is_clearly_smaller
from aecodec.container import SubPayload
from aecodec.measures import metrics
from aecodec.pixels.levels import finest_alike
from aecodec.pixels.payloads import PixelPlan, Refiner
from aecodec.targets import BOUND_MAX

BOUNDS_AT_ONCE = 3  # that the images choose from, at most
SAMPLE_IMAGES = 64  # by which those are chosen


@dataclass(frozen=True)
class Rule:
    """What a quality asks of each image, and what it says about costs.

    No image may have a mean squared error over ``mse_limit``, in gray levels squared. An image with
    ``mse_enough`` or less keeps its latents. ``lmbda`` is the weight of mean squared error against
    bits per pixel.
    """

    mse_limit: float
    mse_enough: float
    lmbda: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to code images (m, H, W, C).

    ``costs`` (m,) are in bits, infinite where the way misses the limit; ``errors`` (m,) are mean
    squared errors; ``x_hat`` (m, H, W, C) is what decoding gives. ``encode`` makes the sub-payload
    of some of the images, by their rows.
    """

    costs: Bits
    errors: Bits
    x_hat: Images
    encode: Callable[[Indices], SubPayload]

    @classmethod
    def of(
        cls,
        images: Images,
        x_hat: Images,
        bits: Bits,
        rule: Rule,
        encode: Callable[[Indices], SubPayload],
    ) -> Candidate:
        """The candidate that takes ``bits`` (m,) and decodes to ``x_hat``; infinite bits refuse."""
        errors = mean_squared_errors(images, x_hat)
        costs = bits + rule.lmbda * math.prod(images.shape[1:3]) * errors
        return cls(np.where(errors <= rule.mse_limit, costs, np.inf), errors, x_hat, encode)

    def rows(self, some: Indices) -> Candidate:
        """The same way for some of the images only."""
        return Candidate(
            self.costs[some],
            self.errors[some],
            self.x_hat[some],
            lambda rows: self.encode(some[rows]),
        )


def mean_squared_errors(images: Images, x_hat: Images) -> npt.NDArray[np.float64]:
    """The mean squared error (n,) of each image (n, H, W, C)."""
    sums = metrics.squared_error(images, x_hat).astype(np.float64)
    return sums / math.prod(images.shape[1:])


def pixel_candidates(images: Images, rule: Rule, refiner: Refiner) -> list[Candidate]:
    """The candidates of the pixel model, under the bounds that together cost least on a sample."""
    few = images[evenly(len(images), SAMPLE_IMAGES, ends=True)]
    bounds = _bounds_for(rule)
    tried = [_by_pixels(few, bound, rule, refiner) for bound in bounds]
    costs = np.stack([candidate.costs for candidate in tried])
    share = len(few) / len(images)
    chosen = options_worth_having(_finite(costs), BOUNDS_AT_ONCE, OPTION_BITS * share)
    return [_by_pixels(images, bounds[i], rule, refiner) for i in chosen]


def _bounds_for(rule: Rule) -> list[int]:
    """Bounds around the one that a weight asks for, down to lossless.

    At high rates a step of d costs d**2 / 12 of mean squared error, and one bit a pixel halves it;
    so the least cost is where d**2 = 6 / (lmbda ln 2).
    """
    step = math.sqrt(6 / (rule.lmbda * math.log(2)))
    usual = max(0, min(BOUND_MAX, round((step - 1) / 2)))
    surely_good = min(BOUND_MAX, math.isqrt(int(rule.mse_limit)))
    near = [usual, (2 * usual) // 3, usual // 3, surely_good]
    return sorted({0, *near, *map(finest_alike, near)})


def _by_pixels(images: Images, bound: int, rule: Rule, refiner: Refiner) -> Candidate:
    plan = PixelPlan(refiner, images, bound)

    def encode(rows: Indices) -> SubPayload:
        return SubPayload(plan.mode, bound, plan.encode(rows))

    return Candidate.of(images, plan.x_hat, plan.bits, rule, encode)


def cheapest(images: Images, candidates: Sequence[Candidate]) -> Indices:
    """The candidate (m,) that each image (m, H, W, C) takes; -1 is zstd.

    Images under zstd share what it finds in them; so the images that it might take are tried
    together: those without a candidate, those that cost more than zstd's average, and all.
    """
    if not candidates:
        return np.full(len(images), -1)
    costs = np.stack([candidate.costs for candidate in candidates])
    choice: Indices = costs.argmin(axis=0)
    least = costs.min(axis=0)
    lacking = ~np.isfinite(least)
    if not lacking.any() and is_clearly_smaller(least.sum() / 8, images):
        return choice
    average = 8 * len(code_by_zstd(images).data) / len(images)
    everyone = np.ones(len(images), bool)
    splits = [(average * len(images), everyone)]
    for by_zstd in (lacking, lacking | (least > average)):
        if not by_zstd.all():
            packed = 8 * len(code_by_zstd(images[by_zstd]).data) if by_zstd.any() else 0
            splits.append((packed + float(least[~by_zstd].sum()), by_zstd))
    choice[min(splits, key=lambda split: split[0])[1]] = -1
    return choice


def _finite(costs: Bits) -> Bits:
    """Costs whose infinite ones are larger than any sum of the others."""
    worst = float(costs[np.isfinite(costs)].max(initial=0.0))
    return np.where(np.isfinite(costs), costs, (1 + worst) * costs.size)
