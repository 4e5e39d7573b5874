"""Steps, gains and rounding: literal values."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.latents.quantizer import gains_at, in_range, interpolate, quantize

TABLE = np.array([[100 * (9 - i), 3 * i] for i in range(9)], np.uint16)


@pytest.mark.parametrize(
    ("stored_quality", "gains"),
    [
        (256, [900, 0]),
        (2304, [100, 24]),
        (512, [800, 3]),
        (256 + 128, [850, 2]),  # 1.5 rounds up
        (256 + 64, [875, 1]),  # 0.75
        (256 + 1, [900, 0]),  # 899.61 and 0.012
        (2303, [100, 24]),  # 100.39 and 23.99
    ],
)
def test_gains(stored_quality, gains):
    result = gains_at(TABLE, stored_quality)
    assert result.tolist() == gains
    assert result.dtype == np.int32


def test_gains_do_not_overflow_sixteen_bits():
    table = np.full((9, 2), 65535, np.uint16)
    assert gains_at(table, 1280 + 100).tolist() == [65535, 65535]


def test_float_interpolation():
    table = TABLE.astype(np.float32)
    assert interpolate(table, 256 + 64).tolist() == [875.0, 0.75]
    assert interpolate(table, 2304).tolist() == [100.0, 24.0]


def test_range_of_symbols():
    rows = [
        [0.0, 0.0],
        [32766.9, -32766.9],
        [32767.0, 0.0],
        [0.0, -32767.5],
        [float("nan"), 0.0],
        [float("inf"), 0.0],
    ]
    scaled = np.array(rows, np.float32)
    assert in_range(scaled).tolist() == [True, True, False, False, False, False]


def test_symbols_of_the_rows_that_fit():
    log_step = np.zeros((9, 2), np.float32)
    y = np.array([[0.5, -0.5], [40000, 0], [1.49, -1.51]], np.float32)
    symbols, fits = quantize(y, log_step, 1280)
    assert fits.tolist() == [True, False, True]
    assert symbols.tolist() == [[1, 0], [1, -2]]
    assert symbols.dtype == np.int16
