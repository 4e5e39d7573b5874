"""The benches, run small: bench/ is no package, its modules find each other as scripts do."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GRAY, smooth_images

from aecodec.container.parts import LATENT_DECODER, PIXEL_FAST
from aecodec.images import open_images
from aecodec.measures.metrics import bits_per_pixel
from aecodec.measures.pca import PcaBasis, fit_pca, oriented
from aecodec.models.file import pack_model
from aecodec.training.latents import LatentConfig, train_autoencoder
from aecodec.training.pixels import FEATURES

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import baselines
import bounds
import common
import effort
import latents_under_pixels
import memory
import rate_distortion
import run_all
import throughput
import variable_rate

from aecodec.benchmark import ours
from aecodec.benchmark.peers import pca_codec, principal, streams

SIDE = 8


def blobs(count, seed=0):
    """Smooth images, (count, SIDE, SIDE, 1): what PCA and a codec can make something of."""
    rng = np.random.default_rng(seed)
    at = np.arange(SIDE)
    row, column = rng.uniform(2, 6, (2, count, 1, 1))
    distance = (at[None, :, None] - row) ** 2 + (at[None, None, :] - column) ** 2
    return np.rint(255 * np.exp(-distance / 4))[..., None].astype(np.uint8)


@pytest.fixture
def threads():
    """The benches set torch's threads: put them back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blobs_path(tmp_path):
    np.save(tmp_path / "blobs.npy", blobs(64))
    return tmp_path / "blobs.npy"


def read_result(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


# ---------------------------------------------------------------- whole benches


@pytest.fixture
def small_grid(monkeypatch):
    """Fewer rows, and an xz that takes no 600 MiB to start."""
    monkeypatch.setattr(baselines, "XZ_PRESET", 0)
    monkeypatch.setattr(baselines, "PCA_COMPONENTS", (4, 16, 128))
    monkeypatch.setattr(baselines, "PCA_STEPS", (16, 64))
    monkeypatch.setattr(baselines, "QUALITIES", (1, 9))


def run_baselines(path, *options):
    baselines.main([str(path), *options, "--results", str(path.parent)])
    return read_result(path.parent, "baselines")


@pytest.mark.usefixtures("small_grid", "threads")
def test_baselines(blobs_path, tiny_path, tmp_path, capsys):
    np.save(tmp_path / "more.npy", blobs(200, seed=1))
    options = ["--train", str(tmp_path / "more.npy"), "--model", str(tiny_path)]
    result = run_baselines(blobs_path, *options)
    rows = {row["coder"]: row for row in result["rows"]}
    families = [row["family"] for row in result["rows"]]
    assert families == ["raw", "zstd", "zstd", "xz", "png", *["pca"] * 4, *["aecodec"] * 2]
    assert rows["raw"]["nbytes"] == 64 * SIDE * SIDE
    for row in rows.values():
        assert row["bpp"] == bits_per_pixel(row["nbytes"], (64, SIDE, SIDE, 1))
        assert len(row["encode"]["runs_s"]) == len(row["decode"]["runs_s"]) == common.RUNS
        assert (row["psnr_db"] is None) == (row["max_error"] == 0)
    assert rows["PCA 4, step 16"]["facts"] == {
        "k": 4,
        "step": 16,
        "fitted_on": "more.npy",
        "basis_nbytes": 4 * 5 * SIDE * SIDE,
    }
    assert rows["PCA 16, step 16"]["psnr_db"] > rows["PCA 4, step 16"]["psnr_db"]
    facts = rows["aecodec, quality 9"]["facts"]
    assert facts["zstd_over_entropy"] == facts["payload_bits"] / facts["entropy_bits"] - 1
    assert facts["decoder_nbytes"] > 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1 + len(rows) + 3
    assert "PCA fitted on more.npy; its basis (4,352 bytes at 16) not counted." in printed


@pytest.mark.usefixtures("small_grid", "threads")
def test_baselines_markdown_names_a_basis_fitted_on_the_set_itself(blobs_path, capsys):
    result = run_baselines(blobs_path, "--limit", "20", "--markdown")
    assert result["data"]["shape"] == [20, SIDE, SIDE, 1]
    pca = [row for row in result["rows"] if row["family"] == "pca"]
    assert max(row["facts"]["k"] for row in pca) == 16  # 20 images have no 128 axes
    assert all(row["coder"].endswith("(fitted on itself)") for row in pca)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| coder | bytes | bpp |")
    assert lines[1] == "| --- |" + " ---: |" * 7
    assert lines[2].startswith("| raw | 1,280 | 8.0000 | lossless | 0 |")
    assert lines[-1].startswith("PCA fitted on the set itself")
    assert not any("aecodec" in line for line in lines)


@pytest.mark.usefixtures("threads")
def test_throughput(blobs_path, tiny_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(throughput, "READS", 5)
    options = ["--images", "64", "--threads", "1", "--results", str(tmp_path)]
    throughput.main([str(blobs_path), "--model", str(tiny_path), *options])
    result = read_result(tmp_path, "throughput")
    assert (result["images"], result["model"]) == (64, "tiny")
    assert (result["target"], result["variant"]) == ({"quality": 5.0}, None)
    assert result["threads"]["torch"] == 1
    assert sum(result["aecodec"]["images_by_mode"].values()) == 64
    for way in ("encode", "decode"):
        ours, png = result["aecodec"][way], result["png"][way]
        assert ours["images_per_s"] == 64 / np.median(ours["runs_s"])
        assert ours["best_images_per_s"] == 64 / min(ours["runs_s"])
        assert result["ratio"][way] == ours["images_per_s"] / png["images_per_s"]
    assert result["random_access"]["open_and_read"]["median_ms"] > 0
    assert "one image: " in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ["refined", "standing"])
def test_bounds(blobs_path, name, request, tmp_path, capsys):
    refined = request.getfixturevalue(name)
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(pack_model(refined))
    options = ["--bounds", "0", "5", "--results", str(tmp_path)]
    bounds.main([str(blobs_path), "--model", str(path), *options])
    (result,) = read_result(tmp_path, "bounds")["variants"]
    assert result["variant"] == "fast"
    assert result["part_nbytes"] == refined.parts["pixel_fast"].nbytes
    exact, near = result["files"]
    assert (exact["max_error"], exact["psnr_db"]) == (0, None)
    assert near["max_error"] <= 5
    assert near["nbytes"] < exact["nbytes"]
    for shares in result["us_per_image"].values():
        assert set(shares) - {"underlay"} == {"network", "encoding", "decoding"}
        assert ("underlay" in shares) == (name == "standing")
    assert "microseconds an image" in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
def test_rate_distortion(blobs_path, refined, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(streams, "XZ_PRESET", 0)
    monkeypatch.setattr(principal, "COMPONENTS", (16,))
    monkeypatch.setattr(rate_distortion, "TUTORIAL_COMPONENTS", 16)
    monkeypatch.setattr("aecodec.benchmark.classifier.STEPS", 3)
    wanted = [s for s in ours.FULL if s.coder == "zstd" and s.variant == "fast"]
    monkeypatch.setattr(ours, "FULL", wanted)
    monkeypatch.setattr(rate_distortion, "TUTORIAL_CODERS", ("zstd",))
    path = tmp_path / "refined.safetensors"
    path.write_bytes(pack_model(refined))
    np.save(tmp_path / "labels.npy", np.arange(64) % 2)
    labels = ["--labels", str(tmp_path / "labels.npy")]
    options = ["--train", str(blobs_path), "--model", str(path), "--results", str(tmp_path)]
    rate_distortion.main(
        [str(blobs_path), *options, *labels, "--quick", "--limit", "32", "--targets", "20", "30"]
    )
    result = read_result(tmp_path, "rate-distortion")
    rows = result["rows"]
    asked = [row for row in rows if row.get("target") == "psnr"]
    assert [row["setting"] for row in asked] == [20, 30]
    for row in asked:
        assert row["psnr_db"] is None or row["psnr_db"] >= row["setting"]
    for row in rows:
        assert 0 <= row["accuracy"] <= 1
        assert row["ssim"] <= 1 + 1e-9
        assert row["max_error_p99"] <= row["max_error"]
    assert len({row["psnr_db"] for row in result["tutorial"][:3]}) == 1
    sizes = [row["nbytes"] for row in result["tutorial"]]
    assert sizes[0] > sizes[1] > sizes[2]
    scopes = {(row["coder"], row["scope"]) for row in rows}
    assert {("JPEG", "image"), ("JPEG", "mosaic"), ("gzip -9", "set")} <= scopes
    assert result["pca_fitted_on"] == "blobs.npy"
    assert "bpp at a PSNR of" in capsys.readouterr().out


def test_run_all_names_every_file_and_ends_with_the_report(tmp_path):
    for name in run_all.SETS:
        (tmp_path / name).mkdir()
        for file in ("t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3"):
            (tmp_path / name / f"{file}-ubyte.gz").touch()
        (tmp_path / name / "train-labels-idx1-ubyte").touch()
    folders = {name: tmp_path / name for name in run_all.SETS}
    planned = list(run_all.commands(folders, tmp_path, None))
    scripts = [script for script, *_ in planned]
    assert scripts.count("rate_distortion.py") == scripts.count("bounds.py") == 2
    assert scripts[-1] == "report.py"
    assert all((BENCH / script).exists() for script in scripts)
    assert planned[-1][1:3] == [
        str(tmp_path / f"rate-distortion-{name}.json") for name in run_all.SETS
    ]
    assert scripts.count("effort.py") == 2
    assert scripts.count("variable_rate.py") == 1
    rate_distortion.parse_arguments(planned[0][1:])
    baselines.parse_arguments(planned[1][1:])
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="0 files like train-labels"):
        list(run_all.commands(folders, tmp_path, None))


@pytest.mark.usefixtures("threads")
def test_effort(known, tmp_path, capsys):
    np.save(tmp_path / "images.npy", smooth_images(GRAY, 40)[..., 0])
    path = tmp_path / "known.safetensors"
    path.write_bytes(pack_model(replace(known, name="known")))
    options = ["--model", str(path), "--coders", "zstd", "--efforts", "3", "5", "--qualities", "5"]
    effort.main([str(tmp_path / "images.npy"), *options, "--results", str(tmp_path)])
    rows = read_result(tmp_path, "effort")["rows"]
    assert [(row["effort"], row["search_steps"]) for row in rows] == [(3, 0), (5, 6)]
    assert rows[0]["saved"] == pytest.approx(0)
    assert "PSNR dB" in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
def test_latents_under_pixels(known, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(FEATURES, PIXEL_FAST, 4)
    np.save(tmp_path / "images.npy", smooth_images(GRAY, 60)[..., 0])
    path = tmp_path / "known.safetensors"
    path.write_bytes(pack_model(replace(known, name="known")))
    options = ["--model", str(path), "--steps", "2", "--results", str(tmp_path)]
    latents_under_pixels.main([str(tmp_path / "images.npy"), *options, "--qualities", "1", "2.5"])
    rows = read_result(tmp_path, "latents-under-pixels")["rows"]
    assert [row["latents"] for row in rows] == [None, 1.0, 2.5]
    for row in rows:
        assert set(row["bpp"]) == {"0", "8", "32"}
        assert row["bpp"]["0"] > row["bpp"]["8"] > row["bpp"]["32"] > 0
    assert rows[1]["part_nbytes"] > rows[0]["part_nbytes"]
    assert "on quality 2.5" in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
def test_latents_under_pixels_start_without_an_underlay(standing, tmp_path):
    np.save(tmp_path / "images.npy", smooth_images(GRAY, 60)[..., 0])
    path = tmp_path / "standing.safetensors"
    path.write_bytes(pack_model(standing))
    with pytest.raises(SystemExit, match="has an underlay already"):
        latents_under_pixels.main(
            [str(tmp_path / "images.npy"), "--model", str(path), "--base", str(path)]
        )


@pytest.mark.usefixtures("threads")
def test_variable_rate(tmp_path, capsys):
    images = smooth_images(GRAY, 150)
    np.save(tmp_path / "images.npy", images[..., 0])
    base = tmp_path / "base.safetensors"
    config = LatentConfig(steps=3, batch_images=9)
    base.write_bytes(pack_model(train_autoencoder(images, config, name="b", provenance={})))
    options = ["--base", str(base), "--steps", "1", "--results", str(tmp_path)]
    variable_rate.main(
        [str(tmp_path / "images.npy"), *options, "--lr-scale", "0.01", "--batch", "81"]
    )
    rows = read_result(tmp_path, "variable-rate")["rows"]
    assert [row["quality"] for row in rows] == [2, 2, 4, 4, 6, 6]
    assert [row["batch_images"] for row in rows] == [81, 9] * 3
    for row in rows:  # a step so small changes next to nothing: sharing costs nothing
        assert row["loss"] is None or abs(row["loss"]) < 0.1
        assert row["single_bpp"] > 0
    assert "one model for all" in capsys.readouterr().out


def test_a_model_of_one_quality_has_its_trunk(tmp_path):
    images = smooth_images(GRAY, 40)
    config = LatentConfig(steps=3, batch_images=9)
    model = train_autoencoder(images, config, name="b", provenance={})
    tensors = model.parts[LATENT_DECODER].tensors
    for quality, trunk in ((3, "low_"), (4, "")):
        alone = variable_rate.of_one_quality(model, quality).parts[LATENT_DECODER].tensors
        assert not [name for name in alone if name.startswith("low_")]
        np.testing.assert_array_equal(alone["up.weight"], tensors[f"{trunk}up.weight"])
        assert (alone["gain"] == tensors["gain"][quality - 1]).all()


# ---------------------------------------------------------------- baselines


def test_a_coder_that_changes_a_pixel_is_refused():
    def decode(files):
        x_hat = blobs(4)
        x_hat[2, 0, 0] ^= 1
        return x_hat

    liar = baselines.Coder("liar", "zstd", lambda images: [b""], decode)
    with pytest.raises(common.VerificationError, match="liar: 1 of 4 images came back changed"):
        baselines.run(liar, blobs(4))


def test_a_coder_that_drops_an_image_is_refused():
    short = baselines.Coder("short", "pca", lambda images: [b""], lambda files: blobs(3), False)
    expected = r"short: expected uint8 \(4, 8, 8, 1\), got uint8 \(3, 8, 8, 1\)"
    with pytest.raises(common.VerificationError, match=expected):
        baselines.run(short, blobs(4))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_gives_back_every_pixel(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), dtype=np.uint8)
    coder = baselines.png_coder(images.shape)
    np.testing.assert_array_equal(coder.decode(coder.encode(images)), images)


def row(family, nbytes, psnr_db):
    return baselines.Row(f"{family} {nbytes}", family, nbytes, 1.0, psnr_db, 1, {}, {}, {})


def test_markdown_leaves_out_pca_rows_that_another_beats():
    small, good = row("pca", 10, 20.0), row("pca", 20, 30.0)
    worse, equal = row("pca", 11, 20.0), row("pca", 20, 30.0)
    other = row("aecodec", 50, 10.0)
    assert baselines.undominated([small, worse, good, equal, other]) == [small, good, equal, other]


def test_training_images_of_another_shape_are_refused(tmp_path):
    np.save(tmp_path / "train.npy", np.zeros((9, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"--train: images of shape \(4, 4, 1\), expected"):
        baselines.fit(str(tmp_path / "train.npy"), blobs(2))


# ---------------------------------------------------------------- PCA


def test_quantize_rounds_to_the_nearest_step():
    y = np.array([[-25.0, -23.9, 0.0, 7.9, 8.1, 40.0]], np.float32)
    symbols = pca_codec.quantize(y, 16)
    assert symbols.tolist() == [[-2, -1, 0, 0, 1, 2]]  # 2.5 to the even 2
    assert symbols.dtype == np.int16


@pytest.mark.parametrize("worst", [32768.0, -40000.0, np.nan, np.inf])
def test_quantize_never_wraps(worst):
    with pytest.raises(ValueError, match=r"symbols span .*, expected -32767\.\.32767"):
        pca_codec.quantize(np.array([[0.0, worst]], np.float32), 1)


@pytest.mark.parametrize("step", [0, -1, np.nan])
def test_quantize_needs_a_positive_step(step):
    with pytest.raises(ValueError, match=r"step is .*, expected more than 0"):
        pca_codec.quantize(np.zeros((1, 1), np.float32), step)


def test_each_component_takes_the_width_it_needs():
    symbols = np.array([[1, 127, 128, 0], [-128, -5, 3, -129]], np.int16)
    packed = pca_codec.pack_symbols(symbols)
    assert packed[:4] == bytes([1, 1, 2, 2])
    np.testing.assert_array_equal(pca_codec.unpack_symbols(packed, 2, 4), symbols)


def test_packed_symbols_are_the_smaller_of_two_frames():
    symbols = np.random.default_rng(0).geometric(0.3, (500, 6)).astype(np.int16)
    parts = [column.astype(np.int8).tobytes() for column in symbols.T]
    sizes = [len(pca_codec._one_run(parts)), len(pca_codec._block_for_each(parts))]
    assert len(pca_codec.pack_symbols(symbols)) == 6 + min(sizes)


def test_pca_with_every_axis_and_a_fine_step_is_nearly_exact():
    images = blobs(64)
    basis = fit_pca(images, 64)
    codec = pca_codec.PcaCodec(basis.mean, basis.axes, 1, (8, 8, 1))
    x_hat = codec.decode(codec.encode(images), 64)
    assert np.abs(x_hat.astype(int) - images).max() <= 2
    assert codec.basis_nbytes == 4 * (64 + 64 * 64)


def test_orientation_does_not_depend_on_the_signs_given():
    axes = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    mean = np.zeros(2, np.float32)
    for signs in (1, -1), (-1, 1):
        given = PcaBasis(mean, axes * np.array(signs, np.float32)[:, None])
        expected = np.array([[-0.6, 0.8], [0.8, 0.6]], np.float32)
        np.testing.assert_array_equal(oriented(given).axes, expected)


# ---------------------------------------------------------------- common


def test_measure_verifies_and_warms_up_before_it_times():
    calls = []

    def work():
        calls.append("work")
        return len(calls)

    timing = common.measure(work, lambda first: calls.append(f"check {first}"), runs=3)
    assert calls == ["work", "check 1", "work", "work", "work", "work"]
    assert len(timing.runs_s) == 3


def test_measure_times_nothing_that_fails_its_check():
    calls = []

    def refuse(_):
        raise common.VerificationError("no good")

    with pytest.raises(common.VerificationError, match="no good"):
        common.measure(lambda: calls.append(1), refuse)
    assert calls == [1]


def test_measure_needs_a_run():
    with pytest.raises(ValueError, match="runs is 0, expected at least 1"):
        common.measure(lambda: None, lambda _: None, runs=0)


def test_timing_reports_median_and_best():
    timing = common.Timing((0.5, 0.2, 4.0))
    assert timing.report(10) == {
        "images_per_s": 20.0,
        "best_images_per_s": 50.0,
        "runs_s": [0.5, 0.2, 4.0],
    }


@pytest.mark.parametrize(("limit", "count"), [(None, 10), (1, 1), (4, 4), (7, 7), (99, 10)])
def test_load_images_stops_at_the_limit(tmp_path, monkeypatch, limit, count):
    monkeypatch.setattr(common, "READ_IMAGES", 4)
    np.save(tmp_path / "x.npy", blobs(10)[..., 0])
    images = common.load_images(tmp_path / "x.npy", limit)
    np.testing.assert_array_equal(images, blobs(10)[:count])


def test_load_images_refuses_nothing_at_all(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"x\.npy: no images, expected at least 1"):
        common.load_images(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="limit is 0, expected at least 1"):
        common.load_images(tmp_path / "x.npy", 0)


def test_psnr_is_pooled():
    x = np.zeros((2, 1, 1, 1), np.uint8)
    x_hat = np.array([0, 255], np.uint8).reshape(x.shape)
    assert common.pooled_psnr_db(x, x_hat) == pytest.approx(10 * np.log10(2))


def test_facts_tell_the_run_and_the_data():
    facts = common.facts("x.npy", np.zeros((2, 1, 1, 1), np.uint8))
    assert facts["data"] == {
        "name": "x.npy",
        "shape": [2, 1, 1, 1],
        "pixels_sha256": "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    }
    assert facts["machine"]["cpu"]
    assert facts["machine"]["cores"] == os.cpu_count()
    assert set(facts["versions"]) == {
        "python",
        "aecodec",
        "numpy",
        "torch",
        "zstandard",
        "Pillow",
    }
    json.dumps(facts, allow_nan=False)


def test_commit_is_unknown_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert common.commit() == {"sha": None, "dirty": None}


def test_results_hold_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        common.write_result("x", {"psnr_db": float("nan")}, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    assert common.write_result("x", {"a": 1}, tmp_path / "new") == tmp_path / "new" / "x.json"
    assert read_result(tmp_path / "new", "x") == {"a": 1}


def test_tables():
    head, rows = ("a", "bb"), [("long", "1"), ("s", "12345")]
    assert common.format_table(head, rows) == "a        bb\nlong      1\ns     12345"
    expected = "| a | bb |\n| --- | ---: |\n| long | 1 |\n| s | 12345 |"
    assert common.format_markdown(head, rows) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (99.96, "100"), (1.234, "1.23"), (0.0123, "0.0123")]
)
def test_rounded(value, text):
    assert common.rounded(value) == text


# ---------------------------------------------------------------- memory

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="samples /proc, Linux only")


def test_written_set_repeats_the_images(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_IMAGES", 4)
    memory.write_set(tmp_path / "x.npy", blobs(3), 10)
    with open_images(tmp_path / "x.npy") as source:
        (images,) = source.batches(100)
    np.testing.assert_array_equal(images, blobs(3)[np.arange(10) % 3])
    stat = (tmp_path / "x.npy").stat()
    assert stat.st_size == 128 + 10 * SIDE * SIDE


@linux_only
def test_peak_sees_what_a_process_held():
    hold = "import time; held = bytearray(b'x' * (64 << 20)); time.sleep(0.2)"
    peak, elapsed_s = memory.peak_nbytes([sys.executable, "-c", hold])
    assert 64 << 20 < peak < 160 << 20
    assert elapsed_s > 0.2


@linux_only
def test_peak_of_a_command_that_fails_is_an_error():
    fail = "import sys; sys.exit('no room')"
    with pytest.raises(RuntimeError, match="exit status 1, expected 0: no room"):
        memory.peak_nbytes([sys.executable, "-c", fail])


@linux_only
def test_memory_of_this_process_and_of_none():
    assert memory.anonymous_nbytes(os.getpid()) > 1 << 20
    assert memory.anonymous_nbytes(2**22 + 1) is None  # above the largest pid there can be
