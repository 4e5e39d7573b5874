"""Sets in a temporary file behave as arrays do."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import held_rows
from aecodec.held_rows import HeldRows, batches_of, flattened, hold, reshaped, rows_at_once


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_held_rows_are_those_of_an_array(dtype, monkeypatch):
    rows = np.arange(1200).reshape(40, 5, 3, 2).astype(dtype)
    assert isinstance(hold(iter(np.array_split(rows, 7)), (5, 3, 2), dtype), np.ndarray)
    monkeypatch.setattr(held_rows, "MEMORY_NBYTES", rows.nbytes // 2)
    held = hold(iter(np.array_split(rows, 7)), (5, 3, 2), dtype)
    assert isinstance(held, HeldRows)
    assert (held.shape, held.ndim, held.size, len(held)) == (rows.shape, 4, rows.size, 40)
    chosen = np.array([39, 0, 0, 7])
    keys = (slice(None), slice(3, 9), slice(30, 99), slice(9, 3), slice(None, None, 7), chosen)
    for key in keys:
        assert held[key].dtype == dtype
        np.testing.assert_array_equal(held[key], rows[key])
        np.testing.assert_array_equal(flattened(held)[key], rows.reshape(40, 30)[key])
    np.testing.assert_array_equal(np.stack(list(held)), rows)
    np.testing.assert_array_equal(reshaped(held, (200, 3, 2))[7:9], rows.reshape(200, 3, 2)[7:9])
    np.testing.assert_array_equal(np.concatenate(list(batches_of(held, 7, 100))), rows)
    assert (rows_at_once(held, 7, 100), rows_at_once(held, 2, 100), rows_at_once(held, 7, 1)) == (
        3,
        2,
        1,
    )


def test_no_rows_at_all():
    assert hold(iter([]), (2, 2, 1), np.uint8).shape == (0, 2, 2, 1)
