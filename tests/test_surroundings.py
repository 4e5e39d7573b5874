"""The caller's process is not ours: what it has set has no effect, and stays as it is."""

from __future__ import annotations

import contextlib
import locale
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import GRAY, noise_images, pixel_part, prior_part, smooth_images

import aecodec
from aecodec.archive.array import Archive
from aecodec.codec.codec import Codec
from aecodec.models.model import Model
from aecodec.nets.latent_prior import PriorConfig
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid
from aecodec.training.latents import LatentConfig, train_autoencoder
from aecodec.training.pixels import PixelTrainConfig, train_dequantizer
from aecodec.training.prior import PriorTrainConfig, train_prior
from aecodec.uses.training import UseConfig, train_use

IMAGES = np.concatenate([smooth_images(GRAY, 4), noise_images(GRAY, 2)])
OPTIONS = [{"quality": 9, "effort": 4}, {"quality": 3, "coder": "ans"}, {"lossless": True}]
backends = torch.backends
NEW_SWITCHES = hasattr(backends.cuda.matmul, "fp32_precision")


@contextmanager
def setting(write: Callable[[object], object], value: object, before: object) -> Iterator[None]:
    """Something is set inside, and as before afterwards."""
    write(value)
    try:
        yield
    finally:
        write(before)


def default_dtype(dtype: torch.dtype) -> AbstractContextManager[None]:
    return setting(torch.set_default_dtype, dtype, torch.float32)


@contextmanager
def precision(matmul: str) -> Iterator[None]:
    """Reduced precision by the switches of all versions of torch."""
    cudnn = backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(matmul)
    backends.cudnn.allow_tf32 = not cudnn
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = cudnn


@contextmanager
def new_precision(**values: str) -> Iterator[None]:
    """Reduced precision by the switches that came with torch 2.9."""
    if not NEW_SWITCHES:
        pytest.skip("this torch has the old switches alone")
    owners = {
        "all": backends,
        "cudnn": backends.cudnn,
        "cudnn_conv": backends.cudnn.conv,
        "cublas": backends.cuda.matmul,
        "mkldnn_matmul": backends.mkldnn.matmul,
        "mkldnn_conv": backends.mkldnn.conv,
    }
    for name, value in values.items():
        owners[name].fp32_precision = value
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = True
        for owner in owners.values():
            if owner is not backends.cudnn:
                owner.fp32_precision = "none"


@contextmanager
def warnings_as_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextmanager
def other_locale() -> Iterator[None]:
    """One that writes numbers with a comma, if the system has it."""
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "C"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, name)
            break
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@contextmanager
def seeds(seed: int) -> Iterator[None]:
    """Generators in another state."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


@contextmanager
def anomaly() -> Iterator[None]:
    """Gradients are checked, which warns as it begins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checked = torch.autograd.detect_anomaly()
    with checked:
        yield


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "nothing": contextlib.nullcontext,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta device": lambda: setting(torch.set_default_device, "meta", None),
    "meta block": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradient": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "anomaly": anomaly,
    "high": lambda: precision("high"),
    "medium": lambda: precision("medium"),
    "all tf32": lambda: new_precision(all="tf32"),
    "cudnn conv": lambda: new_precision(cudnn_conv="tf32"),
    "cudnn": lambda: new_precision(cudnn="tf32"),
    "cublas": lambda: new_precision(cublas="tf32"),
    "mkldnn": lambda: new_precision(mkldnn_matmul="bf16", mkldnn_conv="bf16"),
    "two threads": lambda: setting(torch.set_num_threads, 2, torch.get_num_threads()),
    "numpy raises": lambda: np.errstate(all="raise"),
    "warnings raise": warnings_as_errors,
    "locale": other_locale,
    "umask": lambda: setting(os.umask, 0o777, 0o022),
    "seeds": lambda: seeds(7),
    "signals": lambda: setting(
        lambda handler: signal.signal(signal.SIGTERM, handler),
        signal.SIG_IGN,
        signal.getsignal(signal.SIGTERM),
    ),
}
in_any = pytest.mark.parametrize("name", SURROUNDINGS)


def readable(read: Callable[[], object]) -> object:
    """A setting, or that torch refuses to read it after newer ones were set."""
    try:
        return read()
    except RuntimeError:
        return "refused"


def state() -> dict[str, object]:
    """What belongs to the caller."""
    mask = os.umask(0o022)
    os.umask(mask)
    numpy_state = np.random.get_state()
    found = {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device() if hasattr(torch, "get_default_device") else None,
        "gradient": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast cache": torch.is_autocast_cache_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "matmul": readable(torch.get_float32_matmul_precision),
        "cudnn": readable(lambda: backends.cudnn.allow_tf32),
        "generator": torch.get_rng_state().tolist(),
        "numpy generator": (numpy_state[1].tolist(), *numpy_state[2:]),
        "generator of Python": random.getstate(),
        "numpy errors": np.geterr(),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "locale": locale.setlocale(locale.LC_ALL),
        "umask": mask,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "threads of Python": threading.active_count(),
    }
    if NEW_SWITCHES:
        owners = (backends, backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        owners += (backends.mkldnn.matmul, backends.mkldnn.conv)
        found["switches"] = [owner.fp32_precision for owner in owners]
    return found


@contextmanager
def undisturbed(name: str) -> Iterator[None]:
    """Surroundings of this name, in which nothing changes."""
    with SURROUNDINGS[name]():
        before = state()
        yield
        after = state()
        assert {k for k in after if after[k] != before[k]} == set()


def coded(model: Model) -> list[bytes]:
    """Files of all kinds by networks that are built anew, and what they decode to."""
    made = []
    codec = Codec(model)
    for options in OPTIONS:
        own = {k: v for k, v in options.items() if k not in ("coder", "effort")}
        mine = codec.with_options(**{k: options[k] for k in ("coder", "effort") if k in options})
        blob = aecodec.encode(IMAGES, codec=mine, **own)
        with Archive(blob, codec=Codec(model)) as archive:
            made += [blob, archive[:].tobytes(), archive[2].tobytes()]
    return made


@pytest.fixture(scope="module")
def model(tiny: Model) -> Model:
    """The tiny model with a pixel model and a prior of random weights."""
    parts = [
        pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 2)),
        prior_part(PriorConfig(12, 4, 8)),
    ]
    return replace(tiny, parts={**tiny.parts, **{part.name: part for part in parts}})


@pytest.fixture(scope="module")
def expected(model: Model) -> list[bytes]:
    """What is coded where the caller has set nothing."""
    return coded(model)


@in_any
def test_coding_neither_sees_nor_changes_the_surroundings(name, model, expected):
    with undisturbed(name):
        found = coded(model)
    assert found == expected


def trained(model: Model) -> list[object]:
    """Models of every kind, after a step or two."""
    about = {"batch_images": 18, "steps": 2, "warmup": 1}
    images = np.concatenate([IMAGES, IMAGES[::-1], IMAGES])
    pixels = PixelTrainConfig(**{**about, "steps": 1, "batch_images": 4})
    settings = {"use": "map", "latents": 2}
    return [
        train_autoencoder(images, LatentConfig(**about), name="t", provenance={}),
        train_prior(images, PriorTrainConfig(**about), model, provenance={}, features=8)[0],
        train_dequantizer(images, pixels, provenance={}, features=4)[0],
        train_use(images, UseConfig(**about), settings, name="u", provenance={}),
    ]


@pytest.fixture(scope="module")
def expected_models(model: Model) -> list[object]:
    """What is trained where the caller has set nothing."""
    return trained(model)


TRAINING = ("float64", "meta device", "inference mode", "no gradient", "autocast", "seeds")


@pytest.mark.parametrize("name", [*TRAINING, "numpy raises", "warnings raise"])
def test_training_neither_sees_nor_changes_the_surroundings(name, model, expected_models):
    with undisturbed(name):
        found = trained(model)
    assert found == expected_models
