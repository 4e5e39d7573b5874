"""Layer R: exact networks, the bound on every pixel, and what it may cost."""

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
from second_decoder import predict_plane

import aecodec
from aecodec import entropy
from aecodec.codec.choosing import goes_by_pixels
from aecodec.codec.codec import Codec
from aecodec.container import MODE_LATENTS_ZSTD, MODE_PIXELS_ANS, MODE_STORED, MODE_ZSTD
from aecodec.container.parts import PIXEL_FAST, PIXEL_SMALL
from aecodec.entropy import ans
from aecodec.errors import AezCorruptError, ModelCorruptError, ModelMissingError
from aecodec.models.model import Model
from aecodec.nets.pixel_model import ExactPixelModel, PixelConfig, unstack_layers
from aecodec.nets.planes import PHASES, PlaneGrid, bound_code
from aecodec.pixels.layer import PixelNetworks
from aecodec.pixels.levels import bound_for, to_levels, to_symbols
from aecodec.pixels.payloads import PixelPlan, Refiner, decode_payloads
from aecodec.pixels.planes import join, split
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target
from aecodec.training.pixels import FEATURES, PixelTrainConfig, train_pixel_model
from aecodec.twins.pixel_model import PixelTwin, equalized, stack_layers, with_tones, with_underlay

SHAPES = {"gray": (8, 8, 1), "colour": (13, 10, 3), "row": (1, 9, 1), "digit": (28, 28, 1)}


KINDS = {
    "plain": (False, False),
    "toned": (True, False),
    "under": (False, True),
    "both": (True, True),
}
of_every_kind = pytest.mark.parametrize(("toned", "underlaid"), KINDS.values(), ids=KINDS)

EIGHT = PlaneGrid(8, 8, 1)


def layer_for(
    shape: tuple[int, int, int],
    features: int = 4,
    mixtures: int = 3,
    *,
    toned: bool = False,
    underlaid: bool = False,
) -> PixelNetworks:
    part = pixel_part(
        PlaneGrid(*shape), PixelConfig(shape[2], features, mixtures, toned, underlaid), seed=3
    )
    return PixelNetworks(Model("it", shape, {part.name: part}), part.name)


def images_of(shape: tuple[int, int, int], count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


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


# ---------------------------------------------------------------- the network


@of_every_kind
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_network_agrees_with_numpy(shape, toned, underlaid):
    layer, grid = layer_for(shape, toned=toned, underlaid=underlaid), PlaneGrid(*shape)
    part = pixel_part(grid, layer.config, seed=3)
    planes = split(images_of(shape, 3))
    under = split(images_of(shape, 3, seed=1)) if underlaid else None
    for k in range(grid.planes):
        rows, columns = grid.plane_shape(k)
        for bound in (0, 1, 5, 40, 127):
            expected = predict_plane(part.tensors, k, planes, bound, under)[:, :rows, :columns]
            np.testing.assert_array_equal(layer.predict(k, planes, bound, grid, under), expected)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_planes_are_the_image(shape):
    images, grid = images_of(shape, 4), PlaneGrid(*shape)
    np.testing.assert_array_equal(join(split(images), grid), images)
    assert sum(np.prod(grid.plane_shape(k)) for k in range(grid.planes)) == np.prod(shape)


def test_phases_cover_the_cell():
    assert sorted(PHASES) == list(range(16))


def test_plane_sees_only_the_planes_before_it():
    layer = layer_for((8, 8, 1))
    planes = split(images_of((8, 8, 1), 2))
    other = planes.copy()
    other[:, 5:] ^= 0xFF
    np.testing.assert_array_equal(
        layer.predict(5, planes, 2, EIGHT), layer.predict(5, other, 2, EIGHT)
    )
    assert (layer.predict(6, planes, 2, EIGHT) != layer.predict(6, other, 2, EIGHT)).any()


def test_plane_sees_the_underlay_where_nothing_is_known():
    layer = layer_for((8, 8, 1), underlaid=True)
    planes, under = (split(images_of((8, 8, 1), 2, seed=n)) for n in (0, 1))
    for k, changed, sees in ((5, slice(0, 5), False), (5, slice(5, 6), True), (0, slice(15), True)):
        other = under.copy()
        other[:, changed] ^= 0xFF
        same = layer.predict(k, planes, 2, EIGHT, under) == layer.predict(
            k, planes, 2, EIGHT, other
        )
        assert same.all() != sees


def test_bound_code():
    code = bound_code()
    assert (code.sum(axis=1) == 64).all()
    assert code[0].tolist() == [64, 0, 0, 0, 0, 0, 0, 0, 0]
    assert code[3].tolist() == [0, 0, 32, 32, 0, 0, 0, 0, 0]
    assert code[127].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 64]
    assert code[80].tolist() == [0, 0, 0, 0, 0, 0, 0, 48, 16]


@of_every_kind
def test_stacked_layers_come_apart_again(toned, underlaid):
    grid, c = PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3, toned, underlaid)
    tensors = pixel_part(grid, c).tensors
    again = stack_layers(c, unstack_layers(c, tensors))
    assert set(again) < set(tensors)
    for name, tensor in again.items():
        np.testing.assert_array_equal(tensor, tensors[name])


@of_every_kind
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 10, 3)])
def test_twin_is_the_stored_network(shape, toned, underlaid):
    torch.manual_seed(0)
    grid, c = PlaneGrid(*shape), PixelConfig(shape[2], 6, toned=toned, underlaid=underlaid)
    twin = PixelTwin(c, grid).eval()
    with torch.no_grad():
        twin.see_codes.normal_(0, 0.2)
        twin.out_codes.normal_(0, 0.5)
        if toned:
            twin.start_tones(np.arange(256, dtype=np.uint8) * 7)
    net = ExactPixelModel(c, twin.arrays())
    planes, under = (torch.from_numpy(split(images_of(shape, 5, seed=n))) for n in (0, 1))
    floats = (under.float() / 64,) if underlaid else ()
    integers = (under,) if underlaid else ()
    for k in range(c.planes):
        with torch.no_grad():
            real = twin.predict(k, planes.float() / 64, torch.full((5,), 9), *floats)
        assert (real - net(k, planes, 9, *integers)).abs().max() <= 8  # eighths of a gray level


@of_every_kind
def test_stored_network_is_taken_over(toned, underlaid):
    grid, c = PlaneGrid(9, 10, 3), PixelConfig(3, 4, 2, toned, underlaid)
    tensors = pixel_part(grid, c).tensors
    twin = PixelTwin(c, grid)
    twin.load(tensors)
    planes = torch.from_numpy(split(images_of((9, 10, 3), 3)))
    under = (planes.flip(0),) if underlaid else ()
    again, stored = ExactPixelModel(c, twin.arrays()), ExactPixelModel(c, tensors)
    for k in (0, 7, 47):
        assert (again(k, planes, 5, *under) - stored(k, planes, 5, *under)).abs().max() <= 2


@pytest.mark.parametrize("order", ["t", "u", "tu", "ut"])
def test_tones_and_underlay_change_nothing_until_they_are_trained(order):
    grid, c = PlaneGrid(9, 10, 3), PixelConfig(3, 4, 2)
    tensors, images = pixel_part(grid, c).tensors, images_of((9, 10, 3), 3)
    plain = ExactPixelModel(c, tensors)
    for each in order:
        if each == "t":
            tensors, c = with_tones(c, tensors, images), replace(c, toned=True)
        else:
            tensors, c = with_underlay(c, tensors), replace(c, underlaid=True)
    planes = torch.from_numpy(split(images))
    other = ExactPixelModel(c, tensors)
    under = (planes.flip(0),) if c.underlaid else ()
    for k in (0, 1, 47):
        assert torch.equal(plain(k, planes, 5), other(k, planes, 5, *under))


def test_equalized_tones():
    levels = np.repeat([0, 100, 101, 102, 255], [1000, 20, 20, 20, 20]).astype(np.uint8)
    tones = equalized(levels)
    assert tones[[0, 100, 101, 102, 255]].tolist() == [0, 64, 128, 191, 255]
    assert (np.diff(tones.astype(int)) >= 0).all()
    assert equalized(np.zeros(9, np.uint8)).max() == 0


def test_tones_are_announced_and_older_files_stay_as_they_were():
    images = smooth_images(GRAY, 20)
    versions = {}
    for toned in (False, True):
        part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3, toned), name="pixel_fast")
        model = Model("it", (8, 8, 1), {part.name: part})
        blob = aecodec.encode(images, model=model, max_error=3, embed_model=True, chunk_images=4)
        with aecodec.open(blob) as archive:
            versions[archive.info["version"]] = archive.reader.header.required_flags
            assert int(np.abs(archive[:].astype(int) - images).max()) <= 3
    assert versions == {"1.1": 14, "1.2": 46}


def test_training_adds_tones_to_a_model_without():
    images = smooth_images(GRAY, 200)
    config = PixelTrainConfig(steps=3, batch_images=16, shift=0.5)
    plain = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, FEATURES[PIXEL_FAST], 5))
    base = Model("base", (8, 8, 1), {plain.name: plain})
    part, _ = train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=base, tones=True)
    assert part.tensors["tones"].shape == (256,)
    base = Model("toned", (8, 8, 1), {part.name: part})
    again, _ = train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=base)
    assert "tones" in again.tensors  # which once learned are kept


@pytest.mark.parametrize(
    ("tensor", "value", "match"),
    [
        ("mix.bias", 1 << 24, "layer mix 2: sums can reach"),
        ("see.shift", 32, "layer see 3: shift up to 32"),
        ("out.shift", 32, "layer out 2: shift up to 32"),
    ],
)
def test_unprovable_model_is_refused(tensor, value, match):
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    tensors = {name: array.copy() for name, array in part.tensors.items()}
    tensors[tensor][2] = value
    model = Model("bad", (8, 8, 1), {part.name: replace(part, tensors=tensors)})
    with pytest.raises(ModelCorruptError, match=match):
        PixelNetworks(model, part.name)


@pytest.mark.parametrize("field", ["features", "mixtures"])
def test_width_of_nothing_is_refused(field):
    sizes = {"features": 4, "mixtures": 3, field: 0}
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    part = replace(part, config={**part.config, **sizes})
    with pytest.raises(ModelCorruptError, match=rf"pixel_fast: {field} is 0, not 1\.\.4096"):
        PixelNetworks(Model("bad", (8, 8, 1), {part.name: part}), part.name)


@pytest.mark.parametrize(("name", "change"), [("places", None), ("see.weight", np.int16)])
def test_part_with_other_tensors_is_refused(name, change):
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    tensors = dict(part.tensors)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = tensors[name].astype(change)
    model = Model("bad", (8, 8, 1), {part.name: replace(part, tensors=tensors)})
    with pytest.raises(ModelCorruptError, match=rf"pixel_fast: tensor {name} is "):
        PixelNetworks(model, part.name)


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


def test_lossless_is_a_bound_of_nothing(refined):
    images = smooth_images(GRAY, 30)
    codec = Codec(refined)
    exact = aecodec.encode(images, codec=codec, lossless=True)
    assert exact == aecodec.encode(images, codec=codec, max_error=0)
    np.testing.assert_array_equal(aecodec.decode(exact, codec=codec), images)


def test_foreign_images_in_a_set_go_another_way(refined):
    """Each image in the smaller of its two ways, and all of them in their places."""
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


@given(st.floats(0, 30000))
def test_bound_for_an_error(mse):
    bound = bound_for(mse)
    assert 0 <= bound <= 127
    assert bound * (bound + 1) / 3 <= mse + 1e-6


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
