"""The inner loops of :mod:`aecodec.entropy.ans` for numba, and where they are kept once compiled.

It is imported only where numba is installed. Compiling takes seconds, so what was compiled is kept
in the caches of the user, never in the installed package: a folder that an uninstallation leaves
there would hide the next installation.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit

from aecodec._version import __version__
from aecodec.entropy.ans import LANES, STATE_MIN
from aecodec.entropy.mixture import (
    ARGUMENT_BITS,
    ARGUMENT_MAX,
    EDGE_UNIT,
    INVERSE_BITS,
    KNOT_BITS,
    LOG_SCALE_MAX,
    LOG_SCALE_MIN,
    LOGIT_RANGE,
    MEAN_MAX,
    MEAN_MIN,
    SLOT_BITS,
    SLOTS,
    WEIGHT_BITS,
)
from aecodec.io.caches import usable_folder, user_cache

_CONFIG: Any = numba.config
_SHIFT = 3 + INVERSE_BITS - ARGUMENT_BITS
_WORD_BITS = np.uint64(32)
_U_SLOT_BITS = np.uint64(SLOT_BITS)
_RENORM_BITS = np.uint64(64 - SLOT_BITS)
_SLOT_MASK = np.uint64(SLOTS - 1)
_STATE_MIN = np.uint64(STATE_MIN)


@njit(inline="always")
def _set_mixture(raw, tables, mean, inverse, weight):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mixtures.from_raw for one row, into three arrays of K."""
    count = mean.shape[0]
    _, inverses, weights = tables
    largest = raw[2 * count]
    for k in range(1, count):
        largest = max(largest, raw[2 * count + k])
    total = np.int64(0)
    for k in range(count):
        mean[k] = min(max(raw[k], MEAN_MIN), MEAN_MAX)
        scale = min(max(raw[count + k], LOG_SCALE_MIN), LOG_SCALE_MAX)
        inverse[k] = inverses[scale - LOG_SCALE_MIN]
        total += weights[min(np.int64(largest) - raw[2 * count + k], LOGIT_RANGE)]
        weight[k] = total
    before = np.int64(0)
    for k in range(count):
        end = (weight[k] << WEIGHT_BITS) // total
        weight[k] = end - before
        before = end


@njit(inline="always")
def _cumulative(s, levels, step, mean, inverse, weight, sigmoids):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mixtures.cumulative for one symbol."""
    if s <= 0:
        return np.int64(0)
    if s >= levels:
        return np.int64(SLOTS)
    edge = EDGE_UNIT * (2 * s - 1) * step
    total = np.int64(0)
    for k in range(mean.shape[0]):
        argument = ((edge - mean[k]) * inverse[k]) >> _SHIFT
        argument = min(max(argument, -ARGUMENT_MAX), ARGUMENT_MAX - 1) + ARGUMENT_MAX
        knot = argument >> KNOT_BITS
        low = sigmoids[knot]
        rest = argument & ((1 << KNOT_BITS) - 1)
        total += (low + (((sigmoids[knot + 1] - low) * rest) >> KNOT_BITS)) * weight[k]
    return (((total >> WEIGHT_BITS) * (SLOTS - levels)) >> SLOT_BITS) + s


def _decode_plane(raw, words, position, states, levels, step, tables, symbols):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Decode a plane's symbols from one stream; the next position, or -1 when words run out."""
    count = raw.shape[1] // 3
    mean, inverse = np.empty(count, np.int64), np.empty(count, np.int64)
    weight = np.empty(count, np.int64)
    lane = 0
    for j in range(raw.shape[0]):
        _set_mixture(raw[j], tables, mean, inverse, weight)
        state = states[lane]
        slot = np.int64(state & _SLOT_MASK)
        heaviest = 0
        for k in range(1, count):
            if weight[k] > weight[heaviest]:
                heaviest = k
        # symbols low <= s < high: steps that double from the likeliest symbol on, then bisection
        low, high = np.int64(0), np.int64(levels)
        first, end = np.int64(0), np.int64(SLOTS)
        at = min(max((mean[heaviest] + 4 * step) // (8 * step), 1), high - 1)
        width = np.int64(1)
        while high - low > 1:
            value = _cumulative(at, levels, step, mean, inverse, weight, tables[0])
            if value <= slot:
                low, first = at, value
                at += width
            else:
                high, end = at, value
                at -= width
            width <<= 1
            if at <= low or at >= high:
                at = (low + high) >> 1
        state = np.uint64(end - first) * (state >> _U_SLOT_BITS) + np.uint64(slot - first)
        if state < _STATE_MIN:
            if position >= words.shape[0]:
                return np.int64(-1)
            state = (state << _WORD_BITS) | np.uint64(words[position])
            position += 1
        states[lane] = state
        symbols[j] = low
        lane = lane + 1 if lane + 1 < LANES else 0
    return position


def _intervals(raw, symbols, levels, step, tables, first, frequency):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """First slot and frequency of each symbol of a plane, into two arrays."""
    count = raw.shape[1] // 3
    mean, inverse = np.empty(count, np.int64), np.empty(count, np.int64)
    weight = np.empty(count, np.int64)
    for j in range(raw.shape[0]):
        _set_mixture(raw[j], tables, mean, inverse, weight)
        s = np.int64(symbols[j])
        low = _cumulative(s, levels, step, mean, inverse, weight, tables[0])
        first[j] = low
        frequency[j] = _cumulative(s + 1, levels, step, mean, inverse, weight, tables[0]) - low


def _encode_plane(plane, states, words, position):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Encode a plane backwards, words downwards from ``position``; returns the new position."""
    for j in range(plane.shape[1] - 1, -1, -1):
        lane = j % LANES
        state = states[lane]
        f = np.uint64(plane[1, j])
        if (state >> _RENORM_BITS) >= f:
            position -= 1
            words[position] = np.uint32(state & np.uint64(0xFFFFFFFF))
            state >>= _WORD_BITS
        states[lane] = ((state // f) << _U_SLOT_BITS) + state % f + np.uint64(plane[0, j])
    return position


@dataclass(frozen=True)
class Kernels:
    """The compiled loops, which are functions; each compiles itself at its first call."""

    decode_plane: Any
    intervals: Any
    encode_plane: Any


LOOPS = (_decode_plane, _intervals, _encode_plane)
_configuring = threading.Lock()


def kernels(folder: Path | None) -> Kernels:
    """The loops, compiled for this process alone, or kept in a folder from one to the next."""
    if folder is None:
        return Kernels(*(njit(nogil=True)(loop) for loop in LOOPS))
    with _configuring:  # numba asks for the folder as a function is decorated
        theirs = _CONFIG.CACHE_DIR
        _CONFIG.CACHE_DIR = str(folder)
        try:
            return Kernels(*(njit(nogil=True, cache=True)(loop) for loop in LOOPS))
        finally:
            _CONFIG.CACHE_DIR = theirs


def kernels_folder() -> Path | None:
    """Where compiled loops are kept: a folder in $NUMBA_CACHE_DIR, or in the caches of the user.

    None where that cannot be written.
    """
    if _CONFIG.CACHE_DIR:
        return usable_folder(Path(_CONFIG.CACHE_DIR))
    return user_cache(f"numba-{__version__}")
