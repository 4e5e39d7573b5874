"""Layer R at work: images under an error bound <-> ANS payloads (aez.md 11 and 12).

Where the networks' parameters and the entropy coder meet: plane by plane, integers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec import entropy
from aecodec.container import MODE_PIXELS_ANS, MODE_PIXELS_DEQUANTIZED
from aecodec.entropy import ans
from aecodec.entropy.mixture import level_count
from aecodec.targets import BOUND_MAX

if TYPE_CHECKING:
    from aecodec.nets.pixel_layer import Dequantizer, PixelLayer
    from aecodec.underlay import Laid, Underlay

Images = npt.NDArray[np.uint8]

STATES_NBYTES = ans.STATES_NBYTES


def to_symbols(x: Images, bound: int) -> Images:
    """Gray levels to symbols: (x + E) // (2E + 1)."""
    step = 2 * bound + 1
    return ((x.astype(np.uint16) + bound) // step).astype(np.uint8)


def to_levels(symbols: Images, bound: int) -> Images:
    """Symbols to gray levels: min(255, symbol * (2E + 1)), at most E from where they came."""
    return np.minimum(255, symbols.astype(np.uint16) * (2 * bound + 1)).astype(np.uint8)


@dataclass(frozen=True)
class Refiner:
    """A pixel model, and the underlay that it needs if it was trained to stand on one."""

    pixels: PixelLayer
    underlay: Underlay | None = None

    def lay(self, images: Images) -> Laid | None:
        """What the pixel model stands on, for these images."""
        return self.underlay.lay(images, self.pixels) if self.underlay else None


class PixelPlan:
    """Images under a bound, priced before they are coded, so that the dear ones can be left out.

    ``bound`` is E, ``mode`` the container's, ``x_hat`` what decoding gives, ``bits`` (N,) what each
    image costs. ``laid`` is what the refiner laid for the images, if that is known. With a
    ``dequantizer`` pixels are up to 2E away from where they were, and with a ``rate_weight`` too,
    further still: then a pixel takes the symbol next to its own where that saves more bits than it
    adds squared error, a bit being worth so many squared steps (2E + 1).
    """

    def __init__(
        self,
        refiner: Refiner,
        images: Images,
        bound: int,
        dequantizer: Dequantizer | None = None,
        rate_weight: float = 0.0,
        laid: Laid | None = None,
    ) -> None:
        layer, laid = refiner.pixels, laid or refiner.lay(images)
        self.bound = bound
        self.mode = MODE_PIXELS_DEQUANTIZED if dequantizer else MODE_PIXELS_ANS
        planes = layer.split(images)
        symbols = to_symbols(planes, bound)
        known = to_levels(symbols, bound)
        self.bits = laid.bits.copy() if laid else np.zeros(len(images))
        # of each plane, int32 (2, N, pixels); of each group of latents before them
        self._intervals = list(laid.intervals) if laid else []
        for k in range(layer.config.planes):
            rows, columns = layer.config.plane_shape(k)
            raw = layer.predict(k, known, bound, laid.planes if laid else None)
            raw = raw.reshape(-1, raw.shape[-1])
            nearest = np.ascontiguousarray(symbols[:, k, :rows, :columns]).ravel()
            if rate_weight:
                x = planes[:, k, :rows, :columns].ravel()
                chosen, coded = _weigh(raw, x, nearest, bound, rate_weight)
                known[:, k, :rows, :columns] = to_levels(chosen, bound).reshape(-1, rows, columns)
            else:
                coded = entropy.coder().intervals(raw, nearest, bound)
            plane = coded.reshape(2, len(images), rows * columns)
            self._intervals.append(plane)
            self.bits += ans.cost_bits(plane).sum(axis=1)
        self.x_hat = layer.join(dequantizer.move(known, bound) if dequantizer else known)

    def encode(self, chosen: npt.NDArray[np.intp]) -> bytes:
        """The payload of the chosen images, in their order."""
        planes = [plane[:, chosen].reshape(2, -1) for plane in self._intervals]
        payload: bytes = entropy.coder().encode(planes)
        return payload


def _weigh(
    raw: npt.NDArray[np.int32], x: Images, nearest: Images, bound: int, rate_weight: float
) -> tuple[Images, npt.NDArray[np.int32]]:
    """Of each sample's own symbol and the two next to it the one of the least cost; its interval."""
    worth = rate_weight * (2 * bound + 1) ** 2
    best_cost = np.full(len(x), np.inf)
    best, intervals = nearest.copy(), np.empty((2, len(x)), np.int32)
    for step in (0, -1, 1):
        moved = np.clip(nearest.astype(np.int16) + step, 0, level_count(bound) - 1)
        symbols = moved.astype(np.uint8)
        coded = entropy.coder().intervals(raw, symbols, bound)
        error = x.astype(np.float64) - to_levels(symbols, bound)
        cost = error * error + worth * ans.cost_bits(coded)
        less = cost < best_cost
        best_cost[less], best[less], intervals[:, less] = cost[less], symbols[less], coded[:, less]
    return best, intervals


def decode_payloads(
    refiner: Refiner,
    payloads: Sequence[bytes],
    counts: Sequence[int],
    bound: int,
    where: Sequence[str],
    dequantizer: Dequantizer | None = None,
) -> list[Images]:
    """Payloads and the images in each -> images uint8 (count, H, W, C) of each, side by side."""
    layer, c = refiner.pixels, refiner.pixels.config
    decoder = entropy.coder().Decoder(payloads, where, layer.threads)
    under = None
    if refiner.underlay:
        under = refiner.underlay.decode(decoder, counts, where[0], layer)
    ends = np.cumsum([0, *counts])
    planes = np.zeros((int(ends[-1]), c.planes, *c.grid), np.uint8)
    parts = [slice(a, b) for a, b in pairwise(ends)]

    def predict(k: int, some: slice) -> npt.NDArray[np.int32]:
        return layer.predict(k, planes[some], bound, None if under is None else under[some])

    for k in range(c.planes):
        rows, columns = c.plane_shape(k)
        for part, symbols in ans.decode_plane(decoder, counts, partial(predict, k), bound):
            shape = (part.stop - part.start, rows, columns)
            planes[part, k, :rows, :columns] = to_levels(symbols, bound).reshape(shape)
    decoder.finish()
    images = layer.join(dequantizer.move(planes, bound) if dequantizer else planes)
    return [images[part] for part in parts]


def finest_alike(bound: int) -> int:
    """The smallest bound with as many gray levels as ``bound`` has."""
    levels = (255 + bound) // (2 * bound + 1)
    while bound and (255 + bound - 1) // (2 * bound - 1) == levels:
        bound -= 1
    return bound


def bound_for(mse: float) -> int:
    """The largest E whose squared error stays under ``mse`` when errors are spread evenly.

    Evenly spread over -E..E they average E(E + 1) / 3.
    """
    bound = int((math.sqrt(1 + 12 * max(mse, 0)) - 1) / 2)
    return max(0, min(BOUND_MAX, bound))
