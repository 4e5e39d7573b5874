"""Steps and gains at a stored quality, and the range of symbols (clause 8.1 of aez.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Floats, Symbols
from aecodec.targets import QUALITY_UNIT, STORED_MIN

SYMBOL_MAX = 32767


def gains_at(table: npt.NDArray[np.uint16], stored_quality: int) -> npt.NDArray[np.int32]:
    """Gains (D,) of the decoder at a stored quality, from ``table`` (9, D), in integers."""
    row, fraction = divmod(stored_quality - STORED_MIN, QUALITY_UNIT)
    low = table[row].astype(np.int32)
    high = table[min(row + 1, len(table) - 1)].astype(np.int32)
    mixed = low * (QUALITY_UNIT - fraction) + high * fraction
    gains: npt.NDArray[np.int32] = (mixed + QUALITY_UNIT // 2) >> 8
    return gains


def interpolate(table: Floats, stored_quality: int) -> Floats:
    """A row (D,) for a stored quality from ``table`` (9, D), in float: only the encoder uses it."""
    row, fraction = divmod(stored_quality - STORED_MIN, QUALITY_UNIT)
    t = np.float32(fraction / QUALITY_UNIT)
    mixed: Floats = table[row] * (1 - t) + table[min(row + 1, len(table) - 1)] * t
    return mixed


def quantize(
    y: Floats, log_step: Floats, stored_quality: int
) -> tuple[Symbols, npt.NDArray[np.bool_]]:
    """Latents (N, D) to symbols, by the logarithms of the steps (9, D), at a stored quality.

    Returns symbols (n, D) of the rows that fit int16, and which rows fit (N,).
    """
    scaled = y * np.exp(-interpolate(log_step, stored_quality))
    fits = in_range(scaled)
    return np.floor(scaled[fits] + np.float32(0.5)).astype(np.int16), fits


def in_range(scaled: Floats) -> npt.NDArray[np.bool_]:
    """Which rows of latents (N, D) in units of a step round to symbols in range; NaN does not."""
    inside: npt.NDArray[np.bool_] = np.abs(scaled) < SYMBOL_MAX
    ok: npt.NDArray[np.bool_] = np.all(inside, axis=1)
    return ok
