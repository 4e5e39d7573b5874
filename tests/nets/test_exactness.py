"""Exactness: one meaning of symbols, whatever batch, thread count, path or setting."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    COLOUR,
    GRAY,
    build_model,
    layer_tensors,
    noise_images,
    random_gains,
    random_layers,
    random_symbols,
)
from second_decoder import decode_latents

import aecodec
from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER
from aecodec.errors import ModelCorruptError
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.quantizer import gains_at, interpolate
from aecodec.models.file import pack_model, unpack_model
from aecodec.models.finding import load_model, model_paths
from aecodec.models.model import Model, Part
from aecodec.nets.latent_decoder import LATENT_BITS, LOW, AutoencoderConfig, ExactDecoder
from aecodec.nets.layers import LayerArrays, prove_layer
from aecodec.training.growing import can_grow, grow
from aecodec.twins.autoencoder import Autoencoder, DecoderTwin, pad_images
from aecodec.twins.layers import TwinLayer
from aecodec.twins.starting import seeded

SHAPES = [
    GRAY,
    COLOUR,
    AutoencoderConfig(5, 9, 2, latents=7, hidden=12, coarse=4, fine=4, coarse_blocks=2),
    AutoencoderConfig(4, 30, 1, latents=3, hidden=8, coarse=8, fine=4, fine_blocks=0),
    AutoencoderConfig(28, 28, 1, latents=40, hidden=64, coarse=16, fine=8, fine_blocks=2),
]
COLOUR_SHA256 = "0e22f8cd0c69c4fc9404d8db6801f0ce5d7233b756a3a15ce4ca2937861dfd7f"
COUNT = 1000
NOT_TRUNK = ("gain", "linear.", "dense1.", "dense2.")  # how names of other tensors begin


def shape_id(c: AutoencoderConfig) -> str:
    """The shape of images, as the name of a case."""
    return f"{c.height}x{c.width}x{c.channels}"


def decode(
    decoder: ExactDecoder, symbols: np.ndarray, gains: np.ndarray, *, low: bool = False
) -> np.ndarray:
    """Images of symbols (N, D) and gains (D,) or (N, D)."""
    gain = torch.from_numpy(gains.astype(np.int32))
    return decoder(torch.from_numpy(symbols), gain, low=low).numpy()


def pixels_sha256(decoder: ExactDecoder, batch: int = COUNT) -> str:
    """Of the thousand colour images that COLOUR_SHA256 pins, decoded ``batch`` at a time."""
    symbols = random_symbols(COUNT, COLOUR.latents, seed=7)
    gains = random_gains(COLOUR.latents, seed=7)[4]
    digest = hashlib.sha256()
    for start in range(0, COUNT, batch):
        digest.update(decode(decoder, symbols[start : start + batch], gains).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def decoder() -> ExactDecoder:
    """The decoder whose images COLOUR_SHA256 pins."""
    return ExactDecoder(COLOUR, random_layers(COLOUR, seed=7))


# ---------------------------------------------------------------- torch and NumPy agree


@pytest.mark.parametrize("c", SHAPES, ids=shape_id)
@pytest.mark.parametrize("quality", [0, 4, 8])
def test_torch_equals_numpy(c, quality):
    layers = random_layers(c, seed=quality)
    symbols = random_symbols(64, c.latents, seed=quality)
    gains = random_gains(c.latents, seed=quality)[quality]
    want = decode_latents(c.decoding(), layer_tensors(layers), symbols, gains)
    got = decode(ExactDecoder(c, layers), symbols, gains)
    assert got.shape == (64, c.height, c.width, c.channels)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, want)
    # weights that saturate every pixel would agree by accident
    assert len(np.unique(want)) > 100


@pytest.mark.parametrize("c", SHAPES, ids=shape_id)
def test_low_trunk(c):
    """Torch and NumPy agree on both trunks, which differ, and alike trunks make the same images."""
    both = replace(c, low_below=1024)
    layers = random_layers(both, seed=4)
    symbols, gains = random_symbols(64, c.latents, 4), random_gains(c.latents, 4)[4]
    exact, found = ExactDecoder(both, layers), {}
    for trunk in both.trunks:
        tensors = layer_tensors(layers)
        want = decode_latents(c.decoding(), tensors, symbols, gains, trunk)
        found[trunk] = decode(exact, symbols, gains, low=trunk == LOW)
        np.testing.assert_array_equal(found[trunk], want)
    assert (found[""] != found[LOW]).any()
    alone = {name: layer for name, layer in layers.items() if not name.startswith(LOW)}
    grown = ExactDecoder(both, grow(alone, c, both))
    np.testing.assert_array_equal(decode(grown, symbols, gains, low=True), found[""])


def test_quality_names_the_trunk(tiny):
    part = tiny.parts[LATENT_DECODER]
    c = replace(GRAY, low_below=700)
    tensors = {"gain": part.tensors["gain"], "low_below": np.array([700], np.uint16)}
    tensors |= layer_tensors(random_layers(c, seed=2))
    model = replace(tiny, parts={LATENT_DECODER: Part(LATENT_DECODER, part.config, tensors)})
    layer, symbols = LatentNetworks(model), random_symbols(9, GRAY.latents, 2)
    for stored_quality, trunk in ((256, LOW), (699, LOW), (700, ""), (2304, "")):
        gains = gains_at(layer.gains, stored_quality)
        want = decode_latents(part.config, tensors, symbols, gains, trunk)
        np.testing.assert_array_equal(layer.synthesize(symbols, stored_quality), want)


@pytest.mark.parametrize("value", [0, 256, 2305])
def test_low_trunk_out_of_range(tiny, value):
    part = tiny.parts[LATENT_DECODER]
    low = {f"{LOW}{k}": t for k, t in part.tensors.items() if not k.startswith(NOT_TRUNK)}
    tensors = {**part.tensors, **low, "low_below": np.array([value], np.uint16)}
    model = replace(tiny, parts={LATENT_DECODER: Part(LATENT_DECODER, part.config, tensors)})
    with pytest.raises(ModelCorruptError, match=f"low_below is {value}, expected 257..2304"):
        LatentNetworks(model)


def test_fewer_hidden_units():
    """Those that weigh nothing can go: the images stay as they are."""
    layers = random_layers(GRAY, seed=6)
    weight = layers["dense2"].weight.copy()
    weight[:, [2, 9, 15]] = 0
    layers["dense2"] = replace(layers["dense2"], weight=weight)
    narrow = replace(GRAY, hidden=13)
    symbols, gains = random_symbols(20, GRAY.latents, 6), random_gains(GRAY.latents, 6)[3]
    whole = decode(ExactDecoder(GRAY, layers), symbols, gains)
    grown = ExactDecoder(narrow, grow(layers, GRAY, narrow))
    np.testing.assert_array_equal(decode(grown, symbols, gains), whole)
    assert can_grow(GRAY, narrow)
    assert not can_grow(narrow, GRAY)
    assert not can_grow(GRAY, replace(narrow, fine=9))


def test_gains_may_differ_by_image():
    layers = random_layers(GRAY, seed=3)
    symbols, gains = random_symbols(9, GRAY.latents, 3), random_gains(GRAY.latents, 3)
    together = decode(ExactDecoder(GRAY, layers), symbols, gains)
    for quality in range(9):
        alone = decode(ExactDecoder(GRAY, layers), symbols[[quality]], gains[quality])
        np.testing.assert_array_equal(together[[quality]], alone)


@pytest.mark.parametrize("path", list(model_paths()), ids=lambda path: path.stem)
def test_bundled_model_decodes_alike(path):
    model = load_model(path)
    layer = LatentNetworks(model)
    part = model.parts[LATENT_DECODER]
    rng = np.random.default_rng(0)
    symbols = rng.integers(-60, 61, (64, layer.config.latents)).astype(np.int16)
    for stored_quality in (256, 5 * 256, 5 * 256 + 77, 9 * 256):
        gains = gains_at(layer.gains, stored_quality)
        trunk = LOW if layer.config.is_low(stored_quality) else ""
        want = decode_latents(part.config, part.tensors, symbols, gains, trunk)
        np.testing.assert_array_equal(layer.synthesize(symbols, stored_quality), want)


# ---------------------------------------------------------------- one hash, everywhere


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_hash_does_not_depend_on_the_batch(decoder, batch):
    assert pixels_sha256(decoder, batch) == COLOUR_SHA256


@pytest.mark.usefixtures("one_thread")
def test_hash_with_one_thread(decoder):
    assert pixels_sha256(decoder) == COLOUR_SHA256


@pytest.mark.usefixtures("two_threads")
def test_hash_with_two_threads(decoder):
    assert torch.get_num_threads() == 2
    assert pixels_sha256(decoder) == COLOUR_SHA256


def test_hash_of_the_second_decoder():
    tensors = layer_tensors(random_layers(COLOUR, seed=7))
    symbols = random_symbols(COUNT, COLOUR.latents, seed=7)
    gains = random_gains(COLOUR.latents, seed=7)[4]
    pixels = decode_latents(COLOUR.decoding(), tensors, symbols, gains)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == COLOUR_SHA256


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_hash_on_cuda(batch):
    layers = random_layers(COLOUR, seed=7)
    decoder = ExactDecoder(COLOUR, layers).cuda()
    symbols = torch.from_numpy(random_symbols(COUNT, COLOUR.latents, seed=7)).cuda()
    gains = torch.from_numpy(random_gains(COLOUR.latents, seed=7)[4].astype(np.int32)).cuda()
    digest = hashlib.sha256()
    for start in range(0, COUNT, batch):
        digest.update(decoder(symbols[start : start + batch], gains).cpu().numpy().tobytes())
    assert digest.hexdigest() == COLOUR_SHA256


# ---------------------------------------------------------------- training twins


@pytest.mark.parametrize("low", [0, 20, 48])
@pytest.mark.parametrize("c", SHAPES[:3], ids=shape_id)
def test_twin_equals_the_exact_decoder(c, low):
    torch.manual_seed(5)
    c = replace(c, low_below=768)
    with seeded(5):
        twin = DecoderTwin(c)
    with torch.no_grad():
        twin.layers["linear"].weight.normal_(std=0.3)
        twin.layers["linear"].bias.fill_(0.5)
    # float64 holds the wide layers' sums; float32 is training's approximation of this
    twin = twin.double().eval()
    symbols = random_symbols(50, c.latents, seed=5)[1:-1]
    gains = random_gains(c.latents, seed=5)[6]
    y_hat = torch.from_numpy(symbols.astype(np.float64) * gains) / (1 << LATENT_BITS)
    with torch.no_grad():
        x_hat = torch.floor(twin(y_hat, low) * 256 + 0.5).clamp(0, 255)
    x_hat = x_hat[:, :, : c.height, : c.width]
    exact = ExactDecoder(c, twin.arrays())
    parts = [(symbols[:low], True), (symbols[low:], False)]
    got = np.concatenate([decode(exact, part, gains, low=first) for part, first in parts])
    np.testing.assert_array_equal(got, x_hat.permute(0, 2, 3, 1).numpy().astype(np.uint8))
    assert len(np.unique(got)) > 100


def test_padding_repeats_the_edges():
    images = noise_images(COLOUR, 2)
    padded = pad_images(images, COLOUR).numpy() * 256
    assert padded.shape == (2, 3, 16, 12)
    np.testing.assert_array_equal(padded[:, :, :13, :10], images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(padded[:, :, 15, 11], images[:, 12, 9])
    np.testing.assert_array_equal(padded[:, :, 14, 3], images[:, 12, 3])


# ---------------------------------------------------------------- the proof


def layer_of(weights: list[list[int]], bias: list[int], shift: list[int]) -> LayerArrays:
    """A dense layer."""
    arrays = np.array(weights, np.int8), np.array(bias, np.int32), np.array(shift, np.uint8)
    return LayerArrays(*arrays)


def test_proof_returns_the_largest_output():
    # 255 * (3 + 4) + 15 = 1800; 1800 >> 3 = 225, and a floor may reach one further down
    assert prove_layer("a", layer_of([[3, -4]], [-15], [3]), 255, 24) == 226


def test_proof_at_the_edge_of_the_range():
    edge = (1 << 24) - 255
    assert prove_layer("a", layer_of([[1]], [edge - 1], [0]), 255, 24) == 1 << 24
    with pytest.raises(ModelCorruptError, match=r"^layer a: sums can reach 16777216, .* 16777216$"):
        prove_layer("layer a", layer_of([[1]], [edge], [0]), 255, 24)
    with pytest.raises(ModelCorruptError, match="layer a: sums can reach 16777216"):
        prove_layer("layer a", layer_of([[-1]], [-edge], [0]), 255, 24)


def test_proof_refuses_a_wide_shift():
    with pytest.raises(ModelCorruptError, match=r"layer b: shift up to 32, expected 0\.\.31"):
        prove_layer("layer b", layer_of([[1], [1]], [0, 0], [3, 32]), 255, 24)


def poisoned(model: Model, name: str, change) -> Model:
    """The model with one tensor of its decoder changed, as read back from a file."""
    part = model.parts[LATENT_DECODER]
    tensor = change(part.tensors[name].copy())
    tensors = {**part.tensors, name: tensor}
    if tensor is None:
        del tensors[name]
    part = Part(part.name, part.config, tensors)
    return unpack_model(pack_model(replace(model, parts={part.name: part})))


def huge_bias(bias: np.ndarray) -> np.ndarray:
    """A bias with which sums may leave the exact range."""
    bias[-1] = (1 << 24) - 5
    return bias


@pytest.mark.parametrize("name", ["dense2", "coarse0a", "up", "fine0b", "out"])
def test_model_that_could_leave_the_range_is_refused(tiny, name):
    model = poisoned(tiny, f"{name}.bias", huge_bias)
    with pytest.raises(ModelCorruptError, match=f"layer {name}: sums can reach"):
        _ = Codec(model).networks.latents()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("up.weight", lambda t: None, "tensor up.weight is missing"),
        ("up.weight", lambda t: t.astype(np.int16), r"tensor up.weight is int16 .*expected int8"),
        ("up.bias", lambda t: t[1:], r"tensor up.bias is int32 \(31,\), expected int32 \(32,\)"),
        ("gain", lambda t: t[:8], r"tensor gain is uint16 \(8, 12\), expected uint16 \(9, 12\)"),
        ("extra", lambda t: t, r"unknown tensors \['extra'\]"),
    ],
)
def test_model_of_another_form_is_refused(tiny, name, change, message):
    if name == "extra":
        part = tiny.parts[LATENT_DECODER]
        part = Part(part.name, part.config, {**part.tensors, "extra": np.zeros(1, np.int8)})
        model = replace(tiny, parts={part.name: part})
    else:
        model = poisoned(tiny, name, change)
    with pytest.raises(ModelCorruptError, match=message):
        _ = Codec(model).networks.latents()


def test_export_is_proven_too():
    """An exporter that stored what decoding refuses would waste a training run."""
    model = build_model(replace(GRAY, latents=4), "four")
    assert Codec(model).networks.latents().config.latents == 4
    assert isinstance(model, Model)


def test_no_path_is_skipped():
    """Every weights file in the package is under test above."""
    folder = Path(aecodec.__file__).parent / "weights"
    assert set(folder.glob("*.safetensors")) <= set(model_paths())


@pytest.mark.parametrize("size", [1e-12, 1e-5, 1e-3, 1.0, 50.0])
def test_layers_of_any_size_are_provable(size):
    """Weights that decay to nothing once asked for a shift whose half left no exact range."""
    torch.manual_seed(0)
    layer = TwinLayer(torch.randn(6, 240) * size, torch.randn(6))
    prove_layer("it", layer.arrays(), 255, 24)


@pytest.mark.parametrize("kind", [{}, {"weight_max": 32767, "dtype": torch.float64, "in_bits": 5}])
def test_stored_layer_is_taken_over(kind):
    torch.manual_seed(0)
    layer = TwinLayer(torch.randn(6, 20), torch.randn(6), **kind)
    stored = layer.arrays()
    other = TwinLayer(torch.zeros(6, 20), torch.zeros(6), **kind)
    other.load(stored)
    for name, values in vars(other.arrays()).items():
        np.testing.assert_array_equal(values, getattr(stored, name))


def test_training_quantizes_as_files_do():
    """At every place between two qualities: the steps, and the gains to the last bit."""
    torch.manual_seed(0)
    with seeded(0):
        network = Autoencoder(GRAY)
    with torch.no_grad():
        network.log_step.copy_(-torch.rand(9, GRAY.latents).cumsum(0))
        network.log_shrink.normal_(0, 0.1)
        table = (network.gains() * (1 << LATENT_BITS)).round().numpy().astype(np.uint16)
        y = torch.randn(1, GRAY.latents)
        for stored_quality in (256, 300, 895, 896, 1279, 1280, 2303, 2304):
            place = torch.tensor([stored_quality / 256 - 1])
            v, y_hat, log_step = network.quantize(y, place)
            steps = interpolate(network.log_step.numpy(), stored_quality)
            np.testing.assert_allclose(log_step[0].numpy(), steps, rtol=1e-5, atol=1e-5)
            gains = gains_at(table, stored_quality)
            values = torch.floor(v + 0.5) * torch.from_numpy(gains) / (1 << LATENT_BITS)
            assert torch.equal(y_hat, values)
