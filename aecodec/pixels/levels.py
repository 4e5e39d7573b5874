"""Gray levels to symbols under an error bound, and back (aez.md 11.1)."""

from __future__ import annotations

import math

import numpy as np

from aecodec.arrays import Images
from aecodec.targets import BOUND_MAX


def to_symbols(x: Images, bound: int) -> Images:
    """Gray levels to symbols: (x + E) // (2E + 1)."""
    step = 2 * bound + 1
    return ((x.astype(np.uint16) + bound) // step).astype(np.uint8)


def to_levels(symbols: Images, bound: int) -> Images:
    """Symbols to gray levels: min(255, symbol * (2E + 1)), at most E from where they came."""
    return np.minimum(255, symbols.astype(np.uint16) * (2 * bound + 1)).astype(np.uint8)


def finest_alike(bound: int) -> int:
    """The smallest bound with as many gray levels as ``bound`` has."""
    levels = (255 + bound) // (2 * bound + 1)
    while bound and (255 + bound - 1) // (2 * bound - 1) == levels:
        bound -= 1
    return bound


def bound_for(mse: float) -> int:
    """The largest E whose squared error stays under ``mse`` when errors are spread evenly.

    Evenly spread over -E..E they average E(E + 1) / 3.
    """
    bound = int((math.sqrt(1 + 12 * max(mse, 0)) - 1) / 2)
    return max(0, min(BOUND_MAX, bound))
