import math
import tracemalloc

import numpy as np
import pytest

from aecodec.measures import metrics


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_bits_per_pixel_counts_no_channels():
    assert metrics.bits_per_pixel(784, (1, 28, 28, 1)) == 8.0
    assert metrics.bits_per_pixel(3 * 1024, (2, 32, 32, 3)) == 12.0


def test_bits_per_dim_counts_channels():
    assert metrics.bits_per_dim(784, (1, 28, 28, 1)) == 8.0
    assert metrics.bits_per_dim(3 * 1024, (2, 32, 32, 3)) == 4.0


@pytest.mark.parametrize("measure", [metrics.bits_per_pixel, metrics.bits_per_dim])
def test_no_pixels_have_no_rate(measure):
    with pytest.raises(ValueError, match=r"shape \(0, 28, 28, 1\): no pixel"):
        measure(100, (0, 28, 28, 1))


def test_known_errors():
    x = np.array([[[0, 255], [7, 7]], [[1, 2], [3, 4]]], np.uint8)
    x_hat = np.array([[[255, 0], [7, 9]], [[1, 2], [3, 4]]], np.uint8)
    assert metrics.squared_error(x, x_hat).tolist() == [2 * 255**2 + 4, 0]
    assert metrics.max_error(x, x_hat).tolist() == [255, 0]


def test_error_types_and_symmetry():
    x, x_hat = random_pixels(5, 9, 7, 3), random_pixels(5, 9, 7, 3, seed=1)
    sums, largest = metrics.squared_error(x, x_hat), metrics.max_error(x, x_hat)
    assert (sums.dtype, largest.dtype) == (np.int64, np.uint8)
    wide = x.astype(np.int64) - x_hat
    assert np.array_equal(sums, (wide**2).sum(axis=(1, 2, 3)))
    assert np.array_equal(largest, abs(wide).max(axis=(1, 2, 3)))
    assert np.array_equal(metrics.squared_error(x_hat, x), sums)


@pytest.mark.parametrize("scratch_nbytes", [1, 50, 189, 400])
def test_blocks_do_not_change_the_result(monkeypatch, scratch_nbytes):
    x, x_hat = random_pixels(5, 9, 7, 3), random_pixels(5, 9, 7, 3, seed=1)
    expected = metrics.squared_error(x, x_hat), metrics.max_error(x, x_hat)
    monkeypatch.setattr(metrics, "SCRATCH_NBYTES", scratch_nbytes)
    assert np.array_equal(metrics.squared_error(x, x_hat), expected[0])
    assert np.array_equal(metrics.max_error(x, x_hat), expected[1])


def test_worst_image_does_not_overflow():
    x = np.zeros((1, 300, 300), np.uint8)  # 300 * 300 * 255 ** 2 > 2 ** 32
    assert metrics.squared_error(x, 255 - x).tolist() == [300 * 300 * 255**2]


def test_empty_batch():
    none = np.zeros((0, 4, 4, 1), np.uint8)
    assert metrics.squared_error(none, none).shape == (0,)
    assert metrics.max_error(none, none).shape == (0,)


def test_memory_stays_small():
    x = np.zeros((64, 1024, 1024), np.uint8)
    tracemalloc.start()
    try:
        metrics.squared_error(x, x)
        peak_nbytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_nbytes < 8 * metrics.SCRATCH_NBYTES


@pytest.mark.parametrize("measure", [metrics.squared_error, metrics.max_error])
def test_unlike_arrays_are_refused(measure):
    x = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 4\), x_hat \(2, 4, 4, 1\)"):
        measure(x, x[..., None])
    with pytest.raises(TypeError, match="x_hat has dtype float64, expected uint8"):
        measure(x, x.astype(float))


def test_psnr_known_values():
    assert metrics.psnr_db(0, 10) == math.inf
    assert metrics.psnr_db(255**2 * 10, 10) == 0.0
    assert metrics.psnr_db(10, 10) == pytest.approx(48.1308036)
    assert metrics.psnr_db(10, 10, peak=1) == 0.0


def test_psnr_refuses_what_has_no_meaning():
    with pytest.raises(ValueError, match="sample_count 0, expected at least 1"):
        metrics.psnr_db(0, 0)
    with pytest.raises(ValueError, match="sum_squared_error -1, expected 0 or more"):
        metrics.psnr_db(-1, 10)
