"""Under which bounds layer R makes the best of a chunk: the least error for its bits.

Error and bits are not steady in the bound. Where many pixels share a gray level, black or white say,
one bound may leave them exact and the next one move them all: on digits E = 19 costs more than 18 and
errs more. So bounds are weighed on a sample, and only those on its lower convex hull are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec import metrics, refinement
from aecodec.targets import BOUND_MAX

if TYPE_CHECKING:
    from aecodec.nets.pixel_layer import Dequantizer, PixelLayer

Images = npt.NDArray[np.uint8]
# sum of squared errors, bits, images as a share of the chunk's -> coarser than the target needs?
TooCoarse = Callable[[float, float, float], bool]

RATE_WEIGHT = 0.09  # squared steps that a bit is worth; 0.115 is right for fine steps
SAMPLE_IMAGES = 64
FEW_IMAGES = 16  # tell which of two bounds is cheaper
WINDOW = (0.65, 1.5)  # bounds weighed, as shares of one near the target
WINDOW_BOUNDS = 16  # and about how many of them


class Plans:
    """Images (n, H, W, C) under any bound, planned when asked for.

    With a dequantizer, bits are weighed against error.
    """

    def __init__(self, images: Images, layer: PixelLayer, dequantizer: Dequantizer | None) -> None:
        self.images = images
        self._layer, self._dequantizer = layer, dequantizer
        self._made: dict[int, tuple[refinement.PixelPlan, npt.NDArray[np.int64]]] = {}

    def at(self, bound: int) -> tuple[refinement.PixelPlan, npt.NDArray[np.int64]]:
        """The plan under a bound, and the sums of squared errors (n,)."""
        if bound not in self._made:
            weighed = (self._dequantizer, RATE_WEIGHT) if bound and self._dequantizer else ()
            plan = refinement.PixelPlan(self._layer, self.images, bound, *weighed)
            self._made[bound] = plan, metrics.squared_error(self.images, plan.x_hat)
        return self._made[bound]

    def totals(self, bound: int) -> tuple[float, float]:
        """Squared error and bits of all images together."""
        plan, errors = self.at(bound)
        return float(errors.sum()), float(plan.bits.sum())


class BoundSearch:
    """The bounds that a target of a chunk lies between."""

    def __init__(
        self, images: Images, layer: PixelLayer, dequantizer: Dequantizer | None = None
    ) -> None:
        self.plans = Plans(images, layer, dequantizer)
        sample = _spread(images, SAMPLE_IMAGES)
        self._sample = Plans(sample, layer, dequantizer)
        self._share = len(sample) / len(images)

    def bracket(self, too_coarse: TooCoarse) -> tuple[int | None, int | None]:
        """The coarsest bound worth using that is fine enough, and the next coarser one.

        None for a bound that is not there: even 0 is too coarse, or 127 is not.
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

    def _worth_using(self, near: int) -> tuple[range, list[int], range]:
        """By rising error: bounds finer than a window, the sample's hull in it, coarser bounds."""
        first, last = int(WINDOW[0] * near), min(round(WINDOW[1] * near) + 1, BOUND_MAX)
        window = range(first, last + 1, max(1, -(-(last - first) // WINDOW_BOUNDS)))
        hull = lower_hull({bound: self._sample.totals(bound) for bound in window})
        return range(first), hull, range(window[-1] + 1, BOUND_MAX + 1)


def cheapest_within(images: Images, bound: int, layer: PixelLayer) -> int:
    """``bound``, or the finest one with as many gray levels where that takes no more bits.

    Often it does where levels are few: the last one is then of as wide a cell as the others, not a
    sliver that parts white from almost white.
    """
    finer = refinement.finest_alike(bound)
    if finer == bound:
        return bound
    sample = Plans(_spread(images, FEW_IMAGES), layer, None)
    return min((finer, bound), key=lambda b: sample.totals(b)[1])


def _spread(images: Images, count: int) -> Images:
    """``count`` of the images, or all, evenly spread."""
    chosen: Images = images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)]
    return chosen


def lower_hull(totals: dict[int, tuple[float, float]]) -> list[int]:
    """Of bounds with (error, bits) those on the lower convex hull, by rising error."""
    least_bits = min(bits for _, bits in totals.values())
    hull: list[int] = []
    for bound in sorted(totals, key=lambda b: totals[b]):
        error, bits = totals[bound]
        while len(hull) > 1:
            (x0, y0), (x1, y1) = totals[hull[-2]], totals[hull[-1]]
            if (y1 - y0) * (error - x0) < (bits - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append(bound)
        if bits == least_bits:
            return hull
    return hull
