"""One chunk, and how each of its images is coded."""

from __future__ import annotations

import hashlib

import numpy as np

from aecodec.arrays import Images, Indices
from aecodec.codec.zstd_fallback import code_by_zstd
from aecodec.container import Chunk, SubPayload, is_crowded
from aecodec.measures import metrics
from aecodec.pixels import levels


class ChunkPlan:
    """The images (n, H, W, C) of one chunk, and how each is coded.

    Images that nothing else codes are left over: they are stored in the end, under zstd or as they
    are. ``x_hat`` is what decoding gives; ``fallback`` is what is stored of images left over.
    """

    def __init__(self, images: Images) -> None:
        self.images, self.fallback = images, images
        self.x_hat = images.copy()
        self._choice = np.full(len(images), -1)  # index into _coded; -1: left over
        self._coded: list[SubPayload] = []

    def left(self) -> Indices:
        """The images that are not coded yet."""
        return np.flatnonzero(self._choice < 0)

    def accept(self, indices: Indices, x_hat: Images, sub: SubPayload) -> None:
        """Code these images by a sub-payload, unless they crowd an ANS payload (aez.md 12.4)."""
        if is_crowded(sub.mode, len(indices), len(sub.data)):
            return
        self._choice[indices] = len(self._coded)
        self.x_hat[indices] = x_hat
        self._coded.append(sub)

    def coded_nbytes(self) -> int:
        """Bytes of the sub-payloads so far."""
        return sum(len(sub.data) for sub in self._coded)

    def chunk(self) -> Chunk:
        """Store the images left over, and assemble the chunk."""
        left = self.left()
        if len(left):
            self.accept(left, self.fallback[left], code_by_zstd(self.fallback[left]))
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


def encode_without_model(images: Images, bound: int) -> Chunk:
    """A chunk under zstd, its gray levels rounded to those of a bound."""
    return rounded_plan(images, bound).chunk()


def rounded_plan(images: Images, bound: int) -> ChunkPlan:
    """A plan that stores images left over with their gray levels rounded to those of a bound."""
    plan = ChunkPlan(images)
    plan.fallback = rounded_to(images, np.full(len(images), bound))
    return plan


def rounded_to(images: Images, bounds: Indices) -> Images:
    """The images, the gray levels of each rounded to those of its bound, of ``bounds`` (n,)."""
    rounded = images.copy()
    for bound in np.unique(bounds):
        mine = bounds == bound
        symbols = levels.to_symbols(images[mine], int(bound))
        rounded[mine] = levels.to_levels(symbols, int(bound))
    return rounded
