"""Mixtures of discretized logistics in integers (aez.md 12): raw parameters to frequencies.

A pixel's symbols 0..levels-1 share 2**24 slots. Symbol s owns the slots from ``cumulative(s)`` up
to ``cumulative(s + 1)``, at least one. All arithmetic is on integers below 2**63; the three tables
are exact roundings of their formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

SLOT_BITS = 24
SLOTS = 1 << SLOT_BITS
MEAN_MIN, MEAN_MAX = -2048, 4095  # 1/8 gray level
LOG_SCALE_MIN, LOG_SCALE_MAX = -512, 768  # 1/128 nat
LOGIT_RANGE = 2047  # 1/128 nat below the largest logit; smaller logits are raised to this
INVERSE_BITS = 14
WEIGHT_BITS = 16
ARGUMENT_BITS = 10  # of the sigmoid's argument
ARGUMENT_MAX = 16 << ARGUMENT_BITS
KNOT_BITS = 5  # 2**5 arguments between knots of the sigmoid's table
EDGE_UNIT = 4  # an edge is in half gray levels, a mean in eighths

Integers = npt.NDArray[np.int64]


@cache
def sigmoid_table() -> Integers:
    """(1025,) round(2**24 / (1 + exp(16 - i / 32))), the two ends 0 and 2**24."""
    i = np.arange((2 * ARGUMENT_MAX >> KNOT_BITS) + 1)
    table = np.rint(SLOTS / (1 + np.exp(16 - i / 32))).astype(np.int64)
    table[0], table[-1] = 0, SLOTS
    return table


@cache
def inverse_table() -> Integers:
    """(1281,) round(2**14 * exp(-r / 128)) for r = -512..768."""
    r = np.arange(LOG_SCALE_MIN, LOG_SCALE_MAX + 1)
    table: Integers = np.rint((1 << INVERSE_BITS) * np.exp(-r / 128)).astype(np.int64)
    return table


@cache
def weight_table() -> Integers:
    """(2048,) round(2**16 * exp(-d / 128))."""
    d = np.arange(LOGIT_RANGE + 1)
    table: Integers = np.rint((1 << WEIGHT_BITS) * np.exp(-d / 128)).astype(np.int64)
    return table


def level_count(bound: int) -> int:
    """How many symbols a gray level has under the error bound E: (255 + E) // (2E + 1) + 1."""
    return (255 + bound) // (2 * bound + 1) + 1


@dataclass(frozen=True, eq=False)
class Mixtures:
    """M mixtures of K logistics: mean, inverse scale and weight, int64 (M, K).

    The means are in 1/8 gray level. The weights of a mixture sum to 2**16.
    """

    mean: Integers
    inverse: Integers
    weight: Integers

    @classmethod
    def from_raw(cls, raw: npt.NDArray[np.int32]) -> Mixtures:
        """raw (M, 3K): K means in 1/8 gray level, K log scales and K logits in 1/128 nat."""
        mean, log_scale, logit = np.split(raw.astype(np.int64), 3, axis=1)
        below = np.minimum(logit.max(axis=1, keepdims=True) - logit, LOGIT_RANGE)
        share = np.cumsum(weight_table()[below], axis=1)
        ends = (share << WEIGHT_BITS) // share[:, -1:]
        return cls(
            np.clip(mean, MEAN_MIN, MEAN_MAX),
            inverse_table()[np.clip(log_scale, LOG_SCALE_MIN, LOG_SCALE_MAX) - LOG_SCALE_MIN],
            np.diff(ends, axis=1, prepend=0),
        )

    def take(self, rows: Integers) -> Mixtures:
        """The mixtures at these rows."""
        return Mixtures(self.mean[rows], self.inverse[rows], self.weight[rows])

    def cumulative(self, symbols: Integers, bound: int) -> Integers:
        """First slot (M,) of each mixture's symbol, 0..levels; that of ``levels`` is 2**24."""
        levels, step = level_count(bound), 2 * bound + 1
        edge = EDGE_UNIT * (2 * symbols - 1) * step
        argument = ((edge[:, None] - self.mean) * self.inverse) >> (
            3 + INVERSE_BITS - ARGUMENT_BITS
        )
        argument = np.clip(argument, -ARGUMENT_MAX, ARGUMENT_MAX - 1) + ARGUMENT_MAX
        table = sigmoid_table()
        knot, rest = argument >> KNOT_BITS, argument & ((1 << KNOT_BITS) - 1)
        low = table[knot]
        sigmoid = low + (((table[knot + 1] - low) * rest) >> KNOT_BITS)
        total = (sigmoid * self.weight).sum(axis=1) >> WEIGHT_BITS
        slots = ((total * (SLOTS - levels)) >> SLOT_BITS) + symbols
        slots = np.where(symbols <= 0, 0, np.where(symbols >= levels, SLOTS, slots))
        return slots.astype(np.int64)

    def search(self, slots: Integers, bound: int) -> Integers:
        """Symbol (M,) that owns each slot, by bisection of the cumulative function."""
        low = np.zeros(len(slots), np.int64)
        high = np.full(len(slots), level_count(bound))
        while True:
            middle = (low + high) >> 1
            if np.all(middle == low):
                return low
            below = self.cumulative(middle, bound) <= slots
            low = np.where(below, middle, low)
            high = np.where(below, high, middle)
