"""Bounds for a target: the lower convex hull of what a sample costs and errs."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GRAY, smooth_images

import aecodec
from aecodec.bound_search import BoundSearch, lower_hull
from aecodec.codec import Codec
from aecodec.container import MODE_PIXELS_ANS
from aecodec.targets import PSNR, Target


def test_hull_of_a_convex_curve_is_all_of_it():
    totals = {0: (0.0, 100.0), 1: (1.0, 60.0), 2: (3.0, 30.0), 3: (9.0, 10.0)}
    assert lower_hull(totals) == [0, 1, 2, 3]


def test_hull_leaves_out_what_lies_above_it():
    totals = {4: (10.0, 50.0), 5: (12.0, 60.0), 6: (20.0, 40.0), 7: (22.0, 31.0), 8: (40.0, 10.0)}
    assert lower_hull(totals) == [4, 7, 8]


def test_hull_ends_where_nothing_is_smaller():
    assert lower_hull({1: (5.0, 10.0), 2: (6.0, 12.0), 3: (4.0, 15.0)}) == [3, 1]


def test_hull_of_one_bound_and_of_equal_ones():
    assert lower_hull({9: (3.0, 7.0)}) == [9]
    assert lower_hull({1: (0.0, 5.0), 2: (0.0, 5.0)}) == [1]


def lumped_images(n: int) -> np.ndarray:
    """Gray levels 0, 35, 70 ...: exact under E = 17, which has cells of 35, and under few others."""
    return (smooth_images(GRAY, n).astype(int) // 35 * 35).astype(np.uint8)


def test_the_exact_bound_is_found_among_worse_finer_ones(refined):
    images, codec = lumped_images(300), Codec(refined)
    plans = BoundSearch(images, codec.pixel_layer()).plans
    assert plans.totals(17)[0] == 0 < plans.totals(14)[0]
    psnr = 10 * np.log10(65025 * images.size / plans.totals(14)[0])
    chunk = codec.encode_chunk(images, Target(PSNR, psnr - 0.1), by_pixels=True)
    assert 17 in {sub.parameter for sub in chunk.sub_payloads}
    assert all(sub.parameter >= 17 for sub in chunk.sub_payloads if sub.mode == MODE_PIXELS_ANS)


@pytest.mark.parametrize("images", [lumped_images(150), smooth_images(GRAY, 150)])
@pytest.mark.parametrize("psnr", [18, 27, 33, 41, 55])
def test_a_psnr_is_reached_whatever_the_levels(refined, images, psnr):
    chunk = Codec(refined).encode_chunk(images, Target(PSNR, psnr), by_pixels=True)
    assert chunk.sum_squared_error <= images.size * 65025 * 10 ** (-psnr / 10)


@pytest.mark.parametrize("nbytes", [12, 20, 40])
def test_more_bytes_never_more_error(refined, nbytes):
    images = lumped_images(300)
    blobs = [
        aecodec.encode(images, codec=Codec(refined), target_bytes_per_image=size)
        for size in (nbytes, 2 * nbytes)
    ]
    assert len(blobs[0]) <= nbytes * len(images)
    errors = []
    for blob in blobs:
        with aecodec.open(blob, codec=Codec(refined)) as archive:
            errors.append(((archive[:].astype(int) - images) ** 2).sum())
    assert errors[1] <= errors[0]
