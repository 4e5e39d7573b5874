"""A chunk within an error bound: by the pixel model, or by zstd where that is smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images, Indices
from aecodec.codec.bounds import BoundAssignment, Plans, cheapest_within
from aecodec.codec.plan import ChunkPlan, code_pixels, rounded_plan
from aecodec.container import Chunk, SubPayload
from aecodec.entropy import zstd
from aecodec.pixels.payloads import STATES_NBYTES, PixelPlan, Refiner

CLEARLY_SMALLER = 0.8  # than a fast zstd: then no comparison with a slow one is needed


def encode_with_bound(images: Images, bound: int, refiner: Refiner) -> Chunk:
    """A chunk of images (n, H, W, C), n >= 1, with every pixel within ``bound`` of its value."""
    plan = rounded_plan(images, bound)
    return encode_pixels(plan, priced_by(*cheapest_within(images, bound, refiner)))


Priced = tuple[Indices, PixelPlan, Indices]  # images of a chunk, a plan, their rows in the plan


def priced_by(plans: Plans, assignment: BoundAssignment) -> list[Priced]:
    """The images that an assignment puts under each bound, and the plan for that bound."""
    parts = [np.flatnonzero(assignment.choice == i) for i in range(len(assignment.bounds))]
    return [
        (mine, plans.at(bound)[0], mine)
        for bound, mine in zip(assignment.bounds, parts, strict=True)
        if len(mine)
    ]


def encode_pixels(plan: ChunkPlan, priced: Sequence[Priced]) -> Chunk:
    """A chunk of all images, each as its plan codes it, or under zstd where that is smaller."""
    bits = np.zeros(len(plan.images))
    for mine, pixels, rows in priced:
        bits[mine] = pixels.bits[rows]
    by_pixels = smaller_by_pixels(plan.fallback, bits)
    for mine, pixels, rows in priced:
        chosen = by_pixels[mine]
        if chosen.any():
            sub = SubPayload(pixels.mode, pixels.bound, pixels.encode(rows[chosen]))
            plan.accept(mine[chosen], pixels.x_hat[rows[chosen]], sub)
    return plan.chunk()


def smaller_by_pixels(x_hat: Images, bits: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which images the pixel model should code for ``bits`` (n,); the others go to zstd together."""
    everyone = np.ones(len(bits), bool)
    if bits.sum() / 8 < CLEARLY_SMALLER * zstd.fast_nbytes(x_hat.tobytes()):
        return everyone
    by_zstd = len(code_pixels(x_hat).data)
    options = [(pixels_nbytes(bits), everyone), (by_zstd, ~everyone)]
    cheap = bits < 8 * by_zstd / len(bits)
    if cheap.any() and not cheap.all():
        apart = pixels_nbytes(bits[cheap]) + len(code_pixels(x_hat[~cheap]).data)
        options.append((apart, cheap))
    return min(options, key=lambda option: option[0])[1]


def pixels_nbytes(bits: npt.NDArray[np.float64]) -> int:
    """Bytes of a payload of images that cost these bits (n,)."""
    return math.ceil(float(bits.sum()) / 8) + STATES_NBYTES
