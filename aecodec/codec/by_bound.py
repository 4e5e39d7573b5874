"""A chunk within an error bound: images under the pixel model, or under zstd if that is smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aecodec.arrays import Images, Indices
from aecodec.codec.bounds import BoundAssignment, Plans, cheapest_within
from aecodec.codec.plan import ChunkPlan, rounded_plan
from aecodec.codec.zstd_fallback import smaller_by_pixels
from aecodec.container import Chunk, SubPayload
from aecodec.pixels.payloads import PixelPlan, Refiner


def encode_with_bound(images: Images, bound: int, refiner: Refiner) -> Chunk:
    """A chunk of images (n, H, W, C), n >= 1, with every pixel within ``bound`` of its value."""
    plan = rounded_plan(images, bound)
    return encode_pixels(plan, priced_by(*cheapest_within(images, bound, refiner)))


@dataclass(frozen=True, eq=False)
class Priced:
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
    for each in priced:
        bits[each.images] = each.plan.bits[each.images]
    by_pixels = smaller_by_pixels(plan.fallback, bits)
    for each in priced:
        chosen = each.images[by_pixels[each.images]]
        if len(chosen):
            pixels = each.plan
            sub = SubPayload(pixels.mode, pixels.bound, pixels.encode(chosen))
            plan.accept(chosen, pixels.x_hat[chosen], sub)
    return plan.chunk()
