"""The benches of the other uses, run small."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from aecodec.demo import load_sample

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import denoising
import generation
import maps


@pytest.fixture
def clothes(tmp_path):
    np.save(tmp_path / "clothes.npy", load_sample()[:40])
    np.save(tmp_path / "labels.npy", np.arange(40) % 3)
    return tmp_path / "clothes.npy"


def read_result(path, name):
    return json.loads((path.parent / f"{name}.json").read_text())


def test_denoising(clothes, monkeypatch, capsys):
    pytest.importorskip("scipy.ndimage")
    monkeypatch.setattr(denoising, "FILTERS", {"median": denoising.FILTERS["median"]})
    options = ["--train", str(clothes), "--model", "fashion", "--noise", "gaussian", "masking"]
    denoising.main([str(clothes), *options, "--results", str(clothes.parent)])
    rows = read_result(clothes, "denoising")["results"]
    assert [(row["noise"], row["level"]) for row in rows] == [
        (noise, level) for noise in ("gaussian", "masking") for level in denoising.LEVELS
    ]
    for row in rows:
        assert row["median parameter"] in (3, 5)
        assert row["aecodec"] > row["before"]
    assert "aecodec" in capsys.readouterr().out


def test_one_picture_of_all_images_comes_apart_again(monkeypatch):
    module = type(sys)("bm3d")
    module.bm3d = lambda page, sigma: page
    monkeypatch.setitem(sys.modules, "bm3d", module)
    images = load_sample()[:7][..., None]
    assert np.array_equal(denoising.bm3d(images, 0.1), images)


def test_maps(clothes):
    options = ["--labels", str(clothes.with_name("labels.npy")), "--model", "fashion"]
    maps.main([str(clothes), *options, "--steps", "20", "--results", str(clothes.parent)])
    result = read_result(clothes, "maps")
    assert len(result["linear"]["angles_degrees"]) == 2
    assert result["linear"]["excess_error"] > 0  # nothing linear beats PCA
    assert result["nonlinear"]["mse"] < result["nonlinear"]["pca_mse"]


def test_generation(clothes):
    generation.main([str(clothes), "--model", "fashion", "--results", str(clothes.parent)])
    (row,) = read_result(clothes, "generation")["results"]
    assert row["latents"] == 2
    assert -400 < row["elbo_nats"] < -150
