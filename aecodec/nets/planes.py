"""Planes, and the code of an error bound: what layer R's networks read (aez.md 11.2 and 11.3).

An image is split into 16 planes by its rows and columns modulo 4, ordered coarse to fine; a colour
image has 16 planes for each channel. The error bound E enters as a short code, so that one set of
weights serves every bound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

BOUNDS = 128  # E is 0..127
CODE_LENGTH = 9
CODE_BITS = 6
CODED_BOUNDS = (0, 1, 2, 4, 8, 16, 32, 64, 127)  # the code is 1 at these, and shared in between
# Phases of a 4x4 cell (row * 4 + column), coarse to fine: each halves the distance between knowns.
PHASES = (0, 10, 2, 8, 5, 15, 7, 13, 1, 11, 3, 9, 4, 14, 6, 12)


@dataclass(frozen=True)
class PlaneGrid:
    """How images of one shape split into planes; the base of the networks' configs."""

    height: int
    width: int
    channels: int

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of a plane: the padded image over 4."""
        return -(-self.height // 4), -(-self.width // 4)

    @property
    def planes(self) -> int:
        return len(PHASES) * self.channels

    def decoding(self) -> dict[str, int]:
        """What decoding reads, and so what the fingerprint covers."""
        return asdict(self)

    def plane(self, k: int) -> tuple[int, int, int]:
        """Plane k's first row, first column and channel in the image."""
        phase = PHASES[k // self.channels]
        return phase // 4, phase % 4, k % self.channels

    def plane_shape(self, k: int) -> tuple[int, int]:
        """Rows and columns of plane k that lie in the image; either may be 0."""
        row, column, _ = self.plane(k)
        return max(0, (self.height - row + 3) // 4), max(0, (self.width - column + 3) // 4)


def split_planes(images: Tensor, c: PlaneGrid) -> Tensor:
    """uint8 images (N, H, W, C) -> their planes in coding order, uint8 (N, P, R, S), zero-padded."""
    rows, columns = c.grid
    bottom, right = 4 * rows - c.height, 4 * columns - c.width
    x = F.pad(images.permute(0, 3, 1, 2), (0, right, 0, bottom))
    x = x.reshape(len(x), c.channels, rows, 4, columns, 4).permute(0, 3, 5, 1, 2, 4)
    phases = x.reshape(len(x), 16, c.channels, rows, columns)
    return phases[:, list(PHASES)].reshape(len(x), c.planes, rows, columns)


def bound_code() -> npt.NDArray[np.int64]:
    """(128, 9) the code of each error bound, in 1/64: shared between its two coded neighbours."""
    code = np.zeros((BOUNDS, CODE_LENGTH), np.int64)
    for i, (low, high) in enumerate(pairwise(CODED_BOUNDS)):
        bounds = np.arange(low, high + 1)
        upper = ((bounds - low) << CODE_BITS) // (high - low)
        code[bounds] = 0
        code[bounds, i], code[bounds, i + 1] = (1 << CODE_BITS) - upper, upper
    return code


def code_terms(codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """What each error bound adds: codes (..., 9) -> (128, ...)."""
    terms: npt.NDArray[np.int64] = (
        np.einsum("ea,...a->e...", bound_code(), codes.astype(np.int64)) >> CODE_BITS
    )
    return terms


def largest_magnitude(tensor: np.ndarray) -> int:
    return int(np.abs(tensor.astype(np.int64)).max(initial=0))
