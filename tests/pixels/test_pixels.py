"""Images under the pixel model: the bound on every pixel, and what it may cost."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import COLOUR, GRAY, noise_images, pixel_part, smooth_images
from hypothesis import given
from hypothesis import strategies as st
from test_pixel_model import images_of, layer_for

import aecodec
from aecodec import entropy
from aecodec.codec.choosing import goes_by_pixels
from aecodec.codec.codec import Codec
from aecodec.container import MODE_LATENTS_ZSTD, MODE_PIXELS_ANS, MODE_STORED, MODE_ZSTD
from aecodec.container.parts import PIXEL_FAST, PIXEL_SMALL
from aecodec.entropy import ans
from aecodec.errors import AezCorruptError, AezLimitError, ModelMissingError
from aecodec.models.checking import check_mixtures
from aecodec.models.model import Model
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid
from aecodec.pixels import layer
from aecodec.pixels.layer import PixelNetworks
from aecodec.pixels.levels import to_levels, to_symbols
from aecodec.pixels.payloads import PixelPlan, Refiner, decode_payloads
from aecodec.pixels.planes import split
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target


def strange_images() -> dict[str, np.ndarray]:
    """Sets (n, 8, 8, 1) that no model was trained for."""
    board = np.indices((8, 8)).sum(0) % 2 * 255
    points = np.zeros((64, 64), np.uint8)
    points[np.arange(64), np.arange(64)] = 255
    return {
        "noise": noise_images(GRAY, 40),
        "black": np.zeros((20, 8, 8, 1), np.uint8),
        "white": np.full((20, 8, 8, 1), 255, np.uint8),
        "gray": np.arange(256, dtype=np.uint8).repeat(64).reshape(256, 8, 8, 1),
        "points": points.reshape(64, 8, 8, 1),
        "checkerboards": np.stack([board, 255 - board]).astype(np.uint8).reshape(2, 8, 8, 1),
        "smooth": smooth_images(GRAY, 50),
        "inverted": 255 - smooth_images(GRAY, 50),
        "one": smooth_images(GRAY, 1),
    }


# ---------------------------------------------------------------- the bound


@given(st.integers(0, 127), st.integers(0, 255))
def test_levels_stay_in_the_bound(bound, gray):
    x = np.array([gray], np.uint8)
    symbols = to_symbols(x, bound)
    assert abs(int(to_levels(symbols, bound)[0]) - gray) <= bound
    again = to_symbols(to_levels(symbols, bound), bound)
    assert again == symbols or bound > 0


@pytest.mark.parametrize("bound", [0, 1, 8, 32, 127])
@pytest.mark.parametrize("kind", strange_images())
def test_every_pixel_stays_in_the_bound(refined, kind, bound):
    images = strange_images()[kind]
    codec = Codec(refined)
    blob = aecodec.encode(images, codec=codec, max_error=bound)
    with aecodec.open(blob, codec=codec) as archive:
        decoded, info = archive[:], archive.info
    worst = int(np.abs(decoded.astype(int) - images).max())
    assert worst <= bound
    assert worst == info["max_error"]
    assert info["target"] == {"max_error": bound}
    assert len(blob) <= images.nbytes * 1.01 + 1024
    assert aecodec.verify(blob, full=True, model=refined) == len(images)


@pytest.mark.parametrize("bound", [0, 3, 60])
def test_colour_of_odd_sides(refined_colour, bound):
    images = smooth_images(COLOUR, 30)
    codec = Codec(refined_colour)
    chunk = codec.encode_chunk(images, Target(MAX_ERROR, bound))
    decoded = codec.decode_chunk(chunk, images.shape[1:], "it")
    assert np.abs(decoded.astype(int) - images).max() == chunk.max_error <= bound


@pytest.mark.parametrize("bound", [0, 2])
def test_a_set_of_rows(bound):
    part = pixel_part(PlaneGrid(1, 9, 1), PixelConfig(1, 4, 3))
    codec = Codec(Model("rows", (1, 9, 1), {part.name: part}))
    images = np.arange(90, dtype=np.uint8).reshape(10, 1, 9)
    blob = aecodec.encode(images, codec=codec, max_error=bound)
    decoded = aecodec.decode(blob, codec=codec)
    assert np.abs(decoded.astype(int) - images).max() <= bound


@pytest.mark.parametrize("compiled", [True, False], ids=["as installed", "numpy"])
@pytest.mark.parametrize("shape", [(1, 9, 1), (2, 3, 1), (1, 1, 3)])
def test_planes_without_a_pixel(shape, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(entropy, "coder", lambda: ans)
    layer, images = layer_for(shape), images_of(shape, 5)
    plan = PixelPlan(Refiner(layer), images, 1)
    payload = plan.encode(np.arange(5))
    decoded = decode_payloads(Refiner(layer), [payload, payload], [5, 5], 1, shape, ["a", "b"])
    for each in decoded:
        np.testing.assert_array_equal(each, plan.x_hat)


class AnySize:
    """A pixel model for images of any size, which predicts the same of every pixel."""

    underlay, threads, mixtures = None, 1, 1

    def predict(self, k, planes, bound, grid, underlay=None):
        """Raw parameters int32 (N, rows, columns, 3): a wide spread around the middle."""
        rows, columns = grid.plane_shape(k)
        raw = np.empty((len(planes), rows, columns, 3), np.int32)
        raw[...] = 1024, 600, 0
        return raw


@pytest.mark.parametrize("shape", [(8, 8, 1), (13, 10, 3), (1, 9, 1)])
def test_coding_needs_no_more_of_a_pixel_model(shape):
    refiner, images = Refiner(AnySize()), images_of(shape, 6)
    plan = PixelPlan(refiner, images, 2)
    payload = plan.encode(np.arange(6))
    (decoded,) = decode_payloads(refiner, [payload], [6], 2, shape, ["it"])
    np.testing.assert_array_equal(decoded, plan.x_hat)
    assert np.abs(decoded.astype(int) - images).max() <= 2


def test_lossless_is_a_bound_of_nothing(refined):
    images = smooth_images(GRAY, 30)
    codec = Codec(refined)
    exact = aecodec.encode(images, codec=codec, lossless=True)
    assert exact == aecodec.encode(images, codec=codec, max_error=0)
    np.testing.assert_array_equal(aecodec.decode(exact, codec=codec), images)


def test_foreign_images_in_a_set_are_coded_otherwise(refined):
    """Each image is coded by the smaller of two modes, and all of them are in their places."""
    images = np.concatenate([smooth_images(GRAY, 30), np.zeros((30, 8, 8, 1), np.uint8)])
    images = np.concatenate([images, noise_images(GRAY, 30)])
    codec = Codec(refined)
    chunk = codec.encode_chunk(images, Target(MAX_ERROR, 0))
    assert {sub.mode for sub in chunk.sub_payloads} <= {MODE_PIXELS_ANS, MODE_ZSTD, MODE_STORED}
    np.testing.assert_array_equal(codec.decode_chunk(chunk, (8, 8, 1), "it"), images)


def test_without_a_model_the_bound_holds_too():
    images = smooth_images(GRAY, 40)
    small = aecodec.encode(images, model="none", max_error=10)
    assert np.abs(aecodec.decode(small).astype(int) - images).max() <= 10
    assert len(small) < len(aecodec.encode(images, model="none"))


# ---------------------------------------------------------------- a PSNR


@pytest.mark.parametrize("psnr", [15, 25, 33.3, 45, 60])
def test_psnr_is_reached(refined, psnr):
    images = smooth_images(GRAY, 100)
    codec = Codec(refined)
    blob = aecodec.encode(images, codec=codec, psnr=psnr)
    with aecodec.open(blob, codec=codec) as archive:
        info = archive.info
        mse = ((archive[:].astype(float) - images) ** 2).mean()
    assert info["target"] == {"psnr": pytest.approx(psnr, abs=1 / 256)}
    assert mse == 0 or 10 * np.log10(65025 / mse) >= psnr


def test_psnr_by_two_neighbouring_bounds(refined):
    images = smooth_images(GRAY, 200)
    chunk = Codec(refined).encode_chunk(images, Target(PSNR, 38), by_pixels=True)
    bounds = sorted(sub.parameter for sub in chunk.sub_payloads if sub.mode == MODE_PIXELS_ANS)
    assert len(bounds) == 2
    assert bounds[1] == bounds[0] + 1
    psnr = 10 * np.log10(65025 * images.size / chunk.sum_squared_error)
    assert 38 <= psnr < 38.1


def test_low_psnr_goes_by_latents(refined):
    images = smooth_images(GRAY, 300)
    codec = Codec(refined)
    assert not goes_by_pixels(codec, Target(PSNR, 20), images)
    assert goes_by_pixels(codec, Target(PSNR, 60), images)


# ---------------------------------------------------------------- the guard


def test_guard_takes_layer_r_where_it_is_smallest(refined):
    """What latents rebuild badly goes to layer R, within the quality's limit."""
    images = np.concatenate([smooth_images(GRAY, 60), noise_images(GRAY, 20)])
    codec = Codec(refined)
    chunk = codec.encode_chunk(images, Target(QUALITY, 2))
    modes = {sub.mode for sub in chunk.sub_payloads}
    assert MODE_LATENTS_ZSTD in modes
    assert MODE_PIXELS_ANS in modes
    decoded = codec.decode_chunk(chunk, (8, 8, 1), "it")
    errors = ((decoded.astype(float) - images) ** 2).mean(axis=(1, 2, 3))
    assert errors.max() <= codec.networks.mse_limit(512)


# ---------------------------------------------------------------- files


def test_file_names_only_what_it_uses(refined):
    codec = Codec(refined)
    smooth = smooth_images(GRAY, 50)
    parts = {}
    for name, asked in {"q": {"quality": 5}, "e": {"max_error": 2}}.items():
        with aecodec.open(aecodec.encode(smooth, codec=codec, **asked)) as archive:
            parts[name] = list(archive.info["parts"])
    assert parts == {"q": ["latent_decoder"], "e": [PIXEL_FAST]}


def test_many_chunks_decode_as_one_by_one(refined):
    codec = Codec(refined)
    images = np.concatenate([smooth_images(GRAY, 100), noise_images(GRAY, 10)])
    blob = aecodec.encode(images, codec=codec, max_error=2, chunk_images=16)
    with aecodec.open(blob, codec=codec) as archive:
        whole = archive[:]
        np.testing.assert_array_equal(np.concatenate(list(archive.batches())), whole)
        for i in (0, 17, 50, 109):
            np.testing.assert_array_equal(archive[i], whole[i])


def test_both_variants_in_one_model(refined):
    small = replace(refined.parts[PIXEL_FAST], name=PIXEL_SMALL)
    both = replace(refined, parts={**refined.parts, PIXEL_SMALL: small})
    images = smooth_images(GRAY, 40)
    blobs = {
        v: aecodec.encode(images, model=both, lossless=True, variant=v) for v in ("fast", "small")
    }
    assert blobs["fast"] != blobs["small"]
    assert aecodec.encode(images, model=both, lossless=True) == blobs["fast"]
    for variant, blob in blobs.items():
        np.testing.assert_array_equal(aecodec.decode(blob, model=both), images)
        with aecodec.open(blob, codec=Codec(both)) as archive:
            assert list(archive.info["parts"]) == [f"pixel_{variant}"]
            np.testing.assert_array_equal(archive[:], images)


def test_embedded_pixel_model_is_enough(refined, no_models):
    images = smooth_images(GRAY, 30)
    blob = aecodec.encode(images, model=refined, lossless=True, embed_model=True)
    np.testing.assert_array_equal(aecodec.decode(blob), images)


def test_model_without_layer_r(tiny):
    with pytest.raises(ModelMissingError, match="model 'tiny' has no part pixel_fast"):
        aecodec.encode(smooth_images(GRAY, 3), model=tiny, lossless=True)


def test_no_such_variant(refined):
    with pytest.raises(ValueError, match="variant: expected one of fast, small, got 'huge'"):
        aecodec.encode(smooth_images(GRAY, 3), model=refined, lossless=True, variant="huge")


def test_damaged_payloads_end_in_an_error(refined):
    codec = Codec(refined)
    images = smooth_images(GRAY, 12)
    chunk = codec.encode_chunk(images, Target(MAX_ERROR, 1))
    (sub,) = chunk.sub_payloads
    assert sub.mode == MODE_PIXELS_ANS
    for at in range(0, len(sub.data), 7):
        data = bytearray(sub.data)
        data[at] ^= 0x40
        damaged = replace(chunk, sub_payloads=(replace(sub, data=bytes(data)),))
        with pytest.raises(AezCorruptError, match="here: "):
            codec.decode_chunk(damaged, (8, 8, 1), "here")


# ---------------------------------------------------------------- the same bits


def test_same_bytes_without_numba(refined, monkeypatch):
    images = smooth_images(GRAY, 60)
    blob = aecodec.encode(images, model=refined, max_error=1)
    monkeypatch.setattr(entropy, "coder", lambda: ans)
    assert aecodec.encode(images, model=refined, max_error=1) == blob
    decoded = aecodec.decode(blob, model=refined)
    assert np.abs(decoded.astype(int) - images).max() <= 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_payloads_are_what_they_always_were(threads, batch, monkeypatch):
    """Everywhere, for any number of images at once: what is coded depends on every last bit."""
    monkeypatch.setattr("aecodec.pixels.layer.BATCH_IMAGES", batch)
    layer = layer_for((8, 8, 1))
    images = (np.indices((40, 8, 8)).sum(0) * 5 % 251).astype(np.uint8)[..., None]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        digests = []
        for bound in (0, 8, 32):
            plan = PixelPlan(Refiner(layer), images, bound)
            payload = plan.encode(np.arange(40))
            digests.append(hashlib.sha256(payload).hexdigest()[:16])
            decoded = decode_payloads(Refiner(layer), [payload], [40], bound, (8, 8, 1), ["it"])
            np.testing.assert_array_equal(decoded[0], plan.x_hat)
    finally:
        torch.set_num_threads(before)
    assert digests == ["d8f842a6bcb72b01", "b2e3eda4628d9ee7", "0e173794bf6063e9"]


@pytest.mark.gpu
def test_cuda_gives_the_same_parameters():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    part = pixel_part(PlaneGrid(28, 28, 1), PixelConfig(1, 24), seed=3)
    model = Model("it", (28, 28, 1), {part.name: part})
    here, there = PixelNetworks(model, part.name), PixelNetworks(model, part.name, "cuda")
    planes = split(images_of((28, 28, 1), 50))
    for k in range(16):
        np.testing.assert_array_equal(
            here.predict(k, planes, 3, PlaneGrid(28, 28, 1)),
            there.predict(k, planes, 3, PlaneGrid(28, 28, 1)),
        )


# ---------------------------------------------------------------- read-only arrays

READ_ONLY = """
import warnings
import numpy as np
import aecodec

images = np.frombuffer(bytes(28 * 28 * 3), np.uint8).reshape(3, 28, 28)
warnings.simplefilter("error")
for target in ({"max_error": 0}, {"quality": 5}, {"psnr": 30}, {"quality": 3, "coder": "ans"}):
    aecodec.decode(aecodec.encode(images, model="mnist", **target))
"""


def test_arrays_that_cannot_be_written_to_are_nothing_to_warn_of():
    """In a process of its own, for torch warns of them once in each."""
    run = subprocess.run(
        [sys.executable, "-c", READ_ONLY], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("raw_nbytes", [1, 4000, 100_000])
def test_blocks_and_batches_of_any_size_decode_alike(refined, monkeypatch, raw_nbytes):
    """However few predictions are held at once, several payloads decode side by side as alone."""
    images, codec = smooth_images(GRAY, 60), Codec(refined)
    refiner = codec.networks.refiner()
    counts = [31, 1, 28]
    parts = np.split(images, np.cumsum(counts)[:-1])
    plans = [PixelPlan(refiner, part, 2) for part in parts]
    payloads = [plan.encode(np.arange(n)) for plan, n in zip(plans, counts, strict=True)]
    monkeypatch.setattr(ans, "RAW_NBYTES", raw_nbytes)
    monkeypatch.setattr(layer, "BATCH_NUMBERS", raw_nbytes // 4)
    decoded = decode_payloads(refiner, payloads, counts, 2, images.shape[1:], ["a", "b", "c"])
    for found, plan in zip(decoded, plans, strict=True):
        np.testing.assert_array_equal(found, plan.x_hat)


def test_wide_networks_get_fewer_images():
    planes = np.zeros((1000, 4, 14, 14), np.uint8)
    assert layer._batch_images(24, planes) == layer.BATCH_IMAGES
    assert layer._batch_images(4096, planes) == 2
    assert layer._batch_images(1 << 20, planes) == 1


def test_models_of_many_logistics_are_refused():
    with pytest.raises(AezLimitError, match="pixel_fast: mixtures is 257, this reader takes up to"):
        check_mixtures("pixel_fast", 257)
    check_mixtures("pixel_fast", 256)
