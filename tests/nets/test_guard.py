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

from aecodec.errors import AezUnsupportedError
from aecodec.nets import exactness
from aecodec.nets.exactness import _probe, conv_is_exact, exact_matmul
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


def exact_inside() -> None:
    """That nothing is at reduced precision here."""
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.allow_tf32 is False
    if HAS_PER_OPERATOR:
        assert {owner.fp32_precision for owner in PER_OPERATOR.values()} <= {"ieee", "none"}


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


@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_settings_of_the_caller_are_overruled_and_restored(set_by_caller, decoder, expected):
    set_by_caller()
    before = settings()
    with torch.autocast("cpu", torch.bfloat16):
        found = decode(decoder)
        assert torch.is_autocast_enabled("cpu")
    assert settings() == before
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("set_by_caller", CALLERS)
def test_nothing_is_at_reduced_precision_inside(set_by_caller):
    set_by_caller()
    before = settings()
    with exact_matmul():
        if before["cudnn"] != "refused":
            exact_inside()
        with exact_matmul():
            pass
        inside = settings()
    operators = {inside[name] for name in PER_OPERATOR if name in inside and name != "cudnn.rnn"}
    assert operators <= {"ieee", "none"}
    assert settings() == before


@needs_per_operator
def test_a_switch_that_followed_a_wider_one_follows_it_again():
    set_all("tf32")
    with exact_matmul():
        pass
    set_all("ieee")
    assert PER_OPERATOR["cuda.matmul"].fp32_precision == "ieee"
    assert PER_OPERATOR["mkldnn.conv"].fp32_precision == "ieee"


def test_settings_are_restored_after_an_error():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    def fail_inside():
        with exact_matmul():
            inside.append(torch.get_float32_matmul_precision())
            inside.append(torch.backends.cudnn.allow_tf32)
            raise RuntimeError("stop")

    inside: list[object] = []
    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert inside == ["highest", False]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_threads_that_overlap_restore_the_settings_together():
    """The last one out restores; none of them leaves another one at reduced precision."""
    set_old("high", cudnn=True)
    before, faults = settings(), []
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with exact_matmul():
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(10)
        with exact_matmul():
            second_is_in.set()
            first_is_out.wait(10)
            try:
                exact_inside()
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
    in_threads(4, lambda: [found.append(decode(decoder)) for _ in range(20)])
    assert settings() == before
    assert len(found) == 80
    assert all((each == expected).all() for each in found)


def test_torch_without_switches_per_operator(monkeypatch, decoder, expected):
    """As before torch 2.9."""
    guard = exactness._FullPrecision()
    guard._groups = [guard._groups[0][:1], guard._groups[1][:1]]
    monkeypatch.setattr(exactness, "_FULL_PRECISION", guard)
    set_old("medium", cudnn=True)
    before = settings()
    with exact_matmul():
        exact_inside()
    np.testing.assert_array_equal(decode(decoder), expected)
    assert settings() == before
