"""Bounds for a target: the lower convex hull of what a sample costs and errs."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec.codec.bounds import OPTION_BITS, BoundSearch, bounds_on_hull, cheapest_within
from aecodec.codec.codec import Codec
from aecodec.container import MODE_PIXELS_ANS, chunk_nbytes
from aecodec.demo import load_sample
from aecodec.pixels.levels import finest_alike, to_symbols
from aecodec.pixels.payloads import PixelPlan
from aecodec.targets import BOUND_MAX, MAX_ERROR, PSNR, Target


def test_hull_of_a_convex_curve_is_all_of_it():
    totals = {0: (0.0, 100.0), 1: (1.0, 60.0), 2: (3.0, 30.0), 3: (9.0, 10.0)}
    assert bounds_on_hull(totals) == [0, 1, 2, 3]


def test_hull_leaves_out_what_lies_above_it():
    totals = {4: (10.0, 50.0), 5: (12.0, 60.0), 6: (20.0, 40.0), 7: (22.0, 31.0), 8: (40.0, 10.0)}
    assert bounds_on_hull(totals) == [4, 7, 8]


def test_hull_ends_where_nothing_is_smaller():
    assert bounds_on_hull({1: (5.0, 10.0), 2: (6.0, 12.0), 3: (4.0, 15.0)}) == [3, 1]


def test_hull_of_one_bound_and_of_equal_ones():
    assert bounds_on_hull({9: (3.0, 7.0)}) == [9]
    assert bounds_on_hull({1: (0.0, 5.0), 2: (0.0, 5.0)}) == [1]


def lumped_images(n: int) -> np.ndarray:
    """Gray levels 0, 35, 70 ...: exact under E = 17, with cells of 35, and under few others."""
    return (smooth_images(GRAY, n).astype(int) // 35 * 35).astype(np.uint8)


def test_the_exact_bound_is_found_among_worse_finer_ones(refined):
    images, codec = lumped_images(300), Codec(refined)
    plans = BoundSearch(images, codec.networks.refiner()).plans
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


@pytest.mark.parametrize("bound", range(BOUND_MAX + 1))
def test_finest_bound_with_as_many_levels(bound):
    def levels(e: int) -> int:
        return len(np.unique(to_symbols(np.arange(256, dtype=np.uint8), e)))

    finer = finest_alike(bound)
    assert finer <= bound
    assert levels(finer) == levels(bound)
    assert finer == 0 or levels(finer - 1) > levels(bound)


def test_a_bound_gives_way_to_a_finer_one_that_is_cheaper(refined):
    """Under E = 50, 253 to 255 have a level of their own; under 36, the last 73 share one."""
    white = 250 + np.arange(300)[:, None, None, None] % 6
    images = np.minimum(smooth_images(GRAY, 300).astype(int) * 2, white).astype(np.uint8)
    refiner = Codec(refined).networks.refiner()
    bits = {e: PixelPlan(refiner, images, e).bits.sum() for e in (36, 50)}
    assert bits[36] < bits[50]
    _, assignment = cheapest_within(images, 50, refiner)
    assert assignment.bits <= bits[36] + OPTION_BITS
    bounds = np.array(assignment.bounds)[assignment.choice]
    brightest = images.max(axis=(1, 2, 3)) >= 253  # two shades of white
    assert (bounds[brightest] == 36).mean() > 0.9
    assert (bounds[~brightest] == 36).mean() < 0.1


def test_a_file_has_the_finer_bound():
    images = load_sample()[:200, ..., None]
    codec = Codec(aecodec.load_model("fashion"))
    chunk = codec.encode_chunk(images, Target(MAX_ERROR, 127))
    assert {sub.parameter for sub in chunk.sub_payloads} <= {85, 127}
    assert 85 in {sub.parameter for sub in chunk.sub_payloads}
    bits = {e: PixelPlan(codec.networks.refiner(), images, e).bits.sum() for e in (85, 127)}
    assert bits[85] < bits[127]


def test_a_bound_stays_where_the_finer_one_costs_more(refined):
    images, refiner = noise_images(GRAY, 50), Codec(refined).networks.refiner()
    assert finest_alike(48) == 36
    bits = {e: PixelPlan(refiner, images, e).bits.sum() for e in (36, 48)}
    for bound, expected in ((48, min(bits, key=lambda e: bits[e])), (5, 5)):
        _, assignment = cheapest_within(images, bound, refiner)
        assert {assignment.bounds[i] for i in assignment.choice} == {expected}


def images_of_two_kinds() -> np.ndarray:
    """Runs of 50 images that are cheaper under E = 50, and of 50 with 253 to 255, under E = 36."""
    white = 250 + 3 * (np.arange(200)[:, None, None, None] // 50 % 2)
    white = white + np.arange(200)[:, None, None, None] % 3
    return np.minimum(smooth_images(GRAY, 200).astype(int) * 2, white).astype(np.uint8)


def test_every_image_has_the_bound_that_suits_it():
    images = load_sample()[:256, ..., None]
    codec = Codec(aecodec.load_model("fashion"))
    everyone = np.arange(len(images))
    plans = [PixelPlan(codec.networks.refiner(), images, bound) for bound in (28, 32)]
    chunk = codec.encode_chunk(images, Target(MAX_ERROR, 32))
    assert {sub.parameter for sub in chunk.sub_payloads} == {28, 32}
    assert chunk_nbytes(chunk) < 0.98 * min(len(plan.encode(everyone)) for plan in plans)
    decoded = codec.decode_chunk(chunk, (28, 28, 1), "chunk").astype(int)
    assert np.abs(decoded - images).max() <= 32


def test_an_assignment_reaches_a_target_and_pays(refined):
    images = images_of_two_kinds()
    refiner = Codec(refined).networks.refiner()
    search = BoundSearch(images, refiner)
    limit = search.plans.totals(30)[0]
    fine, coarse = search.bracket(lambda error, _, share: error > limit * share)
    split = search.split(fine, coarse, 0)
    mixed, coarser = search.assignments(lambda error, _, share: error > limit * share, fine)
    assert mixed is not None
    assert coarser is not None
    assert mixed.error <= limit < coarser.error
    assert mixed.bits < split.bits
    assert len(set(mixed.choice.tolist())) > 1


def test_nothing_is_mixed_where_no_bounds_were_weighed(refined):
    search = BoundSearch(images_of_two_kinds(), Codec(refined).networks.refiner())
    assert search.assignments(lambda error, _, share: error > 1e6 * share, 100) == (None, None)
