"""Codes images and symbols into sub-payloads, chunks and files, with models or without."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aecodec.codec.codec import Codec
from aecodec.entropy import zstd
from aecodec.entropy.packed_symbols import pack_symbols
from aecodec.latents.coders import AnsCoder
from aecodec.models.file import pack_model
from aecodec.models.model import Model
from aecodec.pixels import payloads
from making import assemble
from making.assemble import Chunk, File, Sub, Value

STORED, PACKED, LATENTS_ZSTD, PIXELS, DEQUANTIZED, LATENTS_ANS = range(6)  # modes, clause 7


class Coded(NamedTuple):
    """A sub-payload and the pixels it decodes to, (n, H, W, C)."""

    sub: Sub
    pixels: np.ndarray


def noise(count: int, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Images (count, H, W, C) of independent random samples."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def smooth(count: int, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Images (count, H, W, C) of slopes with a little noise; no two of a vector are equal."""
    rng = np.random.default_rng(seed)
    down, across, level = rng.integers(-9, 10, (3, count, 1, 1, 1))
    row, column, channel = np.indices(shape)
    slopes = 128 + 5 * level + down * row + across * column + 9 * channel
    return np.clip(slopes + rng.integers(0, 4, (count, *shape)), 0, 255).astype(np.uint8)


def symbols(count: int, latents: int = 4, seed: int = 0, widest: int = 20) -> np.ndarray:
    """Symbols (count, latents) in -widest..widest, which are normally distributed."""
    drawn = np.random.default_rng(seed).normal(0, widest / 3, (count, latents))
    return np.clip(drawn.round(), -widest, widest).astype(np.int16)


def by_latents(model: Model, y_hat: np.ndarray, quality: int, mode: int = LATENTS_ZSTD) -> Coded:
    """Symbols coded in mode 2 or 5."""
    codec = Codec(model)
    networks = codec.networks.latents()
    pixels = networks.synthesize(y_hat, quality)
    packed = (
        pack_symbols(y_hat)
        if mode == LATENTS_ZSTD
        else AnsCoder(codec.networks.prior()).pack(y_hat, quality)
    )
    return Coded(Sub(packed, mode, quality), pixels)


def by_pixels(model: Model, images: np.ndarray, e: int, mode: int = PIXELS) -> Coded:
    """Images coded in mode 3 or 4 under the error bound ``e``."""
    codec = Codec(model)
    mover = codec.networks.dequantizer() if mode == DEQUANTIZED else None
    refiner, underlay = codec.networks.refiner(), None
    if refiner.underlay:  # an encoder would choose these symbols
        drawn = symbols(len(images), codec.networks.latents().config.latents, seed=e)
        underlay = refiner.underlay.code_symbols(drawn)
    plan = payloads.PixelPlan(refiner, images, e, mover, underlay=underlay)
    return Coded(Sub(plan.encode(np.arange(len(images))), mode, e), plan.x_hat)


def by_bytes(images: np.ndarray, mode: int = STORED) -> Coded:
    """Images coded in mode 0 or 1."""
    data = images.tobytes()
    return Coded(Sub(zstd.compress_bytes(data) if mode == PACKED else data, mode), images)


def chunk_of(coded: Sequence[Coded], order: Sequence[int] | None = None, off: int = 0) -> Chunk:
    """A chunk of these sub-payloads.

    ``order`` gives the number of the sub-payload of each image; without it the sub-payloads follow
    one another. The chunk states that one sample differs from its original by ``off``.
    """
    if order is None:
        order = [n for n, each in enumerate(coded) for _ in each.pixels]
    left = [iter(each.pixels) for each in coded]
    images = np.stack([next(left[n]) for n in order])
    runs = [(n, len(list(run))) for n, run in itertools.groupby(order)]
    return Chunk(
        len(order),
        [each.sub for each in coded],
        images.tobytes(),
        runs if len(coded) > 1 else (),
        max_error=off,
        sum_squared_error=off * off,
    )


def file_of(
    shape: Sequence[int],
    chunks: Sequence[Chunk],
    flags: int = 0,
    model: Model | None = None,
    *,
    embed: bool = False,
    chunk_images: int | None = None,
    sections: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    **fields: Value,
) -> bytes:
    """A file of images (H, W, C).

    Its PART names the parts of ``model``; ``embed`` adds the model as MODL. ``sections`` lie before
    the chunks, ``after`` behind them. ``fields`` are those of the header.
    """
    height, width, channels = shape
    head = assemble.header(
        height=height,
        width=width,
        channels=channels,
        required_flags=flags,
        chunk_images=chunk_images or (chunks[0].images if chunks else 4),
        **fields,
    )
    if model is None:
        return File(head, chunks, sections, after).pack()
    prints = [(name.encode(), each) for name, each in model.fingerprints().items()]
    part = assemble.part_payload(prints, model.name.encode())
    if embed:
        sections = [*sections, assemble.section("MODL", zlib.compress(pack_model(model), 9))]
    return File(head, chunks, sections, after, part=part).pack()
