"""Which latents share a zstd frame: those whose bytes are alike enough to share its table.

A frame costs its header and Huffman table; sharing costs the divergence of the histograms. Groups
are merged greedily while that saves bytes. All arithmetic is on integers, so the same symbols give
the same groups on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

UNIT_BITS = 12  # costs are in 2**-12 bits
MANTISSA_BITS = 10
FRAME_COST = 64 << UNIT_BITS  # header, block header, and the entry in the payload's table
VALUE_COST = 7 * (1 << UNIT_BITS) // 2  # of each byte value in a Huffman table
_LOG2 = np.rint(np.log2(1 + np.arange(1 << MANTISSA_BITS) / (1 << MANTISSA_BITS)) * 4096).astype(
    np.int64
)
_NEVER = np.iinfo(np.int64).min


def group_columns(columns: list[bytes]) -> list[int]:
    """The group of each column of bytes (none empty), numbered in order of first use."""
    counts = np.stack([_histogram(column) for column in columns]).astype(np.int64)
    owner = np.arange(len(columns))
    costs = _costs(counts)
    alive = np.ones(len(columns), bool)
    saved = np.full((len(columns), len(columns)), _NEVER)
    for i in range(len(columns) - 1):
        saved[i, i + 1 :] = costs[i] + costs[i + 1 :] - _costs(counts[i] + counts[i + 1 :])
    while True:
        i, j = divmod(int(saved.argmax()), len(columns))
        if saved[i, j] <= 0:
            break
        counts[i] += counts[j]
        costs[i] = _costs(counts[i])
        owner[owner == j] = i
        alive[j] = False
        saved[j, :] = saved[:, j] = _NEVER
        for others, row in ((np.flatnonzero(alive[:i]), False), (_after(alive, i), True)):
            gain = costs[i] + costs[others] - _costs(counts[i] + counts[others])
            if row:
                saved[i, others] = gain
            else:
                saved[others, i] = gain
    names: dict[int, int] = {}
    return [names.setdefault(int(group), len(names)) for group in owner]


def _after(alive: npt.NDArray[np.bool_], i: int) -> npt.NDArray[np.intp]:
    return np.flatnonzero(alive[i + 1 :]) + i + 1


def _histogram(column: bytes) -> npt.NDArray[np.intp]:
    return np.bincount(np.frombuffer(column, np.uint8), minlength=256)


def _costs(counts: Counts) -> Counts:
    """Estimated size of frames with these byte counts (..., 256), in 2**-12 bits."""
    total = counts.sum(axis=-1)
    used = (counts > 0).sum(axis=-1)
    entropy = total * _log2(total) - (counts * _log2(counts)).sum(axis=-1)
    result: Counts = entropy + FRAME_COST + used * VALUE_COST
    return result


def _log2(n: Counts) -> Counts:
    """log2 of counts below 2**40 in 2**-12 bits, from a table; 0 for 0."""
    n = np.maximum(n, 1)
    exponent = np.frexp(n.astype(np.float64))[1].astype(np.int64) - 1  # exact
    shift = exponent - MANTISSA_BITS
    mantissa = np.where(shift >= 0, n >> np.maximum(shift, 0), n << np.maximum(-shift, 0))
    result: Counts = (exponent << UNIT_BITS) + _LOG2[mantissa - (1 << MANTISSA_BITS)]
    return result
