"""The summary of ``compress``: what was lost, what the model does not know, what is too large."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.cli import main
from aecodec.demo import load_sample

CLOTHES = load_sample()[:12]


@pytest.fixture
def summary(tmp_path, monkeypatch, capsys):
    """Run ``compress`` on images and return what standard error says."""
    monkeypatch.chdir(tmp_path)

    def run(images, *options):
        np.save("set.npy", images)
        assert main(["compress", "set.npy", "-o", "set.aez", "-f", *options]) == 0
        return capsys.readouterr().err

    return run


def test_lossy_result_says_so(summary):
    text = summary(CLOTHES)
    assert "model fashion, lossy, 2" in text
    assert text.splitlines()[0].endswith(" dB; --lossless keeps every pixel")
    assert "unlike" not in text


def test_lossless_result_says_so(summary):
    text = summary(CLOTHES, "--lossless")
    assert text.splitlines()[0].endswith("model fashion, lossless")
    assert summary(CLOTHES, "--model", "none").splitlines()[0].endswith("model none, lossless")
    assert "lossy" in summary(CLOTHES, "--model", "none", "--max-error", "9")


@pytest.mark.parametrize("options", [[], ["--model", "fashion"], ["--lossless"]])
def test_set_that_no_model_knows_is_told(summary, options):
    text = summary(255 - CLOTHES, *options)
    assert "12 of 12 images are unlike those that model 'fashion' knows" in text
    assert "aecodec train" in text
    assert summary(255 - CLOTHES, "-q", *options) == ""


def test_embedded_model_that_is_most_of_the_file_is_told(summary):
    text = summary(CLOTHES, "--embed-model")
    assert "with the model inside, the file is larger than the raw images" in text
    assert "with the model inside" not in summary(CLOTHES)
