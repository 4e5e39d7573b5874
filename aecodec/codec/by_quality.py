"""A chunk at a quality: latents, and something better for images that latents code badly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import Indices, evenly
from aecodec.codec.by_bound import encode_with_bound
from aecodec.codec.candidates import (
    Candidate,
    Rule,
    cheapest,
    pixel_candidates,
)
from aecodec.codec.plan import ChunkPlan
from aecodec.codec.zstd_fallback import CLEARLY_SMALLER, is_clearly_smaller
from aecodec.container import Chunk, SubPayload, chunk_nbytes
from aecodec.pixels.payloads import PixelPlan, Refiner
from aecodec.targets import QUALITY_MAX, QUALITY_UNIT

if TYPE_CHECKING:
    from aecodec.latents.symbols import ChunkLatents


FINER_STEPS = (2.0, 4.0)  # how much finer qualities are tried, before the finest one
SAMPLE_IMAGES = 64  # that tell about how many bytes a chunk has without loss


def encode_with_quality(
    latents: ChunkLatents,
    stored_quality: int,
    rule: Rule,
    pixels: Callable[[], Refiner] | None,
) -> Chunk:
    """A chunk by latents at a stored quality, and by what costs least where they err too much.

    Images that latents do not rebuild well enough take finer latents, the pixel model or zstd. A
    chunk is never larger than without loss. ``pixels`` builds layer R when it is needed.
    """
    plan = ChunkPlan(latents.images)
    everyone = np.arange(len(plan.images))
    usual = _by_latents(latents, stored_quality, rule, everyone)
    keeps = np.isfinite(usual.costs) & (usual.errors <= rule.mse_enough)
    left = np.flatnonzero(~keeps)
    if len(left):
        others = _others(latents, left, stored_quality, rule, pixels)
        choice = cheapest(plan.images[left], [usual.rows(left), *others])
        keeps[left[choice == 0]] = True
        for i, other in enumerate(others, 1):
            _accept(plan, np.flatnonzero(choice == i), other, left)
    _accept(plan, np.flatnonzero(keeps), usual, everyone)
    return _smallest(plan, pixels)


def _accept(plan: ChunkPlan, rows: Indices, candidate: Candidate, images: Indices) -> None:
    """Code some rows of a candidate of these ``images``."""
    if len(rows):
        plan.accept(images[rows], candidate.x_hat[rows], candidate.encode(rows))


def _others(
    latents: ChunkLatents,
    left: Indices,
    stored_quality: int,
    rule: Rule,
    pixels: Callable[[], Refiner] | None,
) -> list[Candidate]:
    """Other ways to code the images that are left, by finer latents and by pixels."""
    finest = QUALITY_MAX * QUALITY_UNIT
    ladder = [stored_quality + round(step * QUALITY_UNIT) for step in FINER_STEPS]
    finer = [q for q in (*ladder, finest) if stored_quality < q <= finest]
    made = [_by_latents(latents, q, rule, left) for q in dict.fromkeys(finer)]
    return made + (pixel_candidates(latents.images[left], rule, pixels()) if pixels else [])


def _by_latents(
    latents: ChunkLatents, stored_quality: int, rule: Rule, wanted: Indices
) -> Candidate:
    """The images wanted by latents; each is taken to need as many bits as the others."""
    images = latents.images[wanted]
    symbols, indices = latents.at(stored_quality, wanted)
    inside = np.searchsorted(wanted, indices)  # symbols of the others are out of range
    bits, x_hat = np.full(len(wanted), np.inf), images.copy()
    x_hat[inside] = latents.decoded(stored_quality, symbols)

    whole = latents.coder.pack(symbols, stored_quality) if len(inside) else b""

    def encode(rows: Indices) -> SubPayload:
        some = np.searchsorted(inside, rows)
        all_of_them = len(some) == len(inside)
        payload = whole if all_of_them else latents.coder.pack(symbols[some], stored_quality)
        return SubPayload(latents.coder.mode.number, stored_quality, payload)

    bits[inside] = 8 * len(whole) / max(1, len(inside))
    return Candidate.of(images, x_hat, bits, rule, encode)


def _smallest(plan: ChunkPlan, pixels: Callable[[], Refiner] | None) -> Chunk:
    """The chunk as planned, or without loss by zstd or by the pixel model if that is no larger."""
    images, chunks = plan.images, [plan.chunk()]
    nbytes = chunk_nbytes(chunks[0])
    if not is_clearly_smaller(nbytes, images):
        chunks.append(ChunkPlan(images).chunk())
    if pixels is not None:
        few = images[evenly(len(images), SAMPLE_IMAGES, ends=True)]
        lossless = PixelPlan(pixels(), few, 0).bits.mean() / 8 * len(images)
        if nbytes >= CLEARLY_SMALLER * lossless:
            chunks.append(encode_with_bound(images, 0, pixels()))
    return min(reversed(chunks), key=chunk_nbytes)
