"""What ``aecodec bench`` and the scripts in bench/ share, and the command itself."""

import argparse
import gzip
import io
import json

import numpy as np
import pytest

from aecodec import cli
from aecodec.benchmark import ours, sample, tables
from aecodec.benchmark.classifier import read_labels, train_classifier
from aecodec.benchmark.facts import versions
from aecodec.benchmark.measuring import Judge, VerificationError
from aecodec.benchmark.peers import bounded, principal, streams
from aecodec.benchmark.peers.peer import (
    BOUNDED,
    LOSSLESS,
    LOSSY,
    SET,
    Peer,
    Picture,
    apart,
    each,
    installed,
    mosaic,
    tiled,
)
from aecodec.benchmark.peers.pictures import picture_peers
from aecodec.cli import bench, exits
from aecodec.measures.ssim import ssim
from aecodec.models.file import pack_model
from aecodec.targets import MAX_ERROR, QUALITY

SIDE = 8


def noise(count, channels=1, side=SIDE, seed=0):
    shape = (count, side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ramps(count, channels=1, side=16):
    """Smooth images that every codec keeps roughly."""
    at = np.arange(side)
    slopes = np.random.default_rng(1).integers(1, 8, (count, 2, 1, 1, channels))
    images = slopes[:, 0] * at[None, :, None, None] + slopes[:, 1] * at[None, None, :, None]
    return images.astype(np.uint8)


def all_peers(channels):
    yield from streams.stream_peers()
    yield from picture_peers(channels)
    yield from bounded.bounded_peers(channels)


@pytest.fixture(autouse=True)
def light_xz(monkeypatch):
    """An xz that takes no 600 MiB to start."""
    monkeypatch.setattr(streams, "XZ_PRESET", 0)


# ---------------------------------------------------------------- peers


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_peer_installed_keeps_what_its_kind_promises(channels):
    images = ramps(6, channels)
    judge = Judge(images)
    peers = list(all_peers(channels))
    names = {f"{c.name}, {c.scope}" for c in peers}
    assert {"raw, set", "gzip -9, set", "xz -9e, set", "rounded, xz -9e, set"} <= names
    if installed("PIL"):
        assert {"PNG, image", "PNG, mosaic"} <= names
    for peer in peers:
        for setting in (peer.settings[0], peer.settings[-1]):
            row = judge.measured(peer, setting)
            assert row["nbytes"] > 0
            assert row["bpp"] == 8 * row["nbytes"] / (6 * 16 * 16)
            assert {LOSSLESS: 0, BOUNDED: setting, LOSSY: 255}[peer.kind] >= row["max_error"]
            assert set(peer.quick) <= {*peer.settings, *range(100), 1.5, 4.5, 12}


def test_one_file_for_each_image_or_one_for_all():
    copy = Picture(
        lambda picture, setting: picture.tobytes(), lambda data: np.frombuffer(data, "B")
    )
    images = noise(7)
    alone, together = each(copy), tiled(copy)
    assert [len(data) for data in alone["encode"](images, 0)] == [SIDE * SIDE] * 7
    (file,) = together["encode"](images, 0)
    assert len(file) == 9 * SIDE * SIDE  # a grid of three by three
    for way in alone, together:
        x_hat = way["decode"](way["encode"](images, 0), images.shape, 0)
        np.testing.assert_array_equal(x_hat, images)


def test_mosaic_has_the_images_in_rows():
    images = noise(5, channels=3)
    picture = mosaic(images)
    assert picture.shape == (2 * SIDE, 3 * SIDE, 3)
    np.testing.assert_array_equal(picture[SIDE:, SIDE : 2 * SIDE], images[4])
    assert not picture[SIDE:, 2 * SIDE :].any()
    np.testing.assert_array_equal(apart(picture, images.shape), images)


@pytest.mark.parametrize("bound", [0, 1, 2, 4, 16, 127])
def test_rounding_keeps_the_bound_for_every_value(bound):
    values = np.arange(256, dtype=np.uint8)
    cells = bounded.to_cells(values, bound)
    error = np.abs(bounded.from_cells(cells, bound).astype(int) - values)
    assert error.max() == bound
    assert len(np.unique(cells)) == -(-(256 + bound) // (2 * bound + 1))


def test_a_peer_that_breaks_its_promise_is_left_out_and_named():
    def off_by_two(files, shape, setting):
        return images + np.uint8(2)

    images = np.full((3, SIDE, SIDE, 1), 7, np.uint8)
    encode = lambda images, setting: [b"x"]
    liar = Peer("liar", SET, BOUNDED, (1, 4), (1,), encode, off_by_two)
    judge = Judge(images)
    with pytest.raises(VerificationError, match="liar: a sample is off by 2, the bound is 1"):
        judge.measured(liar, 1)
    assert list(judge.peer_rows([liar], quick=True, progress=lambda _: None)) == []
    assert judge.left_out == [
        {"coder": "liar, set", "why": "liar: a sample is off by 2, the bound is 1"}
    ]
    assert judge.measured(liar, 4)["max_error"] == 2


# ---------------------------------------------------------------- measures


def test_ssim_of_the_same_and_of_the_opposite():
    x = noise(3, side=28)
    assert ssim(x, x) == pytest.approx(1)
    assert ssim(x, 255 - x) < 0


def test_ssim_against_the_formula_at_one_place():
    x, x_hat = noise(1, side=11)[0, ..., 0], noise(1, side=11, seed=1)[0, ..., 0]
    at = np.arange(11) - 5
    window = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    a, b = x.astype(float), x_hat.astype(float)
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
    both = (window * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(x[None, ..., None], x_hat[None, ..., None]) == pytest.approx(expected)


def test_ssim_of_images_smaller_than_its_window_and_of_several_batches():
    x = noise(600, side=5, channels=2)
    parts = [ssim(x[:300], x[300:][::-1]), ssim(x[300:], x[:300][::-1])]
    both = ssim(x, np.concatenate([x[300:][::-1], x[:300][::-1]]))
    assert both == pytest.approx(np.mean(parts))
    with pytest.raises(ValueError, match="expected \\(N, H, W, C\\) twice"):
        ssim(x, x[:3])


def test_a_classifier_reads_what_is_plain_and_guesses_at_noise():
    labels = np.arange(240) % 3
    images = np.zeros((240, SIDE, SIDE, 1), np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 2] = 200
    classifier = train_classifier(images, labels, steps=60)
    assert classifier.facts == {"trained_on": 120, "asked_about": 120, "steps": 60, "seed": 0}
    assert classifier.accuracy(images) == 1
    assert classifier.accuracy(np.zeros_like(images)) == pytest.approx(1 / 3)
    again = train_classifier(images, labels, (images, labels), steps=60)
    assert again.facts["asked_about"] == 240
    with pytest.raises(ValueError, match="239 labels, expected 240, one an image"):
        train_classifier(images, labels[1:])
    with pytest.raises(ValueError, match="labels: found -1, expected 0 or more"):
        train_classifier(images, labels - 1)


def test_labels_as_idx_npy_and_text(tmp_path):
    idx = b"\0\0\x08\x01\0\0\0\x03\x05\0\x09"
    np.save(tmp_path / "labels.npy", np.array([5, 0, 9], np.int16))
    for name, data in (
        ("labels.idx", idx),
        ("labels.gz", gzip.compress(idx)),
        ("labels.txt", b"5\n0\n9\n"),
    ):
        (tmp_path / name).write_bytes(data)
    for path in tmp_path.iterdir():
        assert read_labels(path).tolist() == [5, 0, 9]
    (tmp_path / "cut").write_bytes(idx[:-1])
    with pytest.raises(ValueError, match="cut: expected 3 bytes of labels, found 2"):
        read_labels(tmp_path / "cut")
    (tmp_path / "words").write_bytes(b"five\n")
    with pytest.raises(ValueError, match="words: labels are text, expected whole numbers"):
        read_labels(tmp_path / "words")
    np.save(tmp_path / "floats.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"floats\.npy: labels are float64, expected whole"):
        read_labels(tmp_path / "floats.npy")


def test_versions_leave_out_what_is_not_installed():
    assert set(versions(["numpy", "no-such-package"])) == {"python", "aecodec", "numpy"}


# ---------------------------------------------------------------- tables


def test_lower_hull():
    points = [(20.0, 0.2), (24.0, 0.9), (25.0, 0.7), (30.0, 1.2), (28.0, 2.0)]
    rows = [{"psnr_db": psnr, "bpp": bpp} for psnr, bpp in points]
    assert tables.bpp_at(rows, 20) == 0.2
    assert tables.bpp_at(rows, 22.5) == pytest.approx(0.45)
    assert tables.bpp_at(rows, 27.5) == pytest.approx(0.95)
    assert tables.bpp_at(rows, 31) is None
    assert tables.bpp_at(rows, 3) == 0.2


# ---------------------------------------------------------------- the command


@pytest.fixture
def short(monkeypatch):
    """Fewer rows: the peers themselves are tested above."""
    for peers in ("picture_peers", "bounded_peers"):
        monkeypatch.setattr(f"aecodec.benchmark.running.{peers}", lambda channels: iter(()))
    monkeypatch.setattr(principal, "COMPONENTS", (4,))
    setups = (
        ours.Setup("aecodec zstd", QUALITY, (5,)),
        ours.Setup("aecodec fast", MAX_ERROR, (0, 8)),
    )
    monkeypatch.setattr(ours, "QUICK", setups)


@pytest.mark.usefixtures("short")
def test_bench_command(tmp_path, refined, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.safetensors").write_bytes(pack_model(refined))
    images = ramps(40, side=SIDE)
    np.save("x.npy", images)
    (tmp_path / "labels.txt").write_text("\n".join(str(i % 2) for i in range(40)))
    monkeypatch.setattr("aecodec.benchmark.classifier.STEPS", 3)
    asked = ["bench", "x.npy", "--model", "m.safetensors", "--limit", "20"]
    assert cli.main([*asked, "--labels", "labels.txt", "--json", "-o", "r.html"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["data"]["shape"] == [20, SIDE, SIDE, 1]
    rows = {(row["coder"], row["setting"]): row for row in result["rows"]}
    assert rows["aecodec fast", 0]["psnr_db"] is None
    assert rows["aecodec fast", 8]["max_error"] <= 8
    assert rows["raw", 0]["nbytes"] == 20 * SIDE * SIDE
    assert all(0 <= row["accuracy"] <= 1 for row in result["rows"])
    assert rows["raw", 0]["accuracy"] == result["classifier"]["originals"]
    assert sum(rows["aecodec zstd", 5]["images_by_mode"].values()) == 20
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert cli.main([*asked, "-o", "r.html"]) == exits.EXIT_IO
    assert "r.html exists; -f replaces it" in capsys.readouterr().err
    assert cli.main([*asked, "-q"]) == 0
    printed = capsys.readouterr().out
    assert "Without loss. " in printed
    assert "Under an error bound. " in printed
    assert "aecodec fast" in printed


@pytest.mark.usefixtures("short")
def test_bench_without_a_model_that_fits_shows_the_others(tmp_path, capsys):
    np.save(tmp_path / "x.npy", noise(10))
    assert cli.main(["bench", str(tmp_path / "x.npy")]) == 0
    printed = capsys.readouterr().out
    assert "No installed model is for such images" in printed
    assert "zstd -19" in printed


def test_bench_refuses_labels_of_another_set_and_a_limit_of_none(tmp_path, capsys):
    np.save(tmp_path / "x.npy", noise(10))
    (tmp_path / "labels.txt").write_text("1\n2\n")
    asked = ["bench", str(tmp_path / "x.npy")]
    assert cli.main([*asked, "--labels", str(tmp_path / "labels.txt")]) == exits.EXIT_USAGE
    assert "--labels: 2 labels, expected one for every image" in capsys.readouterr().err
    assert cli.main([*asked, "--limit", "0"]) == exits.EXIT_USAGE
    assert "--limit: expected 1 or more, got 0" in capsys.readouterr().err


def test_a_sample_is_spread_over_the_set(monkeypatch):
    images = noise(10)
    monkeypatch.setattr(sample, "READ_IMAGES", 3)
    found, rows, *_ = sample.read_sample(images, 4)
    assert rows.tolist() == [0, 2, 5, 7]
    np.testing.assert_array_equal(found, images[rows])
    monkeypatch.setattr(sample, "MAX_SAMPLES", 3 * SIDE * SIDE)
    assert len(sample.read_sample(images, None)[0]) == 3
    buffer = io.BytesIO()
    np.save(buffer, images)
    buffer.seek(0)
    assert len(sample.read_sample(buffer, 99)[0]) == 10


def test_progress_is_silent_without_a_terminal(capsys):
    bench._progress(argparse.Namespace(quiet=False))("xz")
    assert capsys.readouterr().err == ""
