"""Quantized principal components under zstd: the classical codec that aecodec is measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aecodec.arrays import Floats, Images
from aecodec.entropy.zstd import compress_bytes


@dataclass(frozen=True)
class PcaBasis:
    """Mean (P,) and the strongest axes (K, P), orthonormal, of images flattened to P samples."""

    mean: Floats
    axes: Floats

    @property
    def nbytes(self) -> int:
        return self.mean.nbytes + self.axes.nbytes


def fit_pca(images: Images, components: int) -> PcaBasis:
    """Fit on uint8 (N, ...); at most min(N, P) axes."""
    x = images.reshape(len(images), -1).astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    _, vectors = np.linalg.eigh(x.T @ x)
    axes = vectors[:, ::-1][:, : min(components, len(x))].T
    return PcaBasis(mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def code_pca(images: Images, basis: PcaBasis, components: int, step: float) -> tuple[int, Images]:
    """(bytes, decoded images) with the first ``components`` coefficients in steps of ``step``.

    Coefficients are stored component by component, int8 where they fit, else int16, zstd -19.
    """
    x = images.reshape(len(images), -1).astype(np.float32) - basis.mean
    axes = basis.axes[:components]
    symbols = np.rint(x @ axes.T / step)
    kind = np.int8 if np.abs(symbols).max(initial=0) <= 127 else np.int16
    payload = compress_bytes(np.ascontiguousarray(symbols.astype(kind).T).tobytes())
    decoded = (symbols * np.float32(step)) @ axes + basis.mean
    pixels = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    return len(payload), pixels.reshape(images.shape)
