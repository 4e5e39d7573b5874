"""The guard of the arithmetic: full precision inside, and the caller's settings afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import COLOUR, layer_tensors, random_gains, random_layers, random_symbols
from second_decoder import decode_latents

import aecodec
from aecodec.demo import load_sample
from aecodec.errors import AezUnsupportedError
from aecodec.nets import exactness
from aecodec.nets.exactness import (
    _probe,
    conv_is_exact,
    exact_matmul,
    float_inference,
    full_precision,
)
from aecodec.nets.latent_decoder import ExactDecoder

SYMBOLS = random_symbols(40, COLOUR.latents, seed=7)
GAINS = random_gains(COLOUR.latents, seed=7)[4]


@pytest.fixture(scope="module")
def decoder() -> ExactDecoder:
    """A decoder of random weights."""
    return ExactDecoder(COLOUR, random_layers(COLOUR, seed=7))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """What the second decoder makes of SYMBOLS and GAINS."""
    tensors = layer_tensors(random_layers(COLOUR, seed=7))
    return decode_latents(COLOUR.decoding(), tensors, SYMBOLS, GAINS)


def decode(decoder: ExactDecoder) -> np.ndarray:
    """What ours makes of them."""
    gains = torch.from_numpy(GAINS.astype(np.int32))
    return decoder(torch.from_numpy(SYMBOLS), gains).numpy()


# ---------------------------------------------------------------- the probe


def test_same_pixels_where_conv2d_is_not_exact(decoder, expected, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("conv2d was called on a device that fails the probe")

    monkeypatch.setattr("aecodec.nets.layers.conv_is_exact", lambda device: False)
    monkeypatch.setattr(F, "conv2d", refuse)
    np.testing.assert_array_equal(decode(decoder), expected)


def test_a_device_without_exact_products_is_refused(monkeypatch):
    monkeypatch.setattr("aecodec.nets.exactness._PROBED", {})
    monkeypatch.setattr("aecodec.nets.exactness._probe", lambda device, conv: False)
    for _ in range(2):  # the second time as the first
        with pytest.raises(AezUnsupportedError, match="matrix products are not exact on cpu"):
            conv_is_exact(torch.device("cpu"))


def test_a_device_is_probed_once(monkeypatch):
    probed = []
    monkeypatch.setattr("aecodec.nets.exactness._PROBED", {})
    monkeypatch.setattr("aecodec.nets.exactness._probe", lambda *_: probed.append(1) or True)
    in_threads(8, lambda: conv_is_exact(torch.device("cpu")))
    assert len(probed) == 2  # matrix products, then the convolution


def test_probe_finds_an_inexact_convolution():
    def off_by_rounding(x, w):
        return F.conv2d(x * 1.0001, w, padding=1)

    assert not _probe(torch.device("cpu"), off_by_rounding)


# ---------------------------------------------------------------- the caller's settings


def in_threads(count: int, work) -> None:
    """Run the same work in several threads."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


PER_OPERATOR = {
    "cuda.matmul": torch.backends.cuda.matmul,
    "cudnn.conv": getattr(torch.backends.cudnn, "conv", None),
    "cudnn.rnn": torch.backends.cudnn.rnn,
    "mkldnn.matmul": getattr(torch.backends.mkldnn, "matmul", None),
    "mkldnn.conv": getattr(torch.backends.mkldnn, "conv", None),
}
HAS_PER_OPERATOR = hasattr(torch.backends.cuda.matmul, "fp32_precision")
needs_per_operator = pytest.mark.skipif(not HAS_PER_OPERATOR, reason="this torch has one switch")


def readable(read) -> object:
    """A setting, or that torch refuses to read it after newer ones were set."""
    try:
        return read()
    except RuntimeError:
        return "refused"


def settings() -> dict[str, object]:
    """All settings of float32 precision that torch has."""
    found = {
        "matmul": readable(torch.get_float32_matmul_precision),
        "cudnn": readable(lambda: torch.backends.cudnn.allow_tf32),
        "cublas": readable(lambda: torch.backends.cuda.matmul.allow_tf32),
    }
    if HAS_PER_OPERATOR:
        found |= {name: owner.fp32_precision for name, owner in PER_OPERATOR.items()}
        found["all"] = torch.backends.fp32_precision
    return found


def set_as_at_start() -> None:
    """Set what torch starts with."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    if HAS_PER_OPERATOR:
        torch.backends.fp32_precision = "none"
        for name in ("cuda.matmul", "mkldnn.matmul", "mkldnn.conv"):
            PER_OPERATOR[name].fp32_precision = "none"


@pytest.fixture(autouse=True)
def as_at_start() -> Iterator[None]:
    """What a test sets is gone after it."""
    yield
    set_as_at_start()


def exact_inside(names: tuple[str, ...] = tuple(PER_OPERATOR)) -> None:
    """That nothing is at reduced precision here, of the operators of these names."""
    assert readable(torch.get_float32_matmul_precision) in ("highest", "refused")
    if "cudnn.conv" in names:
        assert readable(lambda: torch.backends.cudnn.allow_tf32) in (False, "refused")
    if HAS_PER_OPERATOR:
        assert {PER_OPERATOR[name].fp32_precision for name in names} <= {"ieee", "none"}


def set_old(matmul: str, *, cudnn: bool) -> None:
    """Set the switches of all versions of torch."""
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


def set_new(**values: str) -> None:
    """Set switches of single operators."""
    for name, value in values.items():
        PER_OPERATOR[name.replace("_", ".")].fp32_precision = value


def set_all(value: str) -> None:
    """Set the widest switch."""
    torch.backends.fp32_precision = value


CALLERS = [
    pytest.param(lambda: None, id="nothing set"),
    pytest.param(lambda: set_old("high", cudnn=True), id="high"),
    pytest.param(lambda: set_old("medium", cudnn=False), id="medium"),
    pytest.param(lambda: set_new(cuda_matmul="tf32"), id="cublas", marks=needs_per_operator),
    pytest.param(
        lambda: set_new(mkldnn_matmul="bf16", mkldnn_conv="bf16"),
        id="mkldnn",
        marks=needs_per_operator,
    ),
    pytest.param(
        lambda: (set_old("high", cudnn=True), set_new(cuda_matmul="ieee", cudnn_conv="ieee")),
        id="old and new",
        marks=needs_per_operator,
    ),
    pytest.param(lambda: set_all("tf32"), id="all", marks=needs_per_operator),
]


OF_DEVICE = {
    "cpu": ("mkldnn.matmul", "mkldnn.conv", "cuda.matmul"),  # one old switch has both products
    "cuda": ("cuda.matmul", "cudnn.conv", "mkldnn.matmul"),
}


@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_settings_of_the_caller_do_not_matter(set_by_caller, decoder, expected):
    set_by_caller()
    before = settings()
    with torch.autocast("cpu", torch.bfloat16):
        found = decode(decoder)
        assert torch.is_autocast_enabled("cpu")
    assert settings() == before
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_no_switch_is_changed_on_a_cpu(set_by_caller):
    set_by_caller()
    before = settings()
    with exact_matmul():
        assert settings() == before


@pytest.mark.parametrize("device", OF_DEVICE)
@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_nothing_is_at_reduced_precision_inside(set_by_caller, device):
    set_by_caller()
    before = settings()
    with full_precision(device):
        exact_inside(OF_DEVICE[device])
        with full_precision(device):
            pass
        exact_inside(OF_DEVICE[device])
    assert settings() == before


@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_float_networks_compute_at_full_precision(set_by_caller):
    set_by_caller()
    before = settings()
    with torch.autocast("cpu", torch.bfloat16), float_inference():
        exact_inside(OF_DEVICE["cpu"])
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == torch.float32
        assert product.is_inference()
    assert settings() == before


@needs_per_operator
def test_a_switch_that_followed_a_wider_one_follows_it_again():
    set_all("tf32")
    with full_precision("cpu"), full_precision("cuda"):
        pass
    set_all("ieee")
    assert PER_OPERATOR["cuda.matmul"].fp32_precision == "ieee"
    assert PER_OPERATOR["mkldnn.conv"].fp32_precision == "ieee"


def test_what_others_set_meanwhile_stays():
    set_old("high", cudnn=True)
    with full_precision("cuda"):
        torch.set_float32_matmul_precision("medium")
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.backends.cudnn.allow_tf32 is True


def test_settings_are_restored_after_an_error():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    def fail_inside():
        with full_precision("cuda"):
            inside.append(torch.get_float32_matmul_precision())
            inside.append(torch.backends.cudnn.allow_tf32)
            raise RuntimeError("stop")

    inside: list[object] = []
    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert inside == ["highest", False]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_threads_that_overlap_restore_the_settings_together(devices):
    """The last one out restores; none of them leaves another one at reduced precision."""
    set_old("high", cudnn=True)
    before, faults = settings(), []
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with full_precision(devices[0]):
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(10)
        with full_precision(devices[1]):
            second_is_in.set()
            first_is_out.wait(10)
            try:
                exact_inside(OF_DEVICE[devices[1]])
            except AssertionError as error:
                faults.append(error)

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert settings() == before


def test_many_threads_leave_the_settings_alone(decoder, expected):
    set_old("high", cudnn=True)
    before, found = settings(), []

    def work() -> None:
        for _ in range(20):
            with full_precision("cuda"):
                found.append(decode(decoder))

    in_threads(4, work)
    assert settings() == before
    assert len(found) == 80
    assert all((each == expected).all() for each in found)


def test_torch_without_switches_per_operator(monkeypatch):
    """As before torch 2.9."""
    groups = exactness._groups()
    for group in groups:
        group.switches = [each for each in group.switches if "none" not in each.exact]
    monkeypatch.setattr(exactness, "_GROUPS", [group for group in groups if group.switches])
    set_old("medium", cudnn=True)
    before = settings()
    with full_precision("cuda"):
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32 is False
    assert settings() == before


# ---------------------------------------------------------------- why no switch matters on a CPU


@pytest.mark.parametrize(
    "options", [{"quality": 2, "coder": "ans"}, {"psnr": 33.0, "coder": "ans"}, {"max_error": 3}]
)
def test_products_are_of_numbers_that_bfloat16_holds(options, monkeypatch):
    """So rounding the operands to bfloat16 or TF32 changes none; all networks of a model run."""
    images = load_sample()[:24]
    blob = aecodec.encode(images, model="fashion", **options)
    expected, rounded = aecodec.decode(blob), []

    def round_operand(x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.float64:  # of the layers with wide inputs, which no switch affects
            return x
        rounded.append(x.numel())
        assert torch.equal(x.bfloat16().float(), x)
        return x.bfloat16().float()

    def addmm(bias, x, w):
        return real_addmm(bias, round_operand(x), round_operand(w))

    def conv2d(x, w, bias, padding):
        return real_conv2d(round_operand(x), round_operand(w), bias, padding=padding)

    real_addmm, real_conv2d = torch.addmm, F.conv2d
    monkeypatch.setattr(torch, "addmm", addmm)
    monkeypatch.setattr(F, "conv2d", conv2d)
    np.testing.assert_array_equal(aecodec.decode(blob), expected)
    assert rounded
