"""A chunk within an error bound: images under the pixel model, or under zstd if that is smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Bits, Images, Indices
from aecodec.codec.bounds import BoundAssignment, Plans, cheapest_within
from aecodec.codec.plan import ChunkPlan, code_pixels, rounded_plan
from aecodec.container import Chunk, SubPayload
from aecodec.entropy import zstd
from aecodec.pixels.payloads import STATES_NBYTES, PixelPlan, Refiner

CLEARLY_SMALLER = 0.8  # share of a fast zstd's bytes, below which a slow one is not tried


def encode_with_bound(images: Images, bound: int, refiner: Refiner) -> Chunk:
    """A chunk of images (n, H, W, C), n >= 1, with every pixel within ``bound`` of its value."""
    plan = rounded_plan(images, bound)
    return encode_pixels(plan, priced_by(*cheapest_within(images, bound, refiner)))


class Priced(NamedTuple):
    """Images of a chunk, by their positions, and the plan of all of its images that prices them."""

    images: Indices
    plan: PixelPlan


def priced_by(plans: Plans, assignment: BoundAssignment) -> list[Priced]:
    """The images that have each bound of an assignment, with the plan under that bound."""
    parts = [np.flatnonzero(assignment.choice == i) for i in range(len(assignment.bounds))]
    return [
        Priced(mine, plans.at(bound)[0])
        for bound, mine in zip(assignment.bounds, parts, strict=True)
        if len(mine)
    ]


def encode_pixels(plan: ChunkPlan, priced: Sequence[Priced]) -> Chunk:
    """A chunk of all images, each as its pixel plan codes it, or under zstd if that is smaller."""
    bits = np.zeros(len(plan.images))
    for mine, pixels in priced:
        bits[mine] = pixels.bits[mine]
    by_pixels = smaller_by_pixels(plan.fallback, bits)
    for mine, pixels in priced:
        chosen = mine[by_pixels[mine]]
        if len(chosen):
            sub = SubPayload(pixels.mode, pixels.bound, pixels.encode(chosen))
            plan.accept(chosen, pixels.x_hat[chosen], sub)
    return plan.chunk()


def smaller_by_pixels(x_hat: Images, bits: Bits) -> npt.NDArray[np.bool_]:
    """Which images (n,) the pixel model should code, at a cost of ``bits`` (n,).

    The others of ``x_hat`` (n, H, W, C) are coded under zstd together.
    """
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


def pixels_nbytes(bits: Bits) -> int:
    """Bytes of a payload of pixels whose images cost these bits (n,)."""
    return math.ceil(float(bits.sum()) / 8) + STATES_NBYTES
