"""The dequantizer: the bits of its network, how far it moves pixels, and files that use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import COLOUR, GRAY, noise_images, smooth_images
from second_decoder import dequantize

import aecodec
from aecodec.codec.codec import Codec
from aecodec.container import MODE_PIXELS_ANS, MODE_PIXELS_DEQUANTIZED
from aecodec.container.parts import DEQUANTIZER, PIXEL_FAST
from aecodec.errors import ModelCorruptError, ModelMismatchError, ModelMissingError
from aecodec.models.model import Model, Part
from aecodec.nets.dequantizer import DequantizerConfig, ExactDequantizer, tensor_shapes
from aecodec.nets.planes import PlaneGrid, split_planes
from aecodec.pixels.layer import Dequantizer
from aecodec.pixels.payloads import PixelPlan, decode_payloads
from aecodec.targets import MAX_ERROR, PSNR, Target
from aecodec.training.pixels import PixelTrainConfig, train_dequantizer
from aecodec.twins.dequantizer import DequantizerTwin
from aecodec.twins.starting import seeded

SHAPES = [(8, 8, 1), (9, 10, 3), (1, 13, 1)]


def random_part(shape: tuple[int, int, int], seed: int = 0, features: int = 5) -> Part:
    """A dequantizer from a bit generator alone: moves of all sizes, up and down."""
    rng = np.random.default_rng(seed)
    grid, c = PlaneGrid(*shape), DequantizerConfig(shape[2], features)
    tensors = {}
    for name, (size, dtype) in tensor_shapes(c, grid).items():
        if name.endswith(".shift"):
            tensors[name] = np.full(size, 5 if name.startswith("out") else 7, dtype)
        elif name.endswith(".bias"):
            tensors[name] = rng.integers(-4000, 8000, size).astype(dtype)
        else:
            tensors[name] = rng.integers(-60, 61, size).astype(dtype)
    return Part(DEQUANTIZER, c.decoding(grid), tensors)


def model_of(part: Part) -> Model:
    """A model of this part alone."""
    c = part.config
    return Model("moving", (c["height"], c["width"], c["channels"]), {part.name: part})


def planes_of(shape: tuple[int, int, int], count: int) -> np.ndarray:
    """The planes of ``count`` images of noise."""
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.integers(0, 256, (count, *shape)).astype(np.uint8))
    return split_planes(images, PlaneGrid(*shape)).numpy()


@pytest.fixture(scope="module")
def moving(refined: Model) -> Model:
    """The refined model with a dequantizer beside it, trained for a moment."""
    config = PixelTrainConfig(steps=500, batch_images=48, warmup=10, average=0.95)
    with torch.random.fork_rng():
        images = smooth_images(GRAY, 2000, seed=78)
        part, about = train_dequantizer(images, config, provenance={}, features=16)
    assert about["validation_gain_db"]["32"] > 0
    return replace(refined, name="moving", parts={**refined.parts, part.name: part})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", [1, 5, 40, 127])
def test_network_agrees_with_numpy(shape, bound):
    part = random_part(shape, seed=bound)
    planes = planes_of(shape, 3)
    moved = Dequantizer(model_of(part)).move(planes, bound)
    np.testing.assert_array_equal(moved, dequantize(part.tensors, planes, bound))
    assert 0 < np.abs(moved.astype(int) - planes).max() <= bound


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 10, 3)])
def test_twin_is_the_stored_network(shape):
    torch.manual_seed(0)
    c = DequantizerConfig(shape[2], 6)
    with seeded(0):
        twin = DequantizerTwin(c, PlaneGrid(*shape)).eval()
    with torch.no_grad():
        for values in twin.added.values():
            values.normal_(0, 0.2)
    planes = torch.from_numpy(planes_of(shape, 5))
    with torch.no_grad():
        moves = twin(planes.float() / 64, torch.full((5,), 40))
    real = (planes + 40 * moves).clamp(0, 255)
    exact = ExactDequantizer(c, twin.arrays())(planes, 40)
    assert (real - exact).abs().max() <= 2


@pytest.mark.usefixtures("two_threads")
def test_batches_and_threads_change_nothing():
    part = random_part((8, 8, 1))
    dequantizer, planes = Dequantizer(model_of(part)), planes_of((8, 8, 1), 300)
    whole = dequantizer.move(planes, 20)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(dequantizer.move(planes, 20), whole)
    alone = np.concatenate([dequantizer.move(planes[[i]], 20) for i in range(len(planes))])
    np.testing.assert_array_equal(alone, whole)


@pytest.mark.parametrize(
    ("tensor", "value", "match"),
    [
        ("mix.bias", 1 << 24, "layer mix: sums can reach"),
        ("out.shift", 32, "layer out: shift up to 32"),
    ],
)
def test_unprovable_part_is_refused(tensor, value, match):
    part = random_part((8, 8, 1))
    tensors = {name: array.copy() for name, array in part.tensors.items()}
    tensors[tensor][1] = value
    with pytest.raises(ModelCorruptError, match=match):
        Dequantizer(model_of(replace(part, tensors=tensors)))


@pytest.mark.usefixtures("by_pixels")
def test_fewer_bytes_for_the_same_psnr(refined, moving):
    images = smooth_images(GRAY, 500)
    for psnr in (26, 32):
        blobs = [
            aecodec.encode(images, psnr=psnr, codec=Codec(model)) for model in (refined, moving)
        ]
        for blob in blobs:
            with aecodec.open(blob, codec=Codec(moving)) as archive:
                mse = ((archive[:].astype(float) - images) ** 2).mean()
            assert 10 * np.log10(65025 / mse) >= psnr
        assert len(blobs[1]) < len(blobs[0])


@pytest.fixture
def by_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer R reaches every PSNR."""
    monkeypatch.setattr("aecodec.codec.choosing.goes_by_pixels", lambda *_: True)


@pytest.mark.parametrize("psnr", [24, 30, 38])
def test_psnr_is_met_closely(moving, psnr):
    images = smooth_images(GRAY, 400)
    chunk = Codec(moving).encode_chunk(images, Target(PSNR, psnr), by_pixels=True)
    assert psnr <= 10 * np.log10(65025 * images.size / chunk.sum_squared_error) < psnr + 0.1


def test_weighing_saves_bits_at_the_same_psnr(moving):
    """A finer step, weighed, has fewer bits and less error than a coarser one to the nearest."""
    images = smooth_images(GRAY, 400)
    codec = Codec(moving)
    refiner, dequantizer = codec.networks.refiner(), codec.networks.dequantizer()
    nearest = PixelPlan(refiner, images, 24, dequantizer)
    weighed = PixelPlan(refiner, images, 20, dequantizer, rate_weight=0.09)
    errors = [((plan.x_hat.astype(float) - images) ** 2).sum() for plan in (nearest, weighed)]
    assert errors[1] < errors[0]
    assert weighed.bits.sum() < nearest.bits.sum()
    everyone = np.arange(len(images))
    payload, shape = weighed.encode(everyone), (8, 8, 1)
    decoded = decode_payloads(refiner, [payload], [400], 20, shape, ["it"], dequantizer)
    np.testing.assert_array_equal(decoded[0], weighed.x_hat)


def test_high_psnr_is_lossless(moving):
    images = smooth_images(GRAY, 30)
    chunk = Codec(moving).encode_chunk(images, Target(PSNR, 100), by_pixels=True)
    assert chunk.max_error == 0


@pytest.mark.usefixtures("by_pixels")
def test_file_names_the_dequantizer_only_where_it_is_used(moving):
    codec, images = Codec(moving), smooth_images(GRAY, 60)
    parts = {}
    for name, asked in {"psnr": {"psnr": 30}, "bound": {"max_error": 20}}.items():
        with aecodec.open(aecodec.encode(images, codec=codec, **asked)) as archive:
            parts[name] = list(archive.info["parts"])
    assert parts == {"psnr": [DEQUANTIZER, PIXEL_FAST], "bound": [PIXEL_FAST]}


def test_a_bound_is_kept_without_it(moving):
    images = smooth_images(GRAY, 50)
    chunk = Codec(moving).encode_chunk(images, Target(MAX_ERROR, 20))
    assert {sub.mode for sub in chunk.sub_payloads} == {MODE_PIXELS_ANS}
    assert chunk.max_error <= 20


def test_chunk_tells_the_error_after_the_move(moving):
    images = smooth_images(GRAY, 50)
    codec = Codec(moving)
    chunk = codec.encode_chunk(images, Target(PSNR, 30), by_pixels=True)
    assert {sub.mode for sub in chunk.sub_payloads} == {MODE_PIXELS_DEQUANTIZED}
    decoded = codec.decode_chunk(chunk, (8, 8, 1), "it").astype(int)
    assert chunk.max_error == np.abs(decoded - images).max()
    assert chunk.sum_squared_error == ((decoded - images) ** 2).sum()


def test_images_that_zstd_packs_better_keep_the_psnr(moving):
    codec = Codec(moving)
    for noisy in (5, 30, 100):
        images = np.concatenate([smooth_images(GRAY, 60), noise_images(GRAY, noisy)])
        for psnr in (20, 27, 35, 45):
            chunk = codec.encode_chunk(images, Target(PSNR, psnr), by_pixels=True)
            decoded = codec.decode_chunk(chunk, (8, 8, 1), "it").astype(float)
            assert 10 * np.log10(65025 / ((decoded - images) ** 2).mean()) >= psnr


@pytest.mark.usefixtures("by_pixels")
def test_model_without_the_dequantizer_cannot_decode(moving, refined):
    images = smooth_images(GRAY, 100)
    blob = aecodec.encode(images, psnr=30, codec=Codec(moving))
    with pytest.raises(ModelMismatchError, match=r"part dequantizer of model .moving. has"):
        aecodec.decode(blob, model=refined)
    chunk = Codec(moving).encode_chunk(images, Target(PSNR, 30), by_pixels=True)
    with pytest.raises(ModelMissingError, match="no part dequantizer"):
        Codec(refined).decode_chunk(chunk, (8, 8, 1), "it")


@pytest.mark.usefixtures("by_pixels")
def test_embedded_parts_are_enough(moving, no_models):
    images = smooth_images(GRAY, 30)
    blob = aecodec.encode(images, psnr=30, codec=Codec(moving), embed_model=True)
    np.testing.assert_array_equal(aecodec.decode(blob), aecodec.decode(blob, model=moving))


def test_colour():
    shape = (COLOUR.height, COLOUR.width, COLOUR.channels)
    part, planes = random_part(shape, seed=2), planes_of(shape, 2)
    moved = Dequantizer(model_of(part)).move(planes, 9)
    np.testing.assert_array_equal(moved, dequantize(part.tensors, planes, 9))
