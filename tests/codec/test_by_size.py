"""Sizes near those of the smallest files."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images

import aecodec


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("room", [0, 1, 40, 90, 200])
@pytest.mark.parametrize("set_of", [smooth_images, noise_images])
def test_a_size_at_which_zstd_alone_fits_is_not_refused(refined, set_of, count, room):
    """A file that names no model is smaller than one that does."""
    images = set_of(GRAY, count)
    plain = aecodec.encode(images, model="none", lossless=True)
    size = (len(plain) + room) / count
    blob = aecodec.encode(images, model=refined, target_bytes_per_image=size)
    assert len(blob) <= len(plain) + room
    assert aecodec.decode(blob, model=refined).shape == images.shape


def test_a_size_of_exactly_the_plain_file_is_that_file():
    images = np.zeros((20, 8, 8), np.uint8)
    plain = aecodec.encode(images, model="none", lossless=True)
    blob = aecodec.encode(images, model="none", target_bytes_per_image=len(plain) / 20)
    assert len(blob) == len(plain)
    np.testing.assert_array_equal(aecodec.decode(blob), images)
