"""A chunk at a quality: latents, and something finer for images that latents code badly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images, Indices
from aecodec.codec.plan import ChunkPlan
from aecodec.codec.zstd_fallback import (
    code_by_zstd,
    is_smaller_by_zstd,
    pixels_nbytes,
    smaller_by_pixels,
)
from aecodec.container import Chunk, SubPayload
from aecodec.measures import metrics
from aecodec.pixels.levels import bound_for
from aecodec.pixels.payloads import PixelPlan, Refiner
from aecodec.targets import BOUND_MAX, QUALITY_MAX, QUALITY_UNIT

if TYPE_CHECKING:
    from aecodec.latents.symbols import ChunkLatents


GUARD_STEPS = (2.0, 4.0)  # how much finer qualities the guard tries, before the finest one


def encode_with_quality(
    latents: ChunkLatents,
    stored_quality: int,
    mse_limit: float,
    pixels: Callable[[], Refiner] | None,
) -> Chunk:
    """A chunk by latents at a stored quality, and by something finer where they miss a limit.

    Images with a mean squared error over ``mse_limit`` are coded at a finer quality, by layer R
    under a matching bound, or by zstd, whichever is smallest. ``pixels`` builds layer R when it is
    needed.
    """
    plan = _LatentPlan(latents, mse_limit)
    payload, good, x_hat = plan.at_quality(stored_quality)
    if len(good):
        plan.accept(good, x_hat, SubPayload(latents.coder.mode.number, stored_quality, payload))
    if is_smaller_by_zstd(latents.images, plan.coded_nbytes()):
        return ChunkPlan(latents.images).chunk()
    for finer in _finer_qualities(stored_quality):
        plan.rescue(finer, pixels)
    if pixels is not None:
        plan.rescue_by_pixels(pixels)
    return plan.chunk()


def _finer_qualities(stored_quality: int) -> list[int]:
    finest = QUALITY_MAX * QUALITY_UNIT
    ladder = [stored_quality + round(step * QUALITY_UNIT) for step in GUARD_STEPS]
    return [q for q in (*ladder, finest) if stored_quality < q <= finest]


class _LatentPlan(ChunkPlan):
    """A chunk by latents; an image is good if its mean squared error is within the limit."""

    def __init__(self, latents: ChunkLatents, mse_limit: float) -> None:
        super().__init__(latents.images)
        self._latents, self._mse_limit = latents, mse_limit

    def at_quality(
        self, stored_quality: int, wanted: Indices | None = None
    ) -> tuple[bytes, Indices, Images]:
        """Payload, indices and decoded pixels of the good images, of all or of those ``wanted``."""
        symbols, indices = self._latents.at(stored_quality, wanted)
        x_hat = self._latents.decoded(stored_quality, symbols)
        good = self._good(indices, x_hat)
        payload = self._latents.coder.pack(symbols[good], stored_quality) if good.any() else b""
        return payload, indices[good], x_hat[good]

    def _good(self, indices: Indices, x_hat: Images) -> npt.NDArray[np.bool_]:
        samples = math.prod(self.images.shape[1:])
        errors = metrics.squared_error(self.images[indices], x_hat) / samples
        good: npt.NDArray[np.bool_] = errors <= self._mse_limit  # of the quality asked for
        return good

    def rescue(self, stored_quality: int, pixels: Callable[[], Refiner] | None) -> None:
        """Code images left over that are good at a finer quality, if that is smallest."""
        left = self.left()
        if not len(left):
            return
        payload, good, x_hat = self.at_quality(stored_quality, left)
        if not len(good):
            return
        rival = len(code_by_zstd(self.images[good]).data)
        if pixels is not None:
            bound = bound_for(self._mse_limit)
            bits = PixelPlan(pixels(), self.images[good], bound).bits
            rival = min(rival, pixels_nbytes(bits))
        if len(payload) < rival:
            self.accept(
                good, x_hat, SubPayload(self._latents.coder.mode.number, stored_quality, payload)
            )

    def rescue_by_pixels(self, pixels: Callable[[], Refiner]) -> None:
        """Code images left over by layer R, unless zstd is smaller."""
        limit = self._mse_limit
        surely_good = min(BOUND_MAX, math.isqrt(int(limit)))
        for bound in dict.fromkeys((bound_for(limit), surely_good)):
            left = self.left()
            if not len(left):
                return
            priced = PixelPlan(pixels(), self.images[left], bound)
            chosen = self._good(left, priced.x_hat)
            chosen[chosen] = smaller_by_pixels(self.images[left[chosen]], priced.bits[chosen])
            if chosen.any():
                sub = SubPayload(priced.mode, bound, priced.encode(np.flatnonzero(chosen)))
                self.accept(left[chosen], priced.x_hat[chosen], sub)
