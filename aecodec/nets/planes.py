"""How an image splits into planes, and the code of an error bound (aez.md 11.2 and 11.3).

An image is split into 16 planes by its rows and columns modulo 4, ordered from coarse to fine; a
colour image has 16 planes for each channel. Networks get the error bound E as a short code, so that
one set of weights serves every bound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from aecodec.targets import BOUND_MAX

BOUNDS = BOUND_MAX + 1  # E is 0..127
CODE_LENGTH = 9
CODE_BITS = 6
CODED_BOUNDS = (0, 1, 2, 4, 8, 16, 32, 64, 127)  # each has a number of its own in the code
# Phases of a 4x4 cell (row * 4 + column), coarse to fine: each halves the distance between knowns.
PHASES = (0, 10, 2, 8, 5, 15, 7, 13, 1, 11, 3, 9, 4, 14, 6, 12)


def plane_count(channels: int) -> int:
    """How many planes an image of ``channels`` channels has."""
    return len(PHASES) * channels


@dataclass(frozen=True)
class PlaneGrid:
    """How images of one shape (H, W, C) split into planes.

    This is the geometry of images alone. The networks' configs hold the widths of their weights.
    """

    height: int
    width: int
    channels: int

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of a plane: the padded image over 4."""
        return -(-self.height // 4), -(-self.width // 4)

    @property
    def planes(self) -> int:
        """How many planes an image has."""
        return plane_count(self.channels)

    def config(self) -> dict[str, int]:
        """The shape as the config of a part names it; the fingerprint covers that."""
        return asdict(self)

    @classmethod
    def of(cls, images: npt.NDArray[np.uint8]) -> PlaneGrid:
        """The grid of images (N, H, W, C)."""
        return cls(*images.shape[1:])

    def plane(self, k: int) -> tuple[int, int, int]:
        """First row, first column and channel of plane k in the image."""
        phase = PHASES[k // self.channels]
        return phase // 4, phase % 4, k % self.channels

    def plane_shape(self, k: int) -> tuple[int, int]:
        """Rows and columns of plane k that lie in the image; either may be 0."""
        row, column, _ = self.plane(k)
        return max(0, (self.height - row + 3) // 4), max(0, (self.width - column + 3) // 4)


def split_planes(images: Tensor, grid: PlaneGrid) -> Tensor:
    """Images uint8 (N, H, W, C) -> planes uint8 (N, P, R, S) in coding order, padded with zeros."""
    rows, columns = grid.cells
    bottom, right = 4 * rows - grid.height, 4 * columns - grid.width
    x = F.pad(images.permute(0, 3, 1, 2), (0, right, 0, bottom))
    x = x.reshape(len(x), grid.channels, rows, 4, columns, 4).permute(0, 3, 5, 1, 2, 4)
    phases = x.reshape(len(x), len(PHASES), grid.channels, rows, columns)
    return phases[:, list(PHASES)].reshape(len(x), grid.planes, rows, columns)


def bound_code() -> npt.NDArray[np.int64]:
    """The code (128, 9) of each error bound: 64 is shared between its two coded neighbours."""
    code = np.zeros((BOUNDS, CODE_LENGTH), np.int64)
    for i, (low, high) in enumerate(pairwise(CODED_BOUNDS)):
        bounds = np.arange(low, high + 1)
        upper = ((bounds - low) << CODE_BITS) // (high - low)
        code[bounds] = 0
        code[bounds, i], code[bounds, i + 1] = (1 << CODE_BITS) - upper, upper
    return code


def code_terms(codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """What each error bound adds to a sum: weights of the code (..., 9) -> (128, ...)."""
    terms: npt.NDArray[np.int64] = (
        np.einsum("ea,...a->e...", bound_code(), codes.astype(np.int64)) >> CODE_BITS
    )
    return terms


def largest_magnitude(tensor: np.ndarray) -> int:
    """The largest absolute value of an integer tensor; 0 for an empty one."""
    return int(np.abs(tensor.astype(np.int64)).max(initial=0))
