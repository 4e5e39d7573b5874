"""The guard at work: which images of a chunk are coded how, so that none misses its target.

Each ``encode_...`` takes images uint8 (n, H, W, C), n >= 1, and gives a whole chunk. Integers alone
cross from the networks to the chunk.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec import metrics, refinement
from aecodec.bound_search import Mixture, Plans, cheapest_within
from aecodec.container import (
    MODE_STORED,
    MODE_ZSTD,
    Chunk,
    SubPayload,
    is_crowded,
)
from aecodec.entropy import zstd
from aecodec.refinement import Refiner
from aecodec.targets import BOUND_MAX, QUALITY_MAX, QUALITY_UNIT

if TYPE_CHECKING:
    from aecodec.latent_symbols import ChunkLatents

Images = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]

GUARD_STEPS = (2.0, 4.0)  # finer qualities tried for images that are worse, then the finest
CLEARLY_SMALLER = 0.8  # layer R this much below a fast zstd needs no comparison with a slow one


class ChunkPlan:
    """The images of one chunk and how each is coded; those left over are stored in the end.

    ``x_hat`` is what decoding gives, ``fallback`` what is stored of an image that is left over.
    """

    def __init__(self, images: Images) -> None:
        self.images, self.fallback = images, images
        self.x_hat = images.copy()
        self._choice = np.full(len(images), -1)  # index into _coded; -1: left over
        self._coded: list[SubPayload] = []

    def left(self) -> Indices:
        """The images not coded yet."""
        return np.flatnonzero(self._choice < 0)

    def accept(self, indices: Indices, x_hat: Images, sub: SubPayload) -> None:
        """Code these images so; those that ANS would crowd (aez.md 12.4) stay left over."""
        if is_crowded(sub.mode, len(indices), len(sub.data)):
            return
        self._choice[indices] = len(self._coded)
        self.x_hat[indices] = x_hat
        self._coded.append(sub)

    def coded_nbytes(self) -> int:
        return sum(len(sub.data) for sub in self._coded)

    def chunk(self) -> Chunk:
        """Store what is left over, and assemble the chunk."""
        left = self.left()
        if len(left):
            self.accept(left, self.fallback[left], code_pixels(self.fallback[left]))
        # sub-payloads in order of first use, and each image's index (aez.md 5)
        used, first = np.unique(self._choice, return_index=True)
        order = used[np.argsort(first)]
        rank = np.zeros(len(self._coded), np.uint8)
        rank[order] = np.arange(len(order))
        return Chunk(
            len(self.images),
            tuple(self._coded[i] for i in order),
            rank[self._choice].tobytes(),
            int(metrics.max_error(self.images, self.x_hat).max()),
            int(metrics.squared_error(self.images, self.x_hat).sum()),
            hashlib.sha256(self.x_hat.data).digest(),
        )


def code_pixels(images: Images) -> SubPayload:
    """Pixels under zstd, or as they are where that is no larger."""
    raw = images.tobytes()
    packed = zstd.compress_bytes(raw)
    if len(packed) < len(raw):
        return SubPayload(MODE_ZSTD, 0, packed)
    return SubPayload(MODE_STORED, 0, raw)


def encode_without_model(images: Images, bound: int) -> Chunk:
    """Under zstd, gray levels rounded to the bound's."""
    return _rounded_plan(images, bound).chunk()


def _rounded_plan(images: Images, bound: int) -> ChunkPlan:
    plan = ChunkPlan(images)
    plan.fallback = rounded_to(images, np.full(len(images), bound))
    return plan


def rounded_to(images: Images, bounds: npt.NDArray[np.intp]) -> Images:
    """Each image's gray levels rounded to those of its bound."""
    rounded = images.copy()
    for bound in np.unique(bounds):
        mine = bounds == bound
        symbols = refinement.to_symbols(images[mine], int(bound))
        rounded[mine] = refinement.to_levels(symbols, int(bound))
    return rounded


# ---------------------------------------------------------------- layer R


def encode_with_bound(images: Images, bound: int, refiner: Refiner) -> Chunk:
    """Every pixel within ``bound`` of its value; by layer R, by zstd where that is smaller."""
    plan = _rounded_plan(images, bound)
    return encode_pixels(plan, priced_by(*cheapest_within(images, bound, refiner)))


Priced = tuple[Indices, "refinement.PixelPlan", Indices]  # images, and their rows in the plan


def priced_by(plans: Plans, mixture: Mixture) -> list[Priced]:
    """The images under the bounds that a mixture has for them."""
    parts = [np.flatnonzero(mixture.ways == i) for i in range(len(mixture.bounds))]
    return [
        (mine, plans.at(bound)[0], mine)
        for bound, mine in zip(mixture.bounds, parts, strict=True)
        if len(mine)
    ]


def encode_pixels(plan: ChunkPlan, priced: Sequence[Priced]) -> Chunk:
    """All images, each as its plan has it, or as the chunk's fallback where zstd is smaller."""
    bits = np.zeros(len(plan.images))
    for mine, pixels, rows in priced:
        bits[mine] = pixels.bits[rows]
    by_layer = _smaller_by_layer(plan.fallback, bits)
    for mine, pixels, rows in priced:
        chosen = by_layer[mine]
        if chosen.any():
            sub = SubPayload(pixels.mode, pixels.bound, pixels.encode(rows[chosen]))
            plan.accept(mine[chosen], pixels.x_hat[rows[chosen]], sub)
    return plan.chunk()


def _smaller_by_layer(x_hat: Images, bits: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which images layer R should code, the others going to zstd together."""
    everyone = np.ones(len(bits), bool)
    if bits.sum() / 8 < CLEARLY_SMALLER * zstd.fast_nbytes(x_hat.tobytes()):
        return everyone
    no_layer = len(code_pixels(x_hat).data)
    options = [(layer_nbytes(bits), everyone), (no_layer, ~everyone)]
    cheap = bits < 8 * no_layer / len(bits)
    if cheap.any() and not cheap.all():
        apart = layer_nbytes(bits[cheap]) + len(code_pixels(x_hat[~cheap]).data)
        options.append((apart, cheap))
    return min(options, key=lambda option: option[0])[1]


def layer_nbytes(bits: npt.NDArray[np.float64]) -> int:
    return math.ceil(float(bits.sum()) / 8) + refinement.STATES_NBYTES


# ---------------------------------------------------------------- layer L


def encode_with_quality(
    latents: ChunkLatents,
    stored: int,
    mse_limit: float,
    pixels: Callable[[], Refiner] | None,
) -> Chunk:
    """By latents at a stored quality; images worse than ``mse_limit`` by something finer.

    That is a finer quality, layer R at a matching bound, or zstd, whichever is smaller. ``pixels``
    builds layer R when it is needed.
    """
    plan = _LatentPlan(latents, mse_limit)
    payload, good, x_hat = plan.at_quality(stored)
    if len(good):
        plan.accept(good, x_hat, SubPayload(latents.coder.mode, stored, payload))
    if zstd.fast_nbytes(latents.images.tobytes()) <= plan.coded_nbytes():
        return ChunkPlan(latents.images).chunk()  # blank or repeated images
    for finer in _finer_qualities(stored):
        plan.rescue(finer, pixels)
    if pixels is not None:
        plan.rescue_by_pixels(pixels)
    return plan.chunk()


def _finer_qualities(stored: int) -> list[int]:
    finest = QUALITY_MAX * QUALITY_UNIT
    ladder = [stored + round(step * QUALITY_UNIT) for step in GUARD_STEPS]
    return [q for q in (*ladder, finest) if stored < q <= finest]


class _LatentPlan(ChunkPlan):
    """A chunk by latents; an image is good when its squared error per sample is in the limit."""

    def __init__(self, latents: ChunkLatents, mse_limit: float) -> None:
        super().__init__(latents.images)
        self._latents, self._mse_limit = latents, mse_limit

    def at_quality(
        self, stored: int, wanted: Indices | None = None
    ) -> tuple[bytes, Indices, Images]:
        """Payload, indices and decoded pixels of those (all, or ``wanted``) that come back well."""
        symbols, indices = self._latents.at(stored, wanted)
        x_hat = self._latents.decoded(stored, symbols)
        good = self._good(indices, x_hat)
        payload = self._latents.coder.pack(symbols[good], stored) if good.any() else b""
        return payload, indices[good], x_hat[good]

    def _good(self, indices: Indices, x_hat: Images) -> npt.NDArray[np.bool_]:
        samples = math.prod(self.images.shape[1:])
        errors = metrics.squared_error(self.images[indices], x_hat) / samples
        good: npt.NDArray[np.bool_] = errors <= self._mse_limit  # of the quality asked for
        return good

    def rescue(self, stored: int, pixels: Callable[[], Refiner] | None) -> None:
        """Code at a finer quality what is left and fits, where that is the smallest."""
        left = self.left()
        if not len(left):
            return
        payload, good, x_hat = self.at_quality(stored, left)
        if not len(good):
            return
        rival = len(code_pixels(self.images[good]).data)
        if pixels is not None:
            bound = refinement.bound_for(self._mse_limit)
            bits = refinement.PixelPlan(pixels(), self.images[good], bound).bits
            rival = min(rival, layer_nbytes(bits))
        if len(payload) < rival:
            self.accept(good, x_hat, SubPayload(self._latents.coder.mode, stored, payload))

    def rescue_by_pixels(self, pixels: Callable[[], Refiner]) -> None:
        """Code what is left by layer R, where zstd is not smaller still."""
        limit = self._mse_limit
        surely_good = min(BOUND_MAX, math.isqrt(int(limit)))
        for bound in dict.fromkeys((refinement.bound_for(limit), surely_good)):
            left = self.left()
            if not len(left):
                return
            priced = refinement.PixelPlan(pixels(), self.images[left], bound)
            chosen = self._good(left, priced.x_hat)
            chosen[chosen] = _smaller_by_layer(self.images[left[chosen]], priced.bits[chosen])
            if chosen.any():
                sub = SubPayload(priced.mode, bound, priced.encode(np.flatnonzero(chosen)))
                self.accept(left[chosen], priced.x_hat[chosen], sub)
