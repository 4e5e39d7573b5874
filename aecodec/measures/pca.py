"""Principal components: fitting them to images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aecodec.arrays import Floats, Images

FEW_SAMPLES, ROWS_AT_ONCE = 2048, 4096


@dataclass(frozen=True, eq=False)
class PcaBasis:
    """Mean (P,) and the strongest axes (K, P), orthonormal, of images flattened to P samples."""

    mean: Floats
    axes: Floats

    @property
    def nbytes(self) -> int:
        """The size of mean and axes, which a decoder needs."""
        return self.mean.nbytes + self.axes.nbytes


def fit_pca(images: Images, components: int) -> PcaBasis:
    """The basis of uint8 images (N, ...), with at most min(N, P) axes.

    Besides the images it takes the memory of a square matrix of min(N, P) numbers.
    """
    flat = images.reshape(len(images), -1)
    count = min(components, len(flat))
    mean = flat.mean(axis=0, dtype=np.float64)
    if len(flat) < flat.shape[1] and flat.shape[1] > FEW_SAMPLES:
        axes = _axes_of_few(flat, mean, count)
    else:
        covariance = np.zeros((flat.shape[1], flat.shape[1]))
        for start in range(0, len(flat), ROWS_AT_ONCE):
            x = flat[start : start + ROWS_AT_ONCE].astype(np.float64) - mean
            covariance += x.T @ x
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :count].T
    return PcaBasis(mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def _axes_of_few(flat: Images, mean: Floats, count: int) -> Floats:
    """The axes (count, P) of fewer images than samples, by the products of the images."""
    columns = [slice(k, k + FEW_SAMPLES) for k in range(0, flat.shape[1], FEW_SAMPLES)]
    products = np.zeros((len(flat), len(flat)))
    for some in columns:
        x = flat[:, some].astype(np.float64) - mean[some]
        products += x @ x.T
    weights = np.linalg.eigh(products)[1][:, ::-1][:, :count]
    axes = np.empty((flat.shape[1], count))
    for some in columns:
        axes[some] = (flat[:, some].astype(np.float64) - mean[some]).T @ weights
    orthonormal: Floats = np.linalg.qr(axes)[0].T  # also where images are equal, and axes zero
    return orthonormal


def oriented(basis: PcaBasis) -> PcaBasis:
    """The basis with each axis's largest entry positive.

    The sign of an axis is arbitrary and differs between machines, and the size under zstd with it.
    """
    peaks = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=1)[:, None], axis=1)
    return PcaBasis(basis.mean, basis.axes * np.where(peaks < 0, np.float32(-1), np.float32(1)))
