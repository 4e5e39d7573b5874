"""Small models that need no training, and the pictures they are good for.

The tiny model's linear paths are a cosine transform and its inverse, so it rebuilds smooth images
well and noise badly, as a trained one would; its trunk is random and nearly silent.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

# The tests of two threads share the cores with other tests: who waits must not keep a core busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch reads it once, as it is imported

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_PRIOR, PIXEL_FAST
from aecodec.models.file import pack_model
from aecodec.models.finding import PATH_VARIABLE
from aecodec.models.model import Model, Part
from aecodec.nets.latent_decoder import AutoencoderConfig, layer_shapes
from aecodec.nets.latent_prior import PriorConfig
from aecodec.nets.latent_prior import tensor_shapes as prior_shapes
from aecodec.nets.layers import LayerArrays
from aecodec.nets.pixel_model import PixelConfig, tensor_shapes
from aecodec.nets.planes import PlaneGrid
from aecodec.targets import QUALITIES
from aecodec.training.latents import LatentConfig, export_autoencoder
from aecodec.training.pixels import FEATURES, PixelTrainConfig, train_pixel_model
from aecodec.training.prior import PriorTrainConfig, train_prior
from aecodec.twins.autoencoder import Autoencoder
from aecodec.twins.starting import seeded

# The networks are small: threads of torch that wait for a core, on a busy machine, cost most.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
torch.set_num_threads(1)

settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("quick")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core, up to eight; none where single files are named, as it starts slowly.

    Each process trains the models below again, and takes most of a gigabyte of memory.
    """
    if any(Path(named.split("::")[0]).is_file() for named in config.args):
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # Linux: the cores that this process may use
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, 8) if cores > 1 else 0


GRAY = AutoencoderConfig(8, 8, 1, latents=12, hidden=16, coarse=8, fine=8, encoder=8)
COLOUR = AutoencoderConfig(13, 10, 3, latents=20, hidden=16, coarse=8, fine=8, encoder=8)


def _cosines(length: int, frequency: int) -> np.ndarray:
    wave = np.cos(np.pi * frequency * (np.arange(length) + 0.5) / length)
    return wave * math.sqrt((2 if frequency else 1) / length)


def _smooth_basis(c: AutoencoderConfig) -> np.ndarray:
    """The lowest frequencies of the padded image as orthonormal rows (D, C * H4 * W4)."""
    rows, columns = c.padded
    lowest = sorted((i + j, i, j) for i in range(8) for j in range(8))
    vectors = []
    for _, i, j in lowest:
        plane = np.outer(_cosines(rows, i), _cosines(columns, j))
        for channel in range(c.channels):
            image = np.zeros((c.channels, rows, columns))
            image[channel] = plane
            vectors.append(image.ravel())
    return np.array(vectors[: c.latents])


def smooth_images(c: AutoencoderConfig, count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, H, W, C): a few low frequencies, and a little noise on top."""
    rng = np.random.default_rng(seed)
    basis = _smooth_basis(c)
    strength = 0.5 * np.abs(basis).max() ** -1 / np.arange(2, c.latents + 2)
    x = 0.5 + 0.6 * (rng.normal(size=(count, c.latents)) * strength) @ basis
    x = x.reshape(count, c.channels, *c.padded)[:, :, : c.height, : c.width]
    x = 256 * x.transpose(0, 2, 3, 1) + rng.normal(size=(count, c.height, c.width, c.channels))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def noise_images(c: AutoencoderConfig, count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, H, W, C): noise."""
    shape = (count, c.height, c.width, c.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def build_model(c: AutoencoderConfig, name: str, seed: int = 0) -> Model:
    """An untrained but working model, exported as training exports one."""
    with seeded(seed):
        network = Autoencoder(c)
    basis = torch.from_numpy(_smooth_basis(c)).float()
    step = np.sqrt(12 / (2 * math.log(2) * LatentConfig().lmbdas())) / 256
    with torch.no_grad():
        network.encoder.linear.weight.copy_(basis)
        network.encoder.linear.bias.copy_(-basis.sum(1) / 2)
        network.encoder.head.weight.zero_()
        network.encoder.head.bias.zero_()
        network.decoder.layers["linear"].weight.copy_(basis.t())
        network.decoder.layers["linear"].bias.fill_(0.5)
        network.decoder.layers["out"].weight.mul_(0.02)
        network.log_step.copy_(torch.from_numpy(np.log(step))[:, None])
    images = smooth_images(c, 200, seed=99)
    about = {"data": "cosines", "steps_done": 0}
    return export_autoencoder(network.eval(), name, images, images[:50], about)


def random_layers(c: AutoencoderConfig, seed: int) -> dict[str, LayerArrays]:
    """Integer layers from a bit generator alone; outputs spread over the clamps, both ways."""
    rng = np.random.default_rng(seed)
    layers = {}
    for name, shape in layer_shapes(c).items():
        wide = name in ("linear", "dense1")
        kind, largest = (np.int16, 32767) if name == "dense1" else (np.int8, 127)
        weight = rng.integers(-largest, largest + 1, shape).astype(kind)
        typical = math.sqrt(math.prod(shape[1:])) * largest * 0.58 * (3000 if wide else 100)
        target = 1500 if name.endswith(("linear", "out")) else 100
        low = max(0, int(math.log2(typical / target)))
        shift = rng.integers(low, low + 2, shape[0]).astype(np.uint8)
        middle = 2048 if name == "linear" else 40
        noise = rng.integers(-500, 501, shape[0])
        bias = ((middle << shift.astype(np.int64)) + noise).astype(np.int32)
        layers[name] = LayerArrays(weight, bias, shift)
    return layers


def layer_tensors(layers: dict[str, LayerArrays]) -> dict[str, np.ndarray]:
    """The layers as the tensors of a part."""
    kinds = ("weight", "bias", "shift")
    return {f"{name}.{k}": getattr(layer, k) for name, layer in layers.items() for k in kinds}


def pixel_part(grid: PlaneGrid, c: PixelConfig, seed: int = 0, name: str = PIXEL_FAST) -> Part:
    """A pixel model from a bit generator alone: predictions of all kinds, and all of them poor."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for key, (shape, dtype) in tensor_shapes(c, grid).items():
        if key.endswith(".shift"):
            tensors[key] = np.full(shape, 7, dtype)
        elif key.endswith(".weight"):
            tensors[key] = rng.integers(-40, 41, shape).astype(dtype)
        elif key == "out.bias":  # means over the gray levels, wide scales
            middle = np.linspace(0, 2040, c.mixtures).round()
            row = np.concatenate([middle, np.full(c.mixtures, 500), np.zeros(c.mixtures)])
            tensors[key] = np.tile(row * 128, (shape[0], 1)).astype(dtype)
        elif key.endswith(".bias"):
            tensors[key] = rng.integers(0, 8000, shape).astype(dtype)
        elif key == "underlay":
            tensors[key] = np.array([600], dtype)
        else:
            tensors[key] = rng.integers(-60, 61, shape).astype(dtype)
    return Part(name, c.decoding(grid), tensors)


def prior_part(c: PriorConfig, seed: int = 0) -> Part:
    """A prior from a bit generator alone: predictions of all kinds, and all of them poor."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, (shape, dtype) in prior_shapes(c).items():
        if name == "order":
            tensors[name] = rng.permutation(c.latents).astype(dtype)
        elif name == "unit":
            tensors[name] = rng.integers(0, 9, shape).astype(dtype)
        elif name.endswith(".shift"):
            tensors[name] = np.full(shape, 6, dtype)
        elif name.endswith(".bias"):
            tensors[name] = rng.integers(-2000, 9000, shape).astype(dtype)
        else:
            tensors[name] = rng.integers(-60, 61, shape).astype(dtype)
    return Part(LATENT_PRIOR, c.decoding(), tensors)


def random_symbols(count: int, latents: int, seed: int) -> np.ndarray:
    """int16 (count, latents), mostly small, with the extremes in the first rows."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(-40, 41, (count, latents)).astype(np.int16)
    symbols[0], symbols[-1] = 32767, -32768
    return symbols


def random_gains(latents: int, seed: int) -> np.ndarray:
    """uint16 (9, latents), falling with the quality as a trained row does."""
    rows = np.geomspace(400, 8, QUALITIES).round().astype(np.int64)[:, None]
    noise = np.random.default_rng(seed).integers(0, 8, (QUALITIES, latents))
    return (rows + noise).astype(np.uint16)


@pytest.fixture(scope="session")
def tiny() -> Model:
    """A model of layer L for 8x8 gray images."""
    return build_model(GRAY, "tiny")


@pytest.fixture(scope="session")
def tiny_colour() -> Model:
    """A model of layer L for 13x10 colour images."""
    return build_model(COLOUR, "tiny-colour", seed=1)


@pytest.fixture(scope="session")
def refined(tiny: Model) -> Model:
    """The tiny model with a pixel model beside it, trained for a moment on smooth images."""
    config = PixelTrainConfig(steps=150, batch_images=48, warmup=10, average=0.9)
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(FEATURES, PIXEL_FAST, 8)
        images = smooth_images(GRAY, 2000, seed=77)
        part, _ = train_pixel_model(images, config, PIXEL_FAST, provenance={})
    return replace(tiny, name="refined", parts={**tiny.parts, part.name: part})


@pytest.fixture(scope="session")
def known(refined: Model) -> Model:
    """The refined model with a prior beside it, trained for a moment."""
    config = PriorTrainConfig(steps=250, batch_images=96, warmup=20, average=0.9)
    with torch.random.fork_rng():
        images = smooth_images(GRAY, 3000, seed=79)
        part, _ = train_prior(images, config, refined, provenance={}, features=16)
    return replace(refined, name="known", parts={**refined.parts, part.name: part})


@pytest.fixture(scope="session")
def standing(known: Model) -> Model:
    """The known model, whose pixel model has an underlay of quality 3."""
    config = PixelTrainConfig(steps=100, batch_images=48, warmup=10, average=0.9)
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(FEATURES, PIXEL_FAST, 8)
        images = smooth_images(GRAY, 2000, seed=77)
        part, _ = train_pixel_model(
            images, config, PIXEL_FAST, provenance={}, base=known, underlay=768
        )
    return replace(known, name="standing", parts={**known.parts, part.name: part})


@pytest.fixture(scope="session")
def refined_colour(tiny_colour: Model) -> Model:
    """The tiny colour model with a pixel model of random weights."""
    part = pixel_part(PlaneGrid(13, 10, 3), PixelConfig(3, 4, 2), seed=1)
    return replace(tiny_colour, name="refined-colour", parts={**tiny_colour.parts, part.name: part})


@pytest.fixture(scope="session")
def codec(tiny: Model) -> Codec:
    """A codec with the tiny model."""
    return Codec(tiny)


@pytest.fixture(scope="session")
def colour_codec(tiny_colour: Model) -> Codec:
    """A codec with the tiny colour model."""
    return Codec(tiny_colour)


@pytest.fixture(scope="session")
def tiny_path(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a file."""
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    path.write_bytes(pack_model(tiny))
    return path


@pytest.fixture
def installed(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model as one that is installed on this machine."""
    monkeypatch.setenv(PATH_VARIABLE, str(tiny_path.parent))
    return tiny_path


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any model, the bundled ones included."""
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.setattr("aecodec.models.finding.BUNDLED", tmp_path / "no such folder")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch computes with two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
