"""Principal components: fitting them to images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aecodec.arrays import Floats, Images


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
    """The basis of uint8 images (N, ...), with at most min(N, P) axes."""
    x = images.reshape(len(images), -1).astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    _, vectors = np.linalg.eigh(x.T @ x)
    axes = vectors[:, ::-1][:, : min(components, len(x))].T
    return PcaBasis(mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def oriented(basis: PcaBasis) -> PcaBasis:
    """The basis with each axis's largest entry positive.

    The sign of an axis is arbitrary and differs between machines, and the size under zstd with it.
    """
    peaks = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=1)[:, None], axis=1)
    return PcaBasis(basis.mean, basis.axes * np.where(peaks < 0, np.float32(-1), np.float32(1)))
