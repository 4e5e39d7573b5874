"""Which way each image of a chunk goes, of several: the least cost, the chunk's table counted.

Of a row of images, neighbours that go the same way make a run, which costs its place in the table
(aez.md 5.3); every way that is gone at all costs a sub-payload.
"""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Bits, Indices

RUN_BITS = 16.0  # a number and a length, mostly of a byte each


def cheapest_assignment(costs: Bits) -> Indices:
    """Bits (..., K, N) in bits of N images under K ways -> the way (..., N) of each image.

    The sum of the images' costs and the runs' is the least there is (Viterbi's algorithm).
    """
    *several, ways, count = costs.shape
    costs = costs.reshape(-1, ways, count)
    rows = np.arange(len(costs))
    total = costs[:, :, 0].copy()
    came_from = np.empty((count, len(costs), ways), np.intp)
    for i in range(1, count):
        best = total.argmin(axis=1)
        changed = total[rows, best][:, None] + RUN_BITS
        stays = total <= changed
        came_from[i] = np.where(stays, np.arange(ways), best[:, None])
        total = np.where(stays, total, changed) + costs[:, :, i]
    chosen = np.empty((len(costs), count), np.intp)
    chosen[:, -1] = total.argmin(axis=1)
    for i in range(count - 1, 0, -1):
        chosen[:, i - 1] = came_from[i][rows, chosen[:, i]]
    return chosen.reshape(*several, count)


def table_bits(ways: Indices, option_bits: float) -> float:
    """What ways (N,) cost a chunk beside the images' own bits; one way alone has no runs."""
    used = len(np.unique(ways))
    runs = 1 + int(np.count_nonzero(np.diff(ways))) if used > 1 else 0
    return used * option_bits + runs * RUN_BITS


def options_worth_having(costs: Bits, most: int, option_bits: float) -> list[int]:
    """Of ways with costs (K, N) up to ``most`` that together save most; each its ``option_bits``."""
    chosen = [int(costs.sum(axis=1).argmin())]
    least = costs[chosen[0]]
    while len(chosen) < most:
        with_each = np.minimum(costs, least).sum(axis=1)
        best = int(with_each.argmin())
        if with_each[best] + option_bits >= least.sum():
            break
        chosen.append(best)
        least = np.minimum(least, costs[best])
    return sorted(chosen)
