"""Quality, steps and rounding: latents to symbols. Clause 8.1 of formats/aez.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

QUALITY_UNIT = 256  # a stored quality is a u16 in 1/256 steps
QUALITY_MIN, QUALITY_MAX = 1, 9
SYMBOL_MAX = 32767


def quality_to_stored(quality: float) -> int:
    """1..9, fractions allowed, -> u16 in 1/256 steps. ValueError outside the range."""
    if not QUALITY_MIN <= quality <= QUALITY_MAX:  # written so that NaN fails too
        raise ValueError(f"quality: expected {QUALITY_MIN} to {QUALITY_MAX}, got {quality:g}")
    return round(quality * QUALITY_UNIT)


def gains_at(table: npt.NDArray[np.uint16], stored_quality: int) -> npt.NDArray[np.int32]:
    """Decoder gains (D,) at a stored quality, interpolated in integers from ``table`` (9, D)."""
    row, fraction = divmod(stored_quality - QUALITY_UNIT * QUALITY_MIN, QUALITY_UNIT)
    low = table[row].astype(np.int32)
    high = table[min(row + 1, len(table) - 1)].astype(np.int32)
    mixed = low * (QUALITY_UNIT - fraction) + high * fraction
    gains: npt.NDArray[np.int32] = (mixed + QUALITY_UNIT // 2) >> 8
    return gains


def interpolate(table: npt.NDArray[np.float32], stored_quality: int) -> npt.NDArray[np.float32]:
    """The same interpolation in float, for tables that only the encoder reads."""
    row, fraction = divmod(stored_quality - QUALITY_UNIT * QUALITY_MIN, QUALITY_UNIT)
    t = np.float32(fraction / QUALITY_UNIT)
    mixed: npt.NDArray[np.float32] = table[row] * (1 - t) + table[min(row + 1, len(table) - 1)] * t
    return mixed


def in_range(scaled: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which rows of scaled latents (N, D) round to storable symbols; NaN counts as out of range."""
    inside: npt.NDArray[np.bool_] = np.abs(scaled) < SYMBOL_MAX
    ok: npt.NDArray[np.bool_] = np.all(inside, axis=1)
    return ok
