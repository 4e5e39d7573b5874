"""The principal axes found by passes over the rows are those of the covariance."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.measures.pca import fit_pca


def spread_images(count: int, samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((samples, min(6, samples))))[0]
    spreads = np.array([60, 45, 30, 20, 12, 6])[: axes.shape[1]]
    mixed = (rng.standard_normal((count, len(spreads))) * spreads) @ axes.T
    noise = rng.standard_normal((count, samples))
    return np.clip(np.rint(128 + mixed + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("count", "samples"), [(900, 300), (40, 2500), (3, 5), (2, 2)])
def test_axes_by_passes_are_those_of_the_covariance(count, samples):
    images = spread_images(count, samples)
    whole, passes = fit_pca(images, 2), fit_pca(images, 2, most_nbytes=0)
    np.testing.assert_array_equal(whole.mean, passes.mean)
    cosines = np.abs((whole.axes * passes.axes).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_equal_images_have_orthonormal_axes():
    for image_value in (0, 200):
        axes = fit_pca(np.full((30, 8), image_value, np.uint8), 2, most_nbytes=0).axes
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-5)
