"""A pixel model with an underlay: latents and pixels are coded together; the file names both."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec import entropy
from aecodec.archive.array import Archive
from aecodec.cli import main
from aecodec.codec.codec import Codec
from aecodec.container import FLAG_LATENTS, FLAG_UNDERLAY
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST, UNDERLAY
from aecodec.entropy import ans
from aecodec.errors import AezCorruptError, ModelCorruptError, ModelMismatchError, ModelMissingError
from aecodec.integrations.array_chunks import ChunkSettings
from aecodec.models.model import Part
from aecodec.pixels.layer import PixelNetworks
from aecodec.pixels.payloads import PixelPlan, decode_payloads
from aecodec.targets import MAX_ERROR, QUALITY, Target
from aecodec.training.pixels import FEATURES, PixelTrainConfig, train_pixel_model


@pytest.fixture(params=["as installed", "numpy"])
def coder(request, monkeypatch):
    """The entropy coder as installed, or the one in NumPy."""
    if request.param == "numpy":
        monkeypatch.setattr(entropy, "coder", lambda: ans)


@pytest.mark.usefixtures("coder")
@pytest.mark.parametrize("bound", [0, 1, 8, 127])
def test_round_trip(standing, bound):
    codec = Codec(standing)
    images = np.concatenate([smooth_images(GRAY, 60), noise_images(GRAY, 3)])
    blob = aecodec.encode(images, codec=codec, max_error=bound, chunk_images=32)
    decoded = aecodec.decode(blob, codec=codec)
    assert np.abs(decoded.astype(int) - images).max() <= bound
    with Archive(blob, codec=codec) as archive:
        np.testing.assert_array_equal(archive[33], decoded[33])


def test_latents_pay(standing, known):
    """On images that layer L knows, though the latents count."""
    images = smooth_images(GRAY, 500, seed=5)
    sizes = [len(aecodec.encode(images, codec=Codec(m), max_error=8)) for m in (known, standing)]
    assert sizes[1] < 0.97 * sizes[0]


def test_prices_hold(standing):
    images, refiner = smooth_images(GRAY, 50), Codec(standing).networks.refiner()
    plan = PixelPlan(refiner, images, 4)
    payload = plan.encode(np.arange(50))
    assert plan.bits.sum() / 8 == pytest.approx(len(payload), abs=ans.STATES_NBYTES + 8)
    some = np.array([3, 30, 31])
    (decoded,) = decode_payloads(refiner, [plan.encode(some)], [3], 4, (8, 8, 1), ["it"])
    np.testing.assert_array_equal(decoded, plan.x_hat[some])


def test_payloads_side_by_side(standing):
    refiner = Codec(standing).networks.refiner()
    sets = [smooth_images(GRAY, n, seed=n) for n in (5, 1, 19)]
    plans = [PixelPlan(refiner, images, 2) for images in sets]
    payloads = [plan.encode(np.arange(len(plan.x_hat))) for plan in plans]
    decoded = decode_payloads(refiner, payloads, [5, 1, 19], 2, (8, 8, 1), ["a", "b", "c"])
    for plan, images in zip(plans, decoded, strict=True):
        np.testing.assert_array_equal(images, plan.x_hat)


def test_images_whose_latents_cannot_be_coded(standing, monkeypatch):
    """They get latents of zero, and come back as they were."""
    refiner, images = Codec(standing).networks.refiner(), smooth_images(GRAY, 6)
    layer = refiner.underlay._latents
    wild = layer.analyse(images)
    wild[2:4] *= 1e6
    monkeypatch.setattr(layer, "analyse", lambda _: wild)
    plan = PixelPlan(refiner, images, 0)
    monkeypatch.undo()
    payload = plan.encode(np.arange(6))
    (decoded,) = decode_payloads(refiner, [payload], [6], 0, (8, 8, 1), ["it"])
    np.testing.assert_array_equal(decoded, images)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_same_pixels_for_any_batch_and_threads(standing, threads, batch, monkeypatch):
    images, codec = smooth_images(GRAY, 40), Codec(standing)
    blob = aecodec.encode(images, codec=codec, max_error=5)
    expected = hashlib.sha256(aecodec.decode(blob, codec=codec)).digest()
    for module in ("pixels.layer", "latents.layer", "latents.prior"):
        monkeypatch.setattr(f"aecodec.{module}.BATCH_IMAGES", batch)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert hashlib.sha256(aecodec.decode(blob, codec=codec)).digest() == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("target", [{"quality": 4}, {"psnr": 34}, {"target_bytes_per_image": 20}])
def test_other_targets(standing, target):
    images = np.concatenate([smooth_images(GRAY, 80), noise_images(GRAY, 2)])
    blob = aecodec.encode(images, codec=Codec(standing), **target)
    assert aecodec.decode(blob, codec=Codec(standing)).shape == images.shape


# ---------------------------------------------------------------- what the file tells


def test_file_names_all_that_it_needs(standing):
    blob = aecodec.encode(smooth_images(GRAY, 9), model=standing, max_error=0, embed_model=True)
    with Archive(blob) as archive:
        names = [part.name for part in archive.reader.parts]
        flags = archive.reader.header.required_flags
        assert names == [LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST]
        assert flags & FLAG_UNDERLAY
        assert flags & FLAG_LATENTS
        assert archive.reader.header.version_minor == 2
        np.testing.assert_array_equal(archive[:], smooth_images(GRAY, 9))


def test_array_stores_name_them_too(standing):
    settings = ChunkSettings.create(standing, Target(MAX_ERROR, 0))
    assert [name for name, _ in settings.parts] == [LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST]


def test_array_stores_name_no_more(standing):
    """Latents under zstd need no prior, and a model that only decodes is refused at once."""
    lame = replace(standing, parts={k: v for k, v in standing.parts.items() if k != LATENT_PRIOR})
    settings = ChunkSettings.create(lame, Target(QUALITY, 5))
    assert [name for name, _ in settings.parts] == [LATENT_DECODER]
    with pytest.raises(ModelMismatchError, match="has no encoder: it only decodes"):
        ChunkSettings.create(standing.decoding(standing.parts), Target(MAX_ERROR, 0))


def test_a_model_without_its_latents(standing):
    alone = standing.decoding([PIXEL_FAST])
    images = smooth_images(GRAY, 9)
    expected = "has no part latent_decoder, which the underlay of its pixel_fast needs"
    with pytest.raises(ModelMissingError, match=expected):
        aecodec.encode(images, model=alone, max_error=0)
    with pytest.raises((ModelMissingError, ValueError), match=r"latent|as little"):
        aecodec.encode(images, model=alone, target_bytes_per_image=30)


def test_a_model_without_its_prior(standing):
    lame = replace(standing, parts={k: v for k, v in standing.parts.items() if k != LATENT_PRIOR})
    with pytest.raises(ModelMissingError, match="has no part latent_prior"):
        aecodec.encode(smooth_images(GRAY, 9), model=lame, max_error=0)
    assert not Codec(lame).networks.can_refine()
    noise = noise_images(GRAY, 9)  # which the guard sends to zstd then
    np.testing.assert_array_equal(
        aecodec.decode(aecodec.encode(noise, model=lame), model=lame), noise
    )


def test_damage_is_found(standing):
    refiner, images = Codec(standing).networks.refiner(), smooth_images(GRAY, 20)
    payload = bytearray(PixelPlan(refiner, images, 3).encode(np.arange(20)))
    for at in range(0, len(payload), 5):
        damaged = bytes(payload[:at]) + bytes([payload[at] ^ 0x55]) + bytes(payload[at + 1 :])
        with pytest.raises(AezCorruptError, match="it: ANS"):
            decode_payloads(refiner, [damaged], [20], 3, (8, 8, 1), ["it"])


@pytest.mark.parametrize("quality", [0, 255, 2305, 65535])
def test_quality_out_of_range(standing, quality):
    part = standing.parts[PIXEL_FAST]
    tensors = {**part.tensors, UNDERLAY: np.array([quality], np.uint16)}
    model = replace(standing, parts={PIXEL_FAST: Part(PIXEL_FAST, part.config, tensors)})
    with pytest.raises(ModelCorruptError, match=f"underlay is {quality}, expected 256..2304"):
        PixelNetworks(model, PIXEL_FAST)


# ---------------------------------------------------------------- training


def test_training_needs_latents(refined):
    images = smooth_images(GRAY, 50)
    config = PixelTrainConfig(steps=1, batch_images=4)
    with pytest.raises(ValueError, match="underlay: latents need layers l and p"):
        train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=refined, underlay=512)


def test_training_goes_on_with_the_underlay(standing, monkeypatch):
    monkeypatch.setitem(FEATURES, PIXEL_FAST, 8)
    config = PixelTrainConfig(steps=2, batch_images=8)
    images = smooth_images(GRAY, 60)
    part, about = train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=standing)
    assert part.tensors[UNDERLAY].tolist() == [768]
    assert set(about["validation_bpp"]) >= {"0", "8"}


def test_another_quality_than_the_base_has(standing):
    images, config = smooth_images(GRAY, 60), PixelTrainConfig(steps=1, batch_images=8)
    with pytest.raises(
        ValueError, match="underlay of quality 3 already, expected that or none, got 4"
    ):
        train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=standing, underlay=1024)


def test_command_trains_all_layers(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(FEATURES, PIXEL_FAST, 4)
    np.save(tmp_path / "images.npy", smooth_images(GRAY, 80)[..., 0])
    output = tmp_path / "model.safetensors"
    options = ["--layers", "l,p,r", "--steps", "2", "--batch", "18", "--underlay", "2.5", "-q"]
    assert main(["train", str(tmp_path / "images.npy"), "-o", str(output), *options]) == 0
    model = aecodec.load_model(output)
    assert model.parts[PIXEL_FAST].tensors[UNDERLAY].tolist() == [640]
    images = smooth_images(GRAY, 20)
    blob = aecodec.encode(images, model=model, lossless=True)
    np.testing.assert_array_equal(aecodec.decode(blob, model=model), images)
    capsys.readouterr()
    train = ["train", str(tmp_path / "images.npy"), "-o", str(tmp_path / "other"), "--steps", "2"]
    for wrong, told in (
        (["--layers", "l,p,r", "--underlay", "0"], "expected a quality of 1 to 9, got 0"),
        (["--layers", "l,r", "--underlay", "2"], "layers l and p, .*: p is missing"),
        (["--layers", "d", "--underlay", "2"], "of layer r, expected in --layers, got 'd'"),
    ):
        assert main([*train, *wrong]) == 2
        assert re.search(f"--underlay: .*{told}", capsys.readouterr().err)
    assert not (tmp_path / "other").exists()
    moved = ["--layers", "l", "--base", str(output), "--batch", "18"]
    assert main([*train, *moved]) == 0
    told = "trained for latents that layer l had before: latent_prior, pixel_fast"
    assert told in capsys.readouterr().err
