"""Layer R at work: images under an error bound <-> ANS payloads (aez.md 11 and 12).

Plane by plane, the networks predict parameters and the entropy coder codes symbols by them. All
arithmetic is on integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from aecodec import entropy
from aecodec.arrays import Images, Indices, Planes
from aecodec.container import MODE_PIXELS_ANS, MODE_PIXELS_DEQUANTIZED
from aecodec.entropy import ans
from aecodec.entropy.mixture import level_count
from aecodec.nets.planes import PlaneGrid
from aecodec.pixels.levels import to_levels, to_symbols
from aecodec.pixels.planes import join, split

if TYPE_CHECKING:
    from aecodec.pixels.layer import Dequantizer
    from aecodec.pixels.underlay import CodedUnderlay, Underlay


STATES_NBYTES = ans.STATES_NBYTES


class PixelModel(Protocol):
    """All that layer R and the codec need of a pixel model, such as ``PixelNetworks``."""

    @property
    def underlay(self) -> int | None:
        """The stored quality of the latents of its underlay; None without an underlay."""

    @property
    def threads(self) -> int:
        """How many threads may decode at once."""

    @property
    def mixtures(self) -> int:
        """K, the logistics of each pixel's distribution."""

    def predict(
        self, k: int, planes: Planes, bound: int, grid: PlaneGrid, underlay: Planes | None = None
    ) -> npt.NDArray[np.int32]:
        """Raw parameters (N, rows, columns, 3K) of plane k, from planes (N, P, R, S) before it.

        ``grid`` is the shape of the images; ``underlay`` (N, P, R, S) is for a model that has one.
        """


@dataclass(frozen=True)
class Refiner:
    """What codes pixels under an error bound: a pixel model, and its underlay if it has one.

    The container names layer R "refinement", hence the name.
    """

    pixels: PixelModel
    underlay: Underlay | None = None

    def code_underlay(self, images: Images) -> CodedUnderlay | None:
        """The underlay of images (N, H, W, C); None for a pixel model without one."""
        return self.underlay.code(images) if self.underlay else None


class PixelPlan:
    """Images (N, H, W, C) under an error bound, and the bits of each, before any is coded.

    ``bound`` is E and ``mode`` the container's. ``x_hat`` (N, H, W, C) is what decoding will give;
    ``bits`` (N,) is what each image costs. ``underlay`` is the images' underlay, if it is known.

    With a ``dequantizer``, the error of a pixel may be up to 2E. With a ``rate_weight`` too, it may
    be larger: a pixel takes a symbol next to its own where the bits that this saves are worth more
    than the squared error that it adds. A bit is worth ``rate_weight`` squared steps (2E + 1).
    """

    def __init__(
        self,
        refiner: Refiner,
        images: Images,
        bound: int,
        dequantizer: Dequantizer | None = None,
        rate_weight: float = 0.0,
        underlay: CodedUnderlay | None = None,
    ) -> None:
        pixels, grid = refiner.pixels, PlaneGrid.of(images)
        underlay = underlay or refiner.code_underlay(images)
        self.bound = bound
        self.mode = MODE_PIXELS_DEQUANTIZED if dequantizer else MODE_PIXELS_ANS
        planes = split(images)
        symbols = to_symbols(planes, bound)
        known = to_levels(symbols, bound)
        self.bits = underlay.bits.copy() if underlay else np.zeros(len(images))
        # int32 (2, N, n) each: the groups of the underlay's latents, then the planes
        self._intervals = list(underlay.intervals) if underlay else []
        for k in range(grid.planes):
            rows, columns = grid.plane_shape(k)
            raw = pixels.predict(k, known, bound, grid, underlay.planes if underlay else None)
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
        self.x_hat = join(dequantizer.move(known, bound) if dequantizer else known, grid)

    def encode(self, chosen: Indices) -> bytes:
        """The payload of the images at these positions, in their order."""
        planes = [plane[:, chosen].reshape(2, -1) for plane in self._intervals]
        payload: bytes = entropy.coder().encode(planes)
        return payload


def _weigh(
    raw: npt.NDArray[np.int32], x: Images, nearest: Images, bound: int, rate_weight: float
) -> tuple[Images, npt.NDArray[np.int32]]:
    """The cheapest symbol of each pixel, of its nearest and the two next to it, and its interval.

    ``x`` (n,) are the gray levels and ``nearest`` (n,) their symbols; ``raw`` is (n, 3K).
    """
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
    shape: tuple[int, int, int],
    where: Sequence[str],
    dequantizer: Dequantizer | None = None,
) -> list[Images]:
    """Payloads of ``counts`` images each -> the images (count, H, W, C) of each.

    All payloads hold images of one ``shape`` (H, W, C) under one ``bound``, and are decoded side by
    side. ``where`` names each payload for errors: AezCorruptError for one that is cut or damaged.
    """
    pixels, grid = refiner.pixels, PlaneGrid(*shape)
    decoder = entropy.coder().Decoder(payloads, where, pixels.threads)
    under: Planes | None = None
    if refiner.underlay:
        under = refiner.underlay.decode(decoder, counts, where[0])
    ends = np.cumsum([0, *counts])
    planes = np.zeros((int(ends[-1]), grid.planes, *grid.cells), np.uint8)
    parts = [slice(a, b) for a, b in pairwise(ends)]

    def predict(k: int, some: Sequence[slice]) -> npt.NDArray[np.int32]:
        below = None if under is None else ans.rows_at(under, some)
        return pixels.predict(k, ans.rows_at(planes, some), bound, grid, below)

    for k in range(grid.planes):
        rows, columns = grid.plane_shape(k)
        nbytes = rows * columns * 3 * pixels.mixtures * 4
        for part, symbols in ans.decode_plane(decoder, counts, partial(predict, k), bound, nbytes):
            shape = (part.stop - part.start, rows, columns)
            planes[part, k, :rows, :columns] = to_levels(symbols, bound).reshape(shape)
    decoder.finish()
    images = join(dequantizer.move(planes, bound) if dequantizer else planes, grid)
    return [images[part] for part in parts]
