"""The functions of :mod:`aecodec.entropy.ans`, compiled by numba; the payloads are the same.

It is imported only where numba is installed (the extra ``fast``). One thread decodes a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from aecodec.entropy import ans
from aecodec.entropy.ans import LANES, STATE_MIN, ByteSymbols, Intervals, Raw
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
    inverse_table,
    level_count,
    sigmoid_table,
    weight_table,
)
from aecodec.errors import AezCorruptError

_SHIFT = 3 + INVERSE_BITS - ARGUMENT_BITS
_WORD_BITS = np.uint64(32)
_U_SLOT_BITS = np.uint64(SLOT_BITS)
_RENORM_BITS = np.uint64(64 - SLOT_BITS)
_SLOT_MASK = np.uint64(SLOTS - 1)
_STATE_MIN = np.uint64(STATE_MIN)


@njit(cache=True, inline="always")
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


@njit(cache=True, inline="always")
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


def _tables() -> tuple[npt.NDArray[np.int64], ...]:
    return sigmoid_table(), inverse_table(), weight_table()


def _on_threads(threads: int, work: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    if threads == 1 or len(columns[0]) == 1:
        return list(map(work, *columns))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, *columns))


def intervals(raw: Raw, symbols: ByteSymbols, bound: int) -> Intervals:
    """As :func:`aecodec.entropy.ans.intervals`."""
    out = np.empty((2, len(symbols)), np.int32)
    levels, step = level_count(bound), 2 * bound + 1
    _intervals(np.ascontiguousarray(raw), symbols, levels, step, _tables(), out[0], out[1])
    return out


def encode(planes: Sequence[Intervals]) -> bytes:
    """As :func:`aecodec.entropy.ans.encode`."""
    states = np.full(LANES, STATE_MIN, np.uint64)
    position = sum(plane.shape[1] for plane in planes)
    words = np.empty(position, np.uint32)  # a symbol emits one word at most
    for plane in reversed(planes):
        position = int(_encode_plane(np.ascontiguousarray(plane), states, words, position))
    return states.astype("<u8").tobytes() + words[position:].astype("<u4").tobytes()


class Decoder:
    """As :class:`aecodec.entropy.ans.Decoder`."""

    def __init__(self, payloads: Sequence[bytes], where: Sequence[str], threads: int = 1) -> None:
        self.where, self.threads = where, threads
        self.words = [ans.read_words(*each) for each in zip(payloads, where, strict=True)]
        self.states = [ans.read_states(*each) for each in zip(payloads, where, strict=True)]
        self.positions = [0] * len(self.words)

    def decode(self, raw: Sequence[Raw], bound: int) -> list[ByteSymbols]:
        """raw (M, 3K) of each stream, M may differ -> the next M symbols of each."""
        tables, levels, step = _tables(), level_count(bound), 2 * bound + 1

        def work(i: int, r: Raw) -> ByteSymbols:
            symbols = np.empty(len(r), np.uint8)
            position = _decode_plane(
                np.ascontiguousarray(r),
                self.words[i],
                self.positions[i],
                self.states[i],
                levels,
                step,
                tables,
                symbols,
            )
            if position < 0:
                raise AezCorruptError(f"{self.where[i]}: ANS payload ends before its images do")
            self.positions[i] = int(position)
            return symbols

        return _on_threads(self.threads, work, range(len(raw)), raw)

    def finish(self) -> None:
        """AezCorruptError unless all words are used and all states are as encoding began."""
        for name, words, position, states in zip(
            self.where, self.words, self.positions, self.states, strict=True
        ):
            ans.check_end(name, len(words) - position, states)
