"""Gray levels to symbols under an error bound, and back (aez.md 11.1)."""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Images


def to_symbols(x: Images, bound: int) -> Images:
    """Gray levels to symbols under a bound E: (x + E) // (2E + 1)."""
    step = 2 * bound + 1
    return ((x.astype(np.uint16) + bound) // step).astype(np.uint8)


def to_levels(symbols: Images, bound: int) -> Images:
    """Symbols to gray levels: min(255, symbol * (2E + 1)), at most E from the original ones."""
    return np.minimum(255, symbols.astype(np.uint16) * (2 * bound + 1)).astype(np.uint8)


def finest_alike(bound: int) -> int:
    """The smallest bound under which as many gray levels are left as under ``bound``."""
    levels = (255 + bound) // (2 * bound + 1)
    while bound and (255 + bound - 1) // (2 * bound - 1) == levels:
        bound -= 1
    return bound
