"""Quality, steps and rounding: literal values."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.quantizer import gains_at, in_range, interpolate, quality_to_stored

TABLE = np.array([[100 * (9 - i), 3 * i] for i in range(9)], np.uint16)


@pytest.mark.parametrize(
    ("quality", "stored"),
    [(1, 256), (5, 1280), (9, 2304), (2.5, 640), (1 + 1 / 256, 257), (1 + 0.6 / 256, 257)],
)
def test_stored_quality(quality, stored):
    assert quality_to_stored(quality) == stored


@pytest.mark.parametrize("quality", [0.999, 9.001, 0, -5, 256, float("nan"), float("inf")])
def test_quality_out_of_range(quality):
    with pytest.raises(ValueError, match=r"quality: expected 1 to 9, got "):
        quality_to_stored(quality)


@pytest.mark.parametrize(
    ("stored", "gains"),
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
def test_gains(stored, gains):
    result = gains_at(TABLE, stored)
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
