"""The bounds under which layer R codes a chunk with the least error for its bits.

A coarser bound does not always have fewer bits and more error. Where many pixels share a gray
level, black or white say, one bound may leave them exact and the next one change them all: on
digits, E = 19 has more bits than 18, and more error too. So bounds are tried on a sample, and only
those on its lower convex hull are used. A bound that suits one image may not suit the next one. So
each image may have a bound of its own, where that saves more than it costs in the chunk's table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Bits, Images, Indices, evenly
from aecodec.codec.bound_assignment import cheapest_assignment, options_worth_having, table_bits
from aecodec.container import TABLE_ENTRY_NBYTES
from aecodec.measures import metrics
from aecodec.measures.hull import lower_hull
from aecodec.pixels.levels import finest_alike
from aecodec.pixels.payloads import STATES_NBYTES, PixelPlan, Refiner
from aecodec.targets import BOUND_MAX

if TYPE_CHECKING:
    from aecodec.pixels.layer import Dequantizer

# Whether a target needs finer bounds, by squared error and bits of a share of the chunk's images.
TooCoarse = Callable[[float, float, float], bool]

RATE_WEIGHT = 0.09  # squared steps that a bit is worth; 0.115 is right for fine steps
SAMPLE_IMAGES = 64
FEW_IMAGES = 32  # that show which of two bounds is cheaper, or that both are worth having
WORTHWHILE = 0.005  # share of the bits that a choice of bounds must save on a sample
BOUNDS_AT_ONCE = 4  # that the images of a chunk choose from, at most
WEIGHTS = 2.0 ** np.linspace(-4, 4, 33)  # of error against bits, as multiples of the usual one
OPTION_BITS = 8.0 * (STATES_NBYTES + TABLE_ENTRY_NBYTES)
WINDOW = (0.5, 2.0)  # the bounds tried, as multiples of one near the target
WINDOW_BOUNDS = 16  # about how many bounds are tried


class Plans:
    """The pixel plans of images (n, H, W, C) under any bound, each made once, when it is needed.

    With a dequantizer, symbols are chosen by bits as well as by error (``PixelPlan``).
    """

    def __init__(self, images: Images, refiner: Refiner, dequantizer: Dequantizer | None) -> None:
        self.images = images
        self._refiner, self._dequantizer = refiner, dequantizer
        self._underlay = refiner.code_underlay(images)
        self._made: dict[int, tuple[PixelPlan, npt.NDArray[np.int64]]] = {}

    def at(self, bound: int) -> tuple[PixelPlan, npt.NDArray[np.int64]]:
        """The plan under a bound, and the sum of squared errors of each image, (n,)."""
        if bound not in self._made:
            dequantizer = self._dequantizer if bound else None
            weight = RATE_WEIGHT if dequantizer else 0.0
            plan = PixelPlan(self._refiner, self.images, bound, dequantizer, weight, self._underlay)
            self._made[bound] = plan, metrics.squared_error(self.images, plan.x_hat)
        return self._made[bound]

    def made(self) -> list[int]:
        """The bounds that have a plan so far."""
        return list(self._made)

    def totals(self, bound: int) -> tuple[float, float]:
        """Squared error and bits of all images together."""
        plan, errors = self.at(bound)
        return float(errors.sum()), float(plan.bits.sum())

    def table(self, bounds: Sequence[int]) -> tuple[npt.NDArray[np.float64], Bits]:
        """Squared errors and bits, (K, n) each, of each image under each of K bounds."""
        plans = [self.at(bound) for bound in bounds]
        errors = np.stack([errors for _, errors in plans]).astype(np.float64)
        return errors, np.stack([plan.bits for plan, _ in plans])


@dataclass(frozen=True, eq=False)
class BoundAssignment:
    """A bound for each image of a chunk: image i has ``bounds[choice[i]]``.

    ``error`` is the sum of squared errors of all images. ``bits`` are those of all images, and of
    their runs and sub-payloads.
    """

    bounds: tuple[int, ...]
    choice: Indices
    error: float
    bits: float


class BoundSearch:
    """The search for the bounds with which a chunk (n, H, W, C) just meets a target.

    ``plans`` are those of all images; most bounds are tried on a sample only.
    """

    def __init__(
        self, images: Images, refiner: Refiner, dequantizer: Dequantizer | None = None
    ) -> None:
        self.plans = Plans(images, refiner, dequantizer)
        sample = images[evenly(len(images), SAMPLE_IMAGES, ends=True)]
        self._sample = Plans(sample, refiner, dequantizer)
        self._share = len(sample) / len(images)

    def bracket(self, too_coarse: TooCoarse) -> tuple[int | None, int | None]:
        """The coarsest bound worth using that is fine enough, and the next coarser one.

        The first is None where even 0 is too coarse, the second where 127 is fine enough.
        """

        def sample_fails(bound: int) -> bool:
            return too_coarse(*self._sample.totals(bound), self._share)

        def fails(bound: int) -> bool:
            return too_coarse(*self.plans.totals(bound), 1.0)

        low, high = -1, BOUND_MAX + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if sample_fails(middle) else (middle, high)
        finer, hull, coarser = self._worth_using(max(low, 0))
        order = [*finer, *hull, *coarser]
        i = len(finer) + max(0, sum(not sample_fails(bound) for bound in hull) - 1)
        while i >= 0 and fails(order[i]):
            i -= 1
        while i + 1 < len(order) and not fails(order[i + 1]):
            i += 1
        fine = order[i] if i >= 0 else None
        return fine, order[i + 1] if i + 1 < len(order) else None

    def split(self, fine: int | None, coarse: int | None, count: int) -> BoundAssignment:
        """The first ``count`` images under the coarse bound, the others under the fine one."""
        bounds = [bound for bound in (coarse, fine) if bound is not None]
        everyone = np.arange(len(self.plans.images))
        choice = np.minimum(everyone >= count, len(bounds) - 1).astype(np.intp)
        return _assigned(bounds, choice, *self.plans.table(bounds))

    def assignments(
        self, too_coarse: TooCoarse, near: int
    ) -> tuple[BoundAssignment | None, BoundAssignment | None]:
        """A bound for each image: the coarsest assignment that is fine enough, and one too coarse.

        ``near`` is a bound near the target. Both are None where a choice does not pay on a sample.
        """
        bounds = self._worth_assigning(too_coarse, near)
        if len(bounds) < 2:
            return None, None
        errors, bits = self.plans.table(bounds)
        fine, coarse = None, None
        weights = _usual_weight(near) * WEIGHTS
        for _ in range(2):
            choice = cheapest_assignment(bits + weights[:, None, None] * errors)
            made = [_assigned(bounds, each, errors, bits) for each in choice]
            fails = [too_coarse(each.error, each.bits, 1.0) for each in made]
            if fails[0] == fails[-1]:
                break
            turn = fails.index(False)
            coarse, fine = made[turn - 1], made[turn]
            weights = np.geomspace(weights[turn - 1], weights[turn], len(weights))
        return fine, coarse

    def _worth_assigning(self, too_coarse: TooCoarse, near: int) -> list[int]:
        """The bounds near the target that together save most on the sample."""
        first, last = int(WINDOW[0] * near), min(round(WINDOW[1] * near) + 1, BOUND_MAX)
        bounds = sorted(bound for bound in self._sample.made() if first <= bound <= last)
        if len(bounds) < 2:
            return []
        errors, bits = self._sample.table(bounds)
        image = np.arange(errors.shape[1])
        for weight in _usual_weight(near) * WEIGHTS:
            costs = bits + weight * errors
            least = costs.argmin(axis=0)
            reached = errors[least, image].sum(), bits[least, image].sum()
            if not too_coarse(float(reached[0]), float(reached[1]), self._share):
                break
        chosen = options_worth_having(costs, BOUNDS_AT_ONCE, OPTION_BITS * self._share)
        saved = costs.sum(axis=1).min() - costs[chosen].min(axis=0).sum()
        return [bounds[i] for i in chosen] if saved > WORTHWHILE * reached[1] else []

    def _worth_using(self, near: int) -> tuple[range, list[int], range]:
        """Bounds by rising error: those finer than a window, the hull in it, and coarser ones."""
        first, last = int(WINDOW[0] * near), min(round(WINDOW[1] * near) + 1, BOUND_MAX)
        window = range(first, last + 1, max(1, -(-(last - first) // WINDOW_BOUNDS)))
        hull = bounds_on_hull({bound: self._sample.totals(bound) for bound in window})
        return range(first), hull, range(window[-1] + 1, BOUND_MAX + 1)


def _usual_weight(bound: int) -> float:
    """The bits that a unit of squared error is worth near a bound."""
    return 1 / (RATE_WEIGHT * (2 * bound + 1) ** 2)


def _assigned(
    bounds: Sequence[int], choice: Indices, errors: npt.NDArray[np.float64], bits: Bits
) -> BoundAssignment:
    """The assignment of a choice (n,), of a table (K, n) of squared errors and bits."""
    image = np.arange(len(choice))
    total = float(bits[choice, image].sum()) + table_bits(choice, OPTION_BITS)
    return BoundAssignment(tuple(bounds), choice, float(errors[choice, image].sum()), total)


def cheapest_within(images: Images, bound: int, refiner: Refiner) -> tuple[Plans, BoundAssignment]:
    """Each image under ``bound``, or under the finest one with as many levels if that takes less.

    Often it takes less where levels are few: the cell of the last level is then as wide as the
    others, not a sliver that separates white from almost white. Both bounds are tried on all images
    where a choice pays on a sample. Returns the plans of the images, and which bound each one has.
    """
    plans = Plans(images, refiner, None)
    finer = finest_alike(bound)
    bounds = [bound]
    if finer < bound:
        few = images[evenly(len(images), FEW_IMAGES, ends=True)]
        _, sample = Plans(few, refiner, None).table([finer, bound])
        bounds = _worth_trying([finer, bound], sample, len(few) / len(images))
    errors, bits = plans.table(bounds)
    choices = [np.full(len(images), i) for i in range(len(bounds))]
    if len(bounds) > 1:
        choices.append(cheapest_assignment(bits))
    made = [_assigned(bounds, choice, errors, bits) for choice in choices]
    return plans, min(made, key=lambda assignment: assignment.bits)


def _worth_trying(bounds: list[int], bits: Bits, share: float) -> list[int]:
    """All of the bounds, or only the cheapest one where a choice saves nothing on a sample.

    ``bits`` (K, n) are those of the sample, which is a ``share`` of the chunk.
    """
    choice = cheapest_assignment(bits)
    mixed = bits[choice, np.arange(len(choice))].sum() + table_bits(choice, OPTION_BITS * share)
    alone = bits.sum(axis=1)
    best = int(alone.argmin())
    alone_bits = alone[best] + OPTION_BITS * share
    return bounds if mixed < (1 - WORTHWHILE) * alone_bits else [bounds[best]]


def bounds_on_hull(totals: dict[int, tuple[float, float]]) -> list[int]:
    """The bounds whose (error, bits) are on the lower convex hull, by rising error.

    They end where bits are least.
    """
    bounds = sorted(totals, key=lambda bound: totals[bound])
    bits = [totals[bound][1] for bound in bounds]
    points = [totals[bound] for bound in bounds[: bits.index(min(bits)) + 1]]
    return [bounds[i] for i in lower_hull(points)]
