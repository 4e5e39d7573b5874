"""Maps, generation, denoising and sheets: what they promise, on data that comes along."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from aecodec import cli
from aecodec.archive.array import Archive
from aecodec.archive.compress import compress
from aecodec.cli import exits
from aecodec.container.modes import MODES
from aecodec.demo import load_sample
from aecodec.errors import ModelCorruptError, ModelMismatchError, ModelMissingError
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.quantizer import gains_at
from aecodec.models.file import pack_model, unpack_model
from aecodec.models.finding import installed_models, load_model
from aecodec.uses import denoising, drawing, generation, maps, sheets
from aecodec.uses.inputs import read_labels, read_table
from aecodec.uses.latents import read_latents
from aecodec.uses.objectives import add_noise
from aecodec.uses.page import map_page
from aecodec.uses.stored import DENOISE, FOLDER, MAP, VAE, load_use, restore

BUNDLED = [f"{data}-{use}" for data in ("mnist", "fashion") for use in (MAP, VAE, DENOISE)]


@pytest.fixture(scope="module")
def images():
    return load_sample()[:200][..., None]


@pytest.fixture(scope="module")
def aez(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("uses")
    np.save(folder / "set.npy", images[..., 0])
    compress(folder / "set.npy", folder / "set.aez", model="fashion", quality=5)
    return folder / "set.aez"


def bent_plane():
    """The classic example: 3-D points near a tilted plane, unevenly strewn."""
    rng = np.random.default_rng(4)
    t = rng.uniform(0.5, 4.5, 300)
    noise = 0.1 * rng.standard_normal((300, 3))
    x = np.cos(t) + 0.5 * np.sin(t) + 0.5 * noise[:, 0]
    y = 0.7 * np.sin(t) + 0.5 * noise[:, 1]
    return np.stack([x, y, 0.1 * x + 0.3 * y + noise[:, 2]], axis=1).astype(np.float32)


# ---------------------------------------------------------------- maps


@pytest.mark.parametrize(
    "steps",
    [1000, pytest.param(maps.MapConfig().steps, marks=pytest.mark.slow)],
    ids=["quick", "deep"],
)
@pytest.mark.parametrize(
    "rows", [bent_plane(), load_digits().data.astype(np.float32)], ids=["3-D", "digits"]
)
def test_linear_map_is_pca(rows, steps):
    made, plane = maps.fit_linear(rows, 2, replace(maps.MapConfig(), steps=steps))
    # the truth from elsewhere: singular vectors, not our own PCA
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    assert maps.principal_angles(plane, axes[:2].T).max() < 1
    assert made.mse == pytest.approx((values[2:] ** 2).sum() / rows.size, rel=1e-3)
    assert np.allclose(plane.T @ plane, np.eye(2))
    pca, _ = maps.map_pca(rows, 2)
    assert pca.mse == pytest.approx((values[2:] ** 2).sum() / rows.size, rel=1e-4)


def test_linear_map_is_trained_not_solved():
    rows = load_digits().data.astype(np.float32)
    _, plane = maps.fit_linear(rows, 2, replace(maps.MapConfig(), steps=3))
    _, basis = maps.map_pca(rows, 2)
    assert maps.principal_angles(plane, basis.axes.T).max() > 10


def test_dense_map_beats_pca_where_data_bend():
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 3, 500)
    curve = np.stack([np.cos(2 * t), np.sin(2 * t), np.cos(4 * t), t], axis=1)
    rows = curve.astype(np.float32)
    made = maps.fit_dense(rows, 2, replace(maps.MapConfig(), steps=600, batch_images=128))
    pca, _ = maps.map_pca(rows, 2)
    assert made.points.shape == (500, 2)
    assert made.mse < 0.2 * pca.mse


def test_principal_angles_of_known_planes():
    x, y, z = np.eye(3)
    tilted = np.stack([x, math.cos(0.3) * y + math.sin(0.3) * z], axis=1)
    angles = maps.principal_angles(np.stack([x + y, x - y], axis=1), tilted)
    assert angles == pytest.approx([0, math.degrees(0.3)], abs=1e-9)


def test_neighbour_accuracy_agrees_with_sklearn():
    rng = np.random.default_rng(1)
    points = rng.standard_normal((1300, 2)).astype(np.float32)  # more than are compared at once
    labels = np.where(points[:, 0] + 0.5 * rng.standard_normal(1300) > 0, "right", "left")
    indices = KNeighborsClassifier(6).fit(points, labels).kneighbors(points)[1][:, 1:]
    votes = (labels[indices] == "right").sum(axis=1) > 2
    expected = (np.where(votes, "right", "left") == labels).mean()
    assert maps.neighbour_accuracy(points, labels) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="3 points, 5 neighbours"):
        maps.neighbour_accuracy(points[:3], labels[:3])


def test_bundled_map_beats_pca(images):
    made = maps.map_images(restore(load_use("fashion", MAP)), images)
    pca, _ = maps.map_pca(images, 2)
    assert made.points.shape == (200, 2)
    assert made.mse < pca.mse  # though PCA was fitted to these very images


def test_latents_of_a_file_are_those_of_its_symbols(aez, tmp_path, images, monkeypatch):
    with Archive(aez) as archive:  # of which some images are under the pixel model
        chunk = archive.reader.read_chunk(0)
        holds_latents = [MODES[sub.mode].holds_latents for sub in chunk.sub_payloads]
        images = images[np.array(holds_latents)[list(chunk.assignment)]]
    aez, stored_quality = tmp_path / "set.aez", 5 * 256
    compress(images, aez, model="fashion", quality=5)
    with Archive(aez) as archive:
        assert archive.info["images_by_mode"].keys() == {"latents q5"}
    with Archive(aez) as archive, monkeypatch.context() as patched:
        patched.setattr(LatentNetworks, "synthesize", lambda *_: pytest.fail("pixels were decoded"))
        y = read_latents(archive)
    # from them, by the decoder alone, come the very pixels that the file decodes to
    layer = LatentNetworks(load_model("fashion"))
    gains = gains_at(layer.gains, stored_quality)
    symbols = y * 2048 / gains
    assert np.abs(symbols - np.rint(symbols)).max() < 1e-3
    with Archive(aez) as archive:
        pixels = layer.synthesize(np.rint(symbols).astype(np.int16), stored_quality)
        assert np.array_equal(pixels, archive[:])
    assert y.shape == (len(images), 128)


def test_latents_where_some_images_have_none(tmp_path):
    mixed = load_sample()[:40].copy()
    mixed[7] = np.random.default_rng(0).integers(0, 256, (28, 28))
    np.save(tmp_path / "mixed.npy", mixed)
    compress(tmp_path / "mixed.npy", tmp_path / "mixed.aez", model="fashion", quality=5)
    with Archive(tmp_path / "mixed.aez") as archive:
        assert len(archive.info["images_by_mode"]) > 1
        y = read_latents(archive)
    assert np.isfinite(y).all()
    assert np.abs(y[7]).sum() > 0


@pytest.mark.parametrize("coder", ["zstd", "ans"])
def test_map_command_reads_latents(coder, tmp_path, images):
    np.save(tmp_path / "set.npy", images[:60, ..., 0])
    compress(tmp_path / "set.npy", tmp_path / "set.aez", model="fashion", coder=coder)
    out = tmp_path / "map.npy"
    arguments = ["map", str(tmp_path / "set.aez"), "-o", str(out), "--steps", "5", "-q"]
    assert cli.main(arguments) == 0
    assert np.load(out).shape == (60, 2)
    assert cli.main(arguments) == exits.EXIT_IO  # it is there already


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("suffix", ["png", "html"])
def test_map_command_draws(dims, suffix, tmp_path, capsys):
    table = tmp_path / "table.csv"
    rows = bent_plane()[:50]
    table.write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in rows))
    (tmp_path / "labels.txt").write_text("\n".join("xy"[i % 2] for i in range(50)) + "\n")
    out = tmp_path / f"map.{suffix}"
    options = ["--linear", "--dims", str(dims), "--labels", str(tmp_path / "labels.txt")]
    assert cli.main(["map", str(table), "-o", str(out), *options, "--steps", "50", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["points"] == 50
    assert facts["method"] == "linear"
    assert 0 <= facts["accuracy"] <= 1
    assert len(facts["angles_degrees"]) == dims
    head = out.read_bytes()[:8]
    assert head == (b"\x89PNG\r\n\x1a\n" if suffix == "png" else b"<!DOCTYP")


def test_map_page_is_whole_and_safe(images):
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    labels = np.array(["</script><b>", "b", "b", "c"])
    page = map_page(points, labels, images[:4], "<title>", "note & more")
    assert "data:image/png;base64," in page
    assert "&lt;title&gt;" in page
    assert "note &amp; more" in page
    text = page.split('type="application/json">')[1].split("</script>")[0]
    data = json.loads(text)
    assert data["names"] == ["</script><b>", "b", "c"]
    assert data["points"] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert re.findall("https?://", page) == []  # nothing is fetched from elsewhere
    assert "prefers-color-scheme: dark" in page


def test_heavy_tails_get_an_asinh_scale():
    rng = np.random.default_rng(0)
    points = np.stack([rng.standard_normal(4000), rng.standard_t(1.5, 4000)], 1).astype(np.float32)
    first, second = drawing.linear_widths(points)
    assert first == 0
    assert second == pytest.approx(np.median(np.abs(points[:, 1])))
    figure = drawing.scatter(points, None, "title", "note")
    axes = figure.axes[0]
    assert [axes.get_xscale(), axes.get_yscale()] == ["linear", "asinh"]
    assert axes.get_ylabel() == "second coordinate (asinh scale)"
    page = map_page(points, None, None, "title", "note")
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert data["axes"] == ["first coordinate", axes.get_ylabel()]
    assert data["ticks"] == [[], axes.get_yticks().tolist()]
    assert drawing.linear_widths(np.repeat(points, 2, axis=1)[:, :3]) == [
        0,
        0,
        0,
    ]  # 3-D: all linear
    assert drawing.linear_widths(np.zeros((5, 2), np.float32)) == [0, 0]


def test_asinh_ticks_are_round_and_within():
    values = np.array([-40, 0.1, 12], np.float32)
    assert drawing.asinh_ticks(values, 0.5) == [-30, -10, -3, -1, 0, 1, 3, 10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3\n", "line 2 has 1 cells, expected 2"),
        ("1,2\n3,x\n", "line 2: could not convert"),
        ("1,2\n3,nan\n", "row 1, column 1 is not a finite number"),
        ("1\n2\n", r"found a table \(2, 1\)"),
    ],
)
def test_bad_tables_are_told(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(str(tmp_path / "t.csv"))


def test_labels_are_read(tmp_path):
    idx = tmp_path / "labels"
    idx.write_bytes(b"\0\0\x08\x01\0\0\0\x03" + bytes([5, 0, 4]))
    assert read_labels(str(idx), 3).tolist() == [5, 0, 4]
    with pytest.raises(ValueError, match=r"found labels \(3,\), expected \(4,\)"):
        read_labels(str(idx), 4)
    idx.write_bytes(b"\0\0\x08\x01\0\0\0\x04" + bytes([5, 0, 4]))
    with pytest.raises(ValueError, match="expected 4 bytes of labels, found 3"):
        read_labels(str(idx), 3)
    np.save(tmp_path / "l.npy", np.array([1, 2]))
    assert read_labels(str(tmp_path / "l.npy"), 2).tolist() == [1, 2]


# ---------------------------------------------------------------- generation


def test_evidence_is_what_the_formula_says(images):
    objective = restore(load_use("fashion", VAE))
    with torch.no_grad():
        mean, log_variance = objective.heads(objective.prepare(images[:5]))
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.manual_seed(3)
    y = posterior.mean + posterior.stddev * torch.randn_like(mean)
    p = objective.means(y).detach().double()[:, 0]
    pixels = torch.from_numpy(images[:5, ..., 0] / 255.0)
    log_p = (pixels * p.log() + (1 - pixels) * (1 - p).log()).flatten(1).sum(1)
    expected = float((log_p - kl).mean())
    bound = generation.evidence(objective, images[:5], seed=3)
    assert bound.elbo_nats == pytest.approx(expected, rel=1e-4)
    assert bound.bits_per_dim == pytest.approx(-bound.elbo_nats / (784 * math.log(2)))
    assert bound.kl_nats > 0


def test_gaussian_evidence_counts_256_levels(images):
    from aecodec.uses.stored import build

    objective = build((28, 28, 1), {"use": VAE, "latents": 3, "likelihood": "gaussian"}).eval()
    bound = generation.evidence(objective, images[:5])
    nats = -bound.elbo_nats + 784 * math.log(256)
    assert bound.bits_per_dim == pytest.approx(nats / (784 * math.log(2)))
    spread = torch.exp(objective.log_sigma)
    x = objective.prepare(images[:2])
    y = torch.zeros(2, 3)
    normal = torch.distributions.Normal(objective.model.decode(y), spread)
    expected = -normal.log_prob(x[:, :, :28, :28]).flatten(1).sum(1)
    assert torch.allclose(objective.nll(x, y), expected, rtol=1e-4)


def test_bundled_vae_knows_clothes_from_noise(images):
    objective = restore(load_use("fashion", VAE))
    noise = np.random.default_rng(0).integers(0, 256, images[:50].shape, np.uint8)
    assert generation.evidence(objective, images).elbo_nats > -300
    assert generation.evidence(objective, noise).elbo_nats < -500


def test_samples_are_reproducible(tmp_path):
    paths = [tmp_path / name for name in ("a.npy", "b.npy", "c.npy")]
    for path, seed in zip(paths, ("7", "7", "8"), strict=True):
        arguments = ["generate", "--model", "fashion", "-n", "9", "--seed", seed, "-q"]
        assert cli.main([*arguments, "-o", str(path)]) == 0
    first, same, other = (np.load(path) for path in paths)
    assert first.shape == (9, 28, 28)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_manifold_runs_over_the_prior():
    y = generation.manifold_latents(5).reshape(5, 5, 2)
    assert y[0, :, 0] == pytest.approx([-1.2816, -0.5244, 0, 0.5244, 1.2816], abs=1e-4)
    assert y[:, 0, 1] == pytest.approx([1.2816, 0.5244, 0, -0.5244, -1.2816], abs=1e-4)


def test_interpolation_ends_where_it_says(images, tmp_path):
    np.save(tmp_path / "set.npy", images[:4, ..., 0])
    out = tmp_path / "line.npy"
    arguments = ["--interpolate", "0", "2", "--from", str(tmp_path / "set.npy"), "-n", "5"]
    assert cli.main(["generate", "--model", "fashion", *arguments, "-o", str(out), "-q"]) == 0
    objective = restore(load_use("fashion", VAE))
    ends = generation.images_of(objective, generation.latents_of(objective, images[[0, 2]]))
    line = np.load(out).astype(int)
    assert np.abs(line[[0, -1]] - ends[..., 0]).max() <= 1
    assert len(line) == 5


@pytest.mark.parametrize("what", [["--manifold", "-n", "16"], ["-n", "10"]])
def test_generate_draws(what, tmp_path):
    out = tmp_path / "grid.png"
    assert cli.main(["generate", "--model", "fashion", *what, "-o", str(out), "-q"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--manifold", "-n", "10", "-o", "a.png"], "a square number of images, got 10"),
        ([], "nothing to do"),
        (["-o", "a.gif"], "ends in .png, .npy"),
        (["-o", "a.png", "-n", "0"], "-n: expected 1 or more"),
    ],
)
def test_generate_refuses(arguments, message, capsys):
    assert cli.main(["generate", "--model", "fashion", *arguments]) == exits.EXIT_USAGE
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------- denoising


def test_noise_is_what_its_name_says():
    torch.manual_seed(0)
    x = torch.full((40, 1, 28, 28), 0.5)
    gaussian = add_noise(x, "gaussian", torch.tensor(0.1))
    assert float(gaussian.std()) == pytest.approx(0.1, rel=0.03)
    clipped = add_noise(x, "gaussian", torch.tensor(1.0))
    assert float(clipped.min()) == 0
    assert float(clipped.max()) == 1
    salted = add_noise(x, "salt-and-pepper", torch.tensor(0.3))
    assert float((salted == 1).float().mean()) == pytest.approx(0.15, rel=0.1)
    assert float((salted == 0).float().mean()) == pytest.approx(0.15, rel=0.1)
    masked = add_noise(x, "masking", torch.tensor(0.3))
    assert float((masked == 0).float().mean()) == pytest.approx(0.3, rel=0.1)
    assert float((masked == 0.5).float().mean()) == pytest.approx(0.7, rel=0.05)


def test_noise_is_seeded_and_leaves_the_generator_alone(images):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = denoising.noisy_images(images[:9], "gaussian", 0.3, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(a, denoising.noisy_images(images[:9], "gaussian", 0.3, seed=5))
    assert not np.array_equal(a, denoising.noisy_images(images[:9], "gaussian", 0.3, seed=6))


@pytest.mark.parametrize("noise", ["gaussian", "salt-and-pepper", "masking"])
def test_bundled_denoiser_beats_a_median(noise, images):
    scipy_ndimage = pytest.importorskip("scipy.ndimage")
    objective = restore(load_use("fashion", DENOISE))
    noisy = denoising.noisy_images(images, noise, 0.3, seed=2)
    median = scipy_ndimage.median_filter(noisy, size=(1, 3, 3, 1))
    before, after = denoising.denoising_gain(objective, images, noise, 0.3, seed=2)
    assert before == pytest.approx(denoising.pooled_psnr_db(images, noisy))
    assert after > before + 6
    assert after > denoising.pooled_psnr_db(images, median) + 1


def test_denoiser_takes_any_sides(images):
    objective = restore(load_use("fashion", DENOISE))
    odd = images[:3, :21, :27]
    cleaned = denoising.denoise(objective, denoising.noisy_images(odd, "gaussian", 0.2, seed=0))
    assert cleaned.shape == odd.shape


def test_denoise_command(tmp_path, images, capsys):
    clean, noisy = tmp_path / "clean.npy", tmp_path / "noisy.npy"
    np.save(clean, images[:30, ..., 0])
    np.save(noisy, denoising.noisy_images(images[:30], "gaussian", 0.3, seed=0)[..., 0])
    out, sheet = tmp_path / "out.npz", tmp_path / "sheet.png"
    arguments = ["denoise", str(noisy), "-o", str(out), "--model", "fashion", "--json"]
    assert cli.main([*arguments, "--against", str(clean), "--sheet", str(sheet)]) == 0
    facts = json.loads(capsys.readouterr().out)
    cleaned = np.load(out)["images"]
    expected = denoising.pooled_psnr_db(images[:30, ..., 0], cleaned)
    assert facts["psnr_after_db"] == pytest.approx(expected)
    assert facts["psnr_after_db"] > facts["psnr_before_db"] + 6
    assert sheet.read_bytes().startswith(b"\x89PNG")
    noise = ["--add-noise", "masking", "0.2", "--model", "fashion", "-q"]
    assert cli.main(["denoise", str(clean), *noise, "--sheet", str(sheet)]) == exits.EXIT_IO
    assert cli.main(["denoise", str(clean), *noise, "--sheet", str(sheet), "-f"]) == 0
    assert cli.main(["denoise", str(clean), "--model", "fashion", "--add-noise", "hail", "1"]) == 2
    assert "expected one of gaussian" in capsys.readouterr().err


# ---------------------------------------------------------------- sheets


def test_sheet_shows_what_the_file_holds(aez, images):
    with Archive(aez) as archive:
        shown = sheets.look_up(archive, str(aez.with_name("set.npy")), [0, 100, 199])
        chosen = [archive[i][..., None] for i in (0, 100, 199)]
        everything = sheets.look_up(archive, str(aez.with_name("set.npy")), list(range(200)))
        payload = archive.info["payload_nbytes"]
    assert np.array_equal(shown.originals, images[[0, 100, 199]])
    assert np.array_equal(shown.decoded, np.stack(chosen))
    assert sum(everything.nbytes) == pytest.approx(payload)
    assert len(set(shown.nbytes)) == 3  # richer images cost more
    errors, largest = shown.error_maps()
    difference = np.abs(shown.originals.astype(int) - shown.decoded)
    assert largest == difference.max()
    assert errors.min() == 0  # black where the error is largest
    assert (errors[difference == 0] == 255).all()


def test_sheet_command(aez, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    against = ["--against", str(aez.with_name("set.npy"))]
    assert cli.main(["sheet", str(aez), *against, "-o", str(out), "-n", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == [0, 100, 199]
    assert len(facts["nbytes"]) == 3
    assert out.read_bytes().startswith(b"\x89PNG")
    np.save(tmp_path / "few.npy", load_sample()[:5])
    arguments = ["sheet", str(aez), "--against", str(tmp_path / "few.npy"), "-o", str(out), "-f"]
    assert cli.main(arguments) == exits.EXIT_USAGE
    assert "5 images of (28, 28, 1)" in capsys.readouterr().err


# ---------------------------------------------------------------- model files and training


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_models_are_small_and_whole(name):
    path = FOLDER / f"{name}.safetensors"
    assert path.stat().st_size <= 1_000_000
    model = load_model(path)
    restore(model)
    assert model.name == name
    assert model.parts == {}
    assert {"data_sha256", "recipe", "steps_done"} <= set(model.training)


def test_the_codec_never_picks_them(monkeypatch):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(FOLDER))
    assert {model.name for model in installed_models()} == {"mnist", "fashion"}


def test_models_of_another_use_are_refused(tmp_path):
    with pytest.raises(ModelMismatchError, match="is for coding, expected one for map"):
        load_use(FOLDER.parent / "mnist.safetensors", MAP)
    with pytest.raises(ModelMismatchError, match="is for vae, expected one for denoise"):
        load_use("mnist-vae", DENOISE)
    with pytest.raises(ModelMissingError, match="no model 'none such'"):
        load_use("none such", VAE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": 0}, "latents is 0"),
        ({"likelihood": "guess"}, "likelihood is 'guess'"),
        ({"latents": 3}, "is missing or of other shape"),
    ],
)
def test_damaged_settings_are_told(change, message):
    model = load_use("mnist", VAE)
    changed = replace(model, encoder_config={**model.encoder_config, **change})
    again = unpack_model(pack_model(changed))
    with pytest.raises(ModelCorruptError, match=message):
        restore(again)


def test_tensors_that_are_not_finite_are_told():
    model = load_use("mnist", VAE)
    bad = dict(model.encoder)
    bad["log_sigma"] = np.full_like(bad["log_sigma"], np.nan)
    with pytest.raises(ModelCorruptError, match="not finite"):
        restore(replace(model, encoder=bad))


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (["--map"], "validation_mse_255"),
        (["--vae", "--latent-dim", "3"], "validation_elbo_nats"),
        (["--vae", "--likelihood", "gaussian"], "validation_elbo_nats"),
        (["--denoise", "0.4", "--noise", "gaussian,masking"], "validation_gain_db"),
    ],
    ids=["map", "vae", "gaussian", "denoise"],
)
def test_training_makes_a_model(options, number, tmp_path, capsys, images):
    np.save(tmp_path / "set.npy", images[:, :14, :13, 0])
    out = tmp_path / "own.safetensors"
    arguments = ["train", str(tmp_path / "set.npy"), "-o", str(out), *options, "--steps", "12"]
    assert cli.main([*arguments, "--batch", "16", "--json", "-q"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["finished"]
    assert math.isfinite(facts[number])
    assert not out.with_name("own.safetensors.ckpt").exists()
    restore(load_model(out))
    first = out.read_bytes()
    assert cli.main([*arguments, "--batch", "16", "-f", "-q"]) == 0
    assert out.read_bytes() == first  # the same seed, the same model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vae", "--latent-dim", "0"], "--latent-dim: expected 1 to 256, got 0"),
        (["--denoise", "2"], "--denoise: expected 0 to 1, got 2.0"),
        (["--denoise", "0.3", "--noise", "hail"], "--noise: expected some of"),
        (["--map", "--base", "mnist"], "--base: has no meaning with --map"),
    ],
)
def test_training_refuses(options, message, tmp_path, capsys):
    out = str(tmp_path / "own.safetensors")
    assert cli.main(["train", "set.npy", "-o", out, *options]) == exits.EXIT_USAGE
    assert message in capsys.readouterr().err


def test_the_codec_does_not_import_them():
    code = (
        "import sys, aecodec; from aecodec import cli\n"
        "aecodec.encode, aecodec.decode, aecodec.Codec\n"
        "print([n for n in sys.modules if n.startswith('aecodec.uses') or n == 'matplotlib'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ---------------------------------------------------------------- files of strangers


@pytest.mark.parametrize("how", [["--linear"], []])
def test_a_set_of_equal_images_is_one_place(how, tmp_path):
    np.save(tmp_path / "x.npy", np.full((12, 8, 8), 7, np.uint8))
    out = tmp_path / "y.npy"
    assert (
        cli.main(["map", str(tmp_path / "x.npy"), *how, "--steps", "2", "-q", "-o", str(out)]) == 0
    )
    points = np.load(out)
    np.testing.assert_allclose(points, np.broadcast_to(points[0], points.shape), atol=1e-4)


def test_an_archive_is_bounded_before_it_is_read(tmp_path, capsys):
    path, out = str(tmp_path / "x.aez"), str(tmp_path / "y.npy")
    compress(np.zeros((90_000, 28, 28), np.uint8), path, model="none")
    assert cli.main(["map", path, "--linear", "-o", out, "--max-memory", "4M"]) == 4
    assert "70560000 bytes of images in a temporary file, 16 times --max-memory, which allows" in (
        capsys.readouterr().err
    )
    compress(np.zeros((600_000, 2, 1), np.uint8), path, model="none", force=True)
    assert cli.main(["map", path, "--linear", "-o", out]) == 4
    assert "76800000 bytes to map 600000 images, --max-memory allows" in capsys.readouterr().err
    compress(np.zeros((3, 70, 70), np.uint8), path, model="none", force=True)
    for how, what in (
        (["--linear"], "rows of 4900 numbers"),
        (["--steps", "1"], "images of 70x70x1"),
    ):
        assert cli.main(["map", path, *how, "-o", out]) == 4
        assert f"bytes to train on {what}, --max-memory allows" in capsys.readouterr().err


def test_texts_of_labels_are_no_mathematics(tmp_path):
    path = tmp_path / "x.aez"
    labels = ["$\\x$", "$", "a" * 3000, "$\\x$", "\u2028"]
    images = np.eye(40, dtype=np.uint8).reshape(5, 8, 40)
    compress(images, path, labels=labels, model="none")
    for ending in ("png", "html"):
        out = str(tmp_path / f"y.{ending}")
        assert cli.main(["map", str(path), "--linear", "--steps", "2", "-q", "-o", out]) == 0
