"""The symbols of a chunk's images, and the quality that meets a target.

Symbols are the encoder's latents rounded, or better ones that a search finds. The quality is
measured on the chunk itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Bits, Images, Indices, Symbols, evenly
from aecodec.latents.quantizer import gains_at, in_range, interpolate, quantize
from aecodec.measures import metrics
from aecodec.targets import QUALITY_UNIT, STORED_MAX, STORED_MIN

if TYPE_CHECKING:
    from aecodec.latents.coders import LatentCoder
    from aecodec.latents.layer import LatentNetworks


GUESS_IMAGES = 256  # that give a first guess of a quality
NEAR = 0.01  # of squared error, and of bytes: close enough where each quality takes a search
USUAL_SLOPE = math.log(2) / (1.4 * QUALITY_UNIT)  # of log bytes and -log error, by stored quality


class ChunkLatents:
    """A chunk's images (n, H, W, C) as symbols at any quality.

    A search of ``steps`` steps finds them; without steps, the encoder's latents are rounded.
    ``lmbda`` gives the weight of squared error against bpp at a stored quality, that of training.
    """

    def __init__(
        self,
        images: Images,
        networks: LatentNetworks,
        coder: LatentCoder,
        *,
        steps: int = 0,
        lmbda: Callable[[int], float] = lambda stored_quality: 0.0,
    ) -> None:
        self.images, self.networks, self.coder = images, networks, coder
        self._steps, self._lmbda = steps, lmbda
        self._near = NEAR if steps else 0.0
        self._y = networks.analyse(images)
        self._whole: dict[int, tuple[Symbols, Indices]] = {}

    def at(self, stored_quality: int, indices: Indices | None = None) -> tuple[Symbols, Indices]:
        """Symbols (m, D) at a stored quality, and the images (m,) that they are of.

        Images whose symbols are out of range are left out. ``indices`` are the images wanted; None
        means all.
        """
        if indices is not None and len(indices) < len(self.images):
            return self._choose(stored_quality, indices)
        if stored_quality not in self._whole:
            self._whole[stored_quality] = self._choose(stored_quality, np.arange(len(self.images)))
        return self._whole[stored_quality]

    def decoded(self, stored_quality: int, symbols: Symbols) -> Images:
        """Images (m, H, W, C) that symbols (m, D) of a stored quality decode to."""
        return self.networks.synthesize(symbols, stored_quality)

    def _choose(self, stored_quality: int, indices: Indices) -> tuple[Symbols, Indices]:
        symbols, fits = quantize(self._y[indices], self.networks.log_step, stored_quality)
        codable = self.coder.fits(symbols)
        symbols, indices = symbols[codable], indices[fits][codable]
        if self._steps and len(symbols):
            symbols = self._search(stored_quality, symbols, indices)
        return symbols, indices

    def _search(self, stored_quality: int, symbols: Symbols, indices: Indices) -> Symbols:
        """For each image the better of these symbols and those that a search finds."""
        images, gains = self.images[indices], gains_at(self.networks.gains, stored_quality)
        lmbda, rate = self._lmbda(stored_quality), self.coder.rate(symbols, stored_quality)
        search = self.networks.search()
        v = self._y[indices] * np.exp(-interpolate(self.networks.log_step, stored_quality))
        v = search.improve(
            images,
            v,
            gains,
            lmbda,
            rate,
            self._steps,
            low=self.networks.config.is_low(stored_quality),
        )
        inside = in_range(v)
        found = symbols.copy()
        found[inside] = np.floor(v[inside] + np.float32(0.5)).astype(np.int16)
        codable = self.coder.fits(found)
        found[~codable] = symbols[~codable]
        samples, pixels = math.prod(images.shape[1:]), math.prod(images.shape[1:3])

        def cost(candidate: Symbols) -> Bits:
            errors = (
                metrics.squared_error(images, self.decoded(stored_quality, candidate)) / samples
            )
            return lmbda * errors + search.bits(rate, candidate) / pixels

        worse = cost(found) >= cost(symbols)
        found[worse] = symbols[worse]
        return found

    # ------------------------------------------------------------ targets

    def _few(self) -> ChunkLatents | None:
        """Some of the images, where they are many: they need about the same quality as all."""
        if len(self.images) < 4 * GUESS_IMAGES:
            return None
        few = self.images[evenly(len(self.images), GUESS_IMAGES)]
        return ChunkLatents(few, self.networks, self.coder, steps=self._steps, lmbda=self._lmbda)

    def quality_for_error(self, limit: float) -> int | None:
        """The lowest stored quality whose squared errors sum to ``limit`` or less, if any does."""
        guess = None
        if self._steps and (few := self._few()):
            guess = few.quality_for_error(limit * len(few.images) / len(self.images))

        def error(place: int) -> float:
            symbols, indices = self.at(STORED_MAX - place)
            if len(indices) < len(self.images):
                return math.inf
            x_hat = self.decoded(STORED_MAX - place, symbols)
            return float(metrics.squared_error(self.images, x_hat).sum())

        return _mirrored(
            highest_within(error, limit, STORED_MAX - STORED_MIN, _mirrored(guess), self._near)
        )

    def quality_for_nbytes(self, limit: float, guess: int | None = None) -> int | None:
        """The highest stored quality whose payload has ``limit`` bytes or less, if any does.

        ``guess`` is a stored quality to start from.
        """
        if self._steps and guess is None:
            guess = ChunkLatents(self.images, self.networks, self.coder).quality_for_nbytes(limit)

        def nbytes(place: int) -> float:
            symbols, _ = self.at(STORED_MIN + place)
            return len(self.coder.pack(symbols, STORED_MIN + place)) if len(symbols) else 0

        near_place = None if guess is None else guess - STORED_MIN
        place = highest_within(nbytes, limit, STORED_MAX - STORED_MIN, near_place, self._near)
        return None if place is None else STORED_MIN + place


def _mirrored(stored_quality: int | None) -> int | None:
    return None if stored_quality is None else STORED_MAX - stored_quality


def highest_within(
    measure: Callable[[int], float], limit: float, last: int, guess: int | None, near: float = 0.0
) -> int | None:
    """The highest place of 0..last at which a rising measure is at most ``limit``, if there is one.

    A measure may be infinite. The search starts at ``guess`` and stops at a measure that is less
    than the share ``near`` below the limit. Where the measure does not rise everywhere, it may stop
    at a place nearby, but never at one over the limit.
    """
    low, high = -1, last + 1  # low is within, high is not
    known: dict[int, float] = {}
    place = last // 2 if guess is None else guess
    while high - low > 1:
        place = min(max(place, low + 1), high - 1)
        over = math.log(max(measure(place), 1e-9) / max(limit, 1e-9))
        known[place] = over
        if over <= 0:
            low = place
            if over >= -near:
                break
        else:
            high = place
        between = low in known and high in known
        if between and len(known) % 3 and math.isfinite(known[high]):
            share = known[low] / (known[low] - known[high])  # on the line between the two
            place = low + max(1, math.floor((high - low) * share))
        elif between or math.isinf(over):
            place = (low + high) // 2
        else:
            place = place - round(over / USUAL_SLOPE) + (1 if over <= 0 else -1)
    return low if low >= 0 else None
