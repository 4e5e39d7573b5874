"""Which option each image of a chunk takes, of several: the least cost, the chunk's table included.

Options are bounds, say. Neighbouring images that take the same option make a run, which costs an
entry in the chunk's table (aez.md 5.3). Every option that is taken at all costs a sub-payload.
"""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Bits, Indices

RUN_BITS = 16.0  # a number and a length, mostly of a byte each


def cheapest_assignment(costs: Bits) -> Indices:
    """Costs (..., K, N) in bits of N images under K options -> the option (..., N) of each image.

    The sum of the costs of images and runs is the least possible one (Viterbi's algorithm).
    """
    *several, options, count = costs.shape
    costs = costs.reshape(-1, options, count)
    rows = np.arange(len(costs))
    total = costs[:, :, 0].copy()
    came_from = np.empty((count, len(costs), options), np.intp)
    for i in range(1, count):
        best = total.argmin(axis=1)
        changed = total[rows, best][:, None] + RUN_BITS
        stays = total <= changed
        came_from[i] = np.where(stays, np.arange(options), best[:, None])
        total = np.where(stays, total, changed) + costs[:, :, i]
    choice = np.empty((len(costs), count), np.intp)
    choice[:, -1] = total.argmin(axis=1)
    for i in range(count - 1, 0, -1):
        choice[:, i - 1] = came_from[i][rows, choice[:, i]]
    return choice.reshape(*several, count)


def table_bits(choice: Indices, option_bits: float) -> float:
    """What a choice (N,) of options costs besides the bits of images; one option has no runs."""
    used = len(np.unique(choice))
    runs = 1 + int(np.count_nonzero(np.diff(choice))) if used > 1 else 0
    return used * option_bits + runs * RUN_BITS


def options_worth_having(costs: Bits, most: int, option_bits: float) -> list[int]:
    """Up to ``most`` options that together save most, of those with costs (K, N).

    Each option must save more than its ``option_bits``.
    """
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
