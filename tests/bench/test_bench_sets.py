"""The benches of data sets, on very little: they run, they check, they write what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import common
import folder
import training_loop

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8)


@pytest.fixture
def source(tmp_path) -> Path:
    np.save(tmp_path / "set.npy", IMAGES)
    return tmp_path / "set.npy"


def test_folder(source, tmp_path, capsys):
    argv = [str(source), "--count", "45", "--model", "none", "--results", str(tmp_path)]
    folder.main(argv)
    result = json.loads((tmp_path / "folder.json").read_text())["result"]
    assert result["images"] == 45
    for way, beside in (("compress", "pillow_read_s"), ("decompress", "pillow_write_s")):
        assert result[way]["over_pillow"] == result[way]["elapsed_s"] / result[beside]
        assert result[way]["peak_rss_nbytes"] > 10e6
    assert "45 PNGs" in capsys.readouterr().out


def test_folder_sees_what_came_back_changed(tmp_path):
    images = IMAGES[..., None]
    paths = folder.write_tree(tmp_path / "a", images)
    others = folder.write_tree(tmp_path / "b", images)
    folder.compare(tmp_path / "a", paths, tmp_path / "b")
    changed = images.copy()
    changed[7, 0, 0] ^= 1
    folder.write_tree(tmp_path / "c", changed)
    with pytest.raises(common.VerificationError, match=r"0000007\.png came back changed"):
        folder.compare(tmp_path / "a", paths, tmp_path / "c")
    others[0].unlink()
    with pytest.raises(common.VerificationError, match="29 files came back, not the 30"):
        folder.compare(tmp_path / "a", paths, tmp_path / "b")


def test_training_loop(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training_loop, "SINGLES", 3)
    options = ["--model", "none", "--workers", "0", "--epochs", "2", "--batch", "8"]
    training_loop.main([str(source), *options, "--results", str(tmp_path)])
    result = json.loads((tmp_path / "training_loop.json").read_text())
    found = result["workers 0"]
    assert {"in memory", "PNG folder", "aez, latents", "aez, lossless"} <= set(found)
    for seconds in found.values():
        assert all(len(epochs) == 2 and min(epochs) > 0 for epochs in seconds.values())
    assert result["aez, lossless"]["singles_cold"] > 0
    assert "reading, 1st epoch" in capsys.readouterr().out


def test_an_epoch_that_lacks_images_is_an_error():
    loader = training_loop.loader_of(training_loop.InMemory(IMAGES[..., None]), 8, 0)
    with pytest.raises(RuntimeError, match="30 images came, expected 31"):
        training_loop.epoch(loader, None, 31)
