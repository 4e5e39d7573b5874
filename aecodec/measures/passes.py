"""The strongest principal axes of many wide rows, by passes over them: no square matrix is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Centred = Callable[[], Iterator[Matrix]]  # batches (n, P) of all rows, less their mean

SPARE = 4  # axes more than are wanted
MOST_PASSES = 24
TOLERANCE = 1e-8  # of an axis's residual, as a share of the largest eigenvalue


def axes_by_passes(centred: Centred, width: int, count: int) -> Matrix:
    """The strongest axes (count, P), orthonormal, by the block Lanczos method.

    Every block is orthogonalized against all others. It ends when the axes move no more, or after
    24 passes: memory is that of some 24 * (count + 4) rows, and time is linear.
    """
    block = min(width, count + SPARE)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((width, block)))[0]
    images = np.empty((width, 0))  # of the basis under the covariance
    newest = basis
    for step in range(MOST_PASSES):
        images = np.hstack([images, _times_covariance(centred, newest)])
        values, turns = np.linalg.eigh(basis.T @ images)
        turns, values = turns[:, ::-1][:, :count], values[::-1][:count]
        residual = np.linalg.norm(images @ turns - (basis @ turns) * values, axis=0)
        room = min(block, width - basis.shape[1])
        if residual.max() <= TOLERANCE * values[0] or not room or step == MOST_PASSES - 1:
            break
        newest = _new_directions(images[:, -block:], basis)[:, :room]
        basis = np.hstack([basis, newest])
    axes: Matrix = np.linalg.qr(basis @ turns)[0].T
    return axes


def _times_covariance(centred: Centred, vectors: Matrix) -> Matrix:
    total = np.zeros_like(vectors)
    for x in centred():
        total += x.T @ (x @ vectors)
    return total


def _new_directions(vectors: Matrix, basis: Matrix) -> Matrix:
    """An orthonormal block that is orthogonal to the basis, also where vectors lie within it."""
    for _ in range(2):  # twice is enough
        vectors = np.linalg.qr(vectors - basis @ (basis.T @ vectors))[0]
    return vectors


def mean_of(batches: Iterator[npt.NDArray[Any]], width: int, count: int) -> Matrix:
    """(P,) the mean of all rows."""
    total = np.zeros(width)
    for batch in batches:
        total += batch.sum(axis=0, dtype=np.float64)
    return total / count
