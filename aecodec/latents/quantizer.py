"""Steps and gains at a quality, and the range of symbols. Clause 8.1 of formats/aez.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.targets import QUALITY_UNIT, STORED_MIN

SYMBOL_MAX = 32767


def gains_at(table: npt.NDArray[np.uint16], stored_quality: int) -> npt.NDArray[np.int32]:
    """Decoder gains (D,) at a stored quality, interpolated in integers from ``table`` (9, D)."""
    row, fraction = divmod(stored_quality - STORED_MIN, QUALITY_UNIT)
    low = table[row].astype(np.int32)
    high = table[min(row + 1, len(table) - 1)].astype(np.int32)
    mixed = low * (QUALITY_UNIT - fraction) + high * fraction
    gains: npt.NDArray[np.int32] = (mixed + QUALITY_UNIT // 2) >> 8
    return gains


def interpolate(table: npt.NDArray[np.float32], stored_quality: int) -> npt.NDArray[np.float32]:
    """The same interpolation in float, for tables that only the encoder reads."""
    row, fraction = divmod(stored_quality - STORED_MIN, QUALITY_UNIT)
    t = np.float32(fraction / QUALITY_UNIT)
    mixed: npt.NDArray[np.float32] = table[row] * (1 - t) + table[min(row + 1, len(table) - 1)] * t
    return mixed


def quantize(
    y: npt.NDArray[np.float32], log_step: npt.NDArray[np.float32], stored_quality: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """Latents y (N, D), log steps (9, D) -> symbols (n, D) of the rows that fit, and which fit."""
    scaled = y * np.exp(-interpolate(log_step, stored_quality))
    fits = in_range(scaled)
    return np.floor(scaled[fits] + np.float32(0.5)).astype(np.int16), fits


def in_range(scaled: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which rows of scaled latents (N, D) round to storable symbols; NaN counts as out of range."""
    inside: npt.NDArray[np.bool_] = np.abs(scaled) < SYMBOL_MAX
    ok: npt.NDArray[np.bool_] = np.all(inside, axis=1)
    return ok
