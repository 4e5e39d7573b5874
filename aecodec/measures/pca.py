"""Principal components: fitting them to images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Floats
from aecodec.held_rows import Rows, rows_at_once
from aecodec.measures.passes import Matrix, axes_by_passes, mean_of

FEW_SAMPLES, ROWS_AT_ONCE = 2048, 4096
NUMBERS_AT_ONCE = ROWS_AT_ONCE * 784  # float64, of the rows that are taken together
NUMBERS_OF_A_PASS = 1 << 19
FLOAT64_NBYTES = 8
SQUARES = 5  # matrices of min(N, P) squared numbers that finding their axes takes


@dataclass(frozen=True, eq=False)
class PcaBasis:
    """Mean (P,) and the strongest axes (K, P), orthonormal, of images flattened to P samples."""

    mean: Floats
    axes: Floats

    @property
    def nbytes(self) -> int:
        """The size of mean and axes, which a decoder needs."""
        return self.mean.nbytes + self.axes.nbytes


def fit_pca(images: Rows, components: int, most_nbytes: int | None = None) -> PcaBasis:
    """The basis of uint8 images, or rows of numbers, (N, ...), with at most min(N, P) axes.

    Besides the images it takes the memory of a few square matrices of min(N, P) numbers. Where
    they take more than ``most_nbytes``, the axes are found by passes over the images, which is
    for few components.
    """
    flat = _Flat(images)
    count, few = min(components, flat.count), min(flat.count, flat.width)
    mean = flat.mean()
    if most_nbytes is not None and SQUARES * FLOAT64_NBYTES * few * few > most_nbytes:
        flat.at_once = rows_at_once(images, ROWS_AT_ONCE, NUMBERS_OF_A_PASS)
        axes = axes_by_passes(lambda: flat.centred(mean), flat.width, count)
    elif flat.count < flat.width and flat.width > FEW_SAMPLES:
        axes = _axes_of_few(flat, mean, count)
    else:
        covariance = np.zeros((flat.width, flat.width))
        for x in flat.centred(mean):
            covariance += x.T @ x
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :count].T
    return PcaBasis(mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


class _Flat:
    """Images as rows (N, P), some at a time."""

    def __init__(self, images: Rows) -> None:
        self.images, self.count = images, len(images)
        self.width = int(np.prod(images.shape[1:], dtype=np.int64))
        self.at_once = rows_at_once(images, ROWS_AT_ONCE, NUMBERS_AT_ONCE)

    def batches(self) -> Iterator[npt.NDArray[Any]]:
        """(n, P) in order."""
        for start in range(0, self.count, self.at_once):
            yield self.images[start : start + self.at_once].reshape(-1, self.width)

    def mean(self) -> Matrix:
        """(P,)."""
        if isinstance(self.images, np.ndarray):
            whole: Matrix = self.images.reshape(self.count, -1).mean(axis=0, dtype=np.float64)
            return whole
        return mean_of(self.batches(), self.width, self.count)

    def centred(self, mean: Matrix) -> Iterator[Matrix]:
        """(n, P) in order, less the mean."""
        for batch in self.batches():
            x = batch.astype(np.float64)
            x -= mean
            yield x


def _axes_of_few(flat: _Flat, mean: Matrix, count: int) -> Matrix:
    """The axes (count, P) of fewer images than samples, by the products of the images."""
    rows = flat.images[: flat.count].reshape(flat.count, -1)
    columns = [slice(k, k + FEW_SAMPLES) for k in range(0, flat.width, FEW_SAMPLES)]
    products = np.zeros((flat.count, flat.count))
    for some in columns:
        x = rows[:, some].astype(np.float64)
        x -= mean[some]
        products += x @ x.T
    weights = np.linalg.eigh(products)[1][:, ::-1][:, :count]
    axes = np.empty((flat.width, count))
    for some in columns:
        axes[some] = (rows[:, some].astype(np.float64) - mean[some]).T @ weights
    orthonormal: Matrix = np.linalg.qr(axes)[0].T  # also where images are equal, and axes zero
    return orthonormal


def oriented(basis: PcaBasis) -> PcaBasis:
    """The basis with each axis's largest entry positive.

    The sign of an axis is arbitrary and differs between machines, and the size under zstd with it.
    """
    peaks = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=1)[:, None], axis=1)
    return PcaBasis(basis.mean, basis.axes * np.where(peaks < 0, np.float32(-1), np.float32(1)))
