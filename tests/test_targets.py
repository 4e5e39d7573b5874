"""What may be asked of a file: literal values, and what is refused."""

from __future__ import annotations

import pytest

from aecodec.targets import MAX_ERROR, NBYTES, PSNR, QUALITY, Target, one_target


@pytest.mark.parametrize(
    ("quality", "stored"),
    [(1, 256), (5, 1280), (9, 2304), (2.5, 640), (1 + 1 / 256, 257), (1 + 0.6 / 256, 257)],
)
def test_stored_quality(quality, stored):
    assert Target(QUALITY, quality).stored == stored


def test_stored_bound_and_psnr():
    assert Target(MAX_ERROR, 0).stored == 0
    assert Target(MAX_ERROR, 127).stored == 127
    assert Target(PSNR, 35.5).stored == 9088
    assert Target(NBYTES, 12.5).stored == 3200


@pytest.mark.parametrize("quality", [0.999, 9.001, 0, -5, 256, float("nan"), float("inf")])
def test_quality_out_of_range(quality):
    with pytest.raises(ValueError, match=r"quality: expected 1 to 9, got "):
        Target(QUALITY, quality)


@pytest.mark.parametrize("bound", [-1, 128, float("nan")])
def test_bound_out_of_range(bound):
    with pytest.raises(ValueError, match=r"max_error: expected 0 to 127, got "):
        Target(MAX_ERROR, bound)


def test_bound_between_gray_levels():
    with pytest.raises(ValueError, match=r"max_error: expected a whole number, got 1\.5"):
        Target(MAX_ERROR, 1.5)


@pytest.mark.parametrize("psnr", [0.5, 101, float("nan")])
def test_psnr_out_of_range(psnr):
    with pytest.raises(ValueError, match=r"psnr: expected 1 to 100, got "):
        Target(PSNR, psnr)


@pytest.mark.parametrize("size", [0, -3, 1e9, float("nan")])
def test_size_out_of_range(size):
    with pytest.raises(ValueError, match=r"target_bytes_per_image: expected 0\.00390625 to "):
        Target(NBYTES, size)


def test_one_target():
    assert one_target() == Target(QUALITY, 5)
    assert one_target(3) == Target(QUALITY, 3)
    assert one_target(max_error=4) == Target(MAX_ERROR, 4)
    assert one_target(psnr=33) == Target(PSNR, 33)
    assert one_target(target_bytes_per_image=9.5) == Target(NBYTES, 9.5)
    assert one_target(lossless=True) == Target(MAX_ERROR, 0)


@pytest.mark.parametrize(
    "asked",
    [{"quality": 5, "psnr": 30}, {"max_error": 0, "lossless": True}, {"psnr": 3, "max_error": 1}],
)
def test_two_targets_are_one_too_many(asked):
    with pytest.raises(ValueError, match="expected one of quality, max_error, lossless, psnr and"):
        one_target(**asked)
