"""The guard of the arithmetic: exact float32 products, and a probe of the convolution.

The networks keep integers in float32. What is multiplied has 8 bits at most (activations 0..255,
weights -128..127 times a power of two), and sums stay below 2**24. So products of bfloat16 or
TF32, which a caller may have asked for, are as exact as those of float32: on a CPU no switch
matters. A GPU's sums of such products are not specified, so there torch's switches of precision are
set to full precision while a network runs. So they are for float networks that should not depend
on them. The switches belong to the process: they get the caller's values back when the last thread
leaves the guard, except those that somebody else has set meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.errors import AezUnsupportedError

CPU, CUDA = "cpu", "cuda"


class _Switch(NamedTuple):
    """One switch of precision, and its values under which products are exact."""

    read: Callable[[], object]
    write: Callable[..., object]
    exact: tuple[object, ...]  # the guard sets the first one

    def value(self) -> object:
        """The value; None where torch refuses to read it, after a newer switch was set."""
        try:
            return self.read()
        except RuntimeError:
            return None

    def restore(self, value: object) -> None:
        """Give back the caller's value."""
        if "none" not in self.exact:
            self.write(value)
        elif self.read() != value:
            self.write("none")  # what follows a wider switch reads as that one does
            if self.read() != value:
                self.write(value)


def _attribute(owner: object, name: str, *exact: object) -> _Switch:
    return _Switch(partial(getattr, owner, name), partial(setattr, owner, name), exact)


class _Group:
    """Switches of which all are exact where the first one is; they change together.

    ``devices`` are the kinds of devices whose products they affect.
    """

    def __init__(self, *devices: str) -> None:
        self.devices = devices
        self.switches: list[_Switch] = []
        self._inside = 0  # threads, each counted as often as it has entered
        self._found: list[tuple[_Switch, object, object]] = []  # the caller's values, and ours

    def enter(self) -> None:
        """Set full precision, if no thread is inside yet."""
        if not self._inside and self.switches[0].value() not in self.switches[0].exact:
            found = [(switch, switch.value()) for switch in self.switches]
            found = [(switch, value) for switch, value in found if value is not None]
            for switch, value in found:
                if value not in switch.exact:
                    switch.write(switch.exact[0])
            self._found = [(switch, value, switch.value()) for switch, value in found]
        self._inside += 1

    def leave(self) -> None:
        """Give the caller's values back, if no other thread is inside."""
        self._inside -= 1
        if not self._inside:
            untouched = [each for each in self._found if each[0].value() == each[2]]
            self._found = []
            for switch, value, _ in untouched:
                switch.restore(value)


def _groups() -> list[_Group]:
    """All switches of this version of torch.

    The first ones are those of all versions. Those of a single operator came with 2.9.
    """
    backends = torch.backends
    products, cudnn, convolutions = _Group(CPU, CUDA), _Group(CUDA), _Group(CPU)
    matmul = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    products.switches = [_Switch(*matmul, ("highest",))]
    cudnn.switches = [_attribute(backends.cudnn, "allow_tf32", False)]
    for group, backend, operator in (
        (products, backends.cuda, "matmul"),
        (products, backends.mkldnn, "matmul"),
        (cudnn, backends.cudnn, "conv"),
        (cudnn, backends.cudnn, "rnn"),  # which allow_tf32 sets too
        (convolutions, backends.mkldnn, "conv"),
    ):
        owner = getattr(backend, operator, None)
        if hasattr(owner, "fp32_precision"):
            group.switches.append(_attribute(owner, "fp32_precision", "ieee", "none"))
    return [group for group in (products, cudnn, convolutions) if group.switches]


_GROUPS = _groups()
_SWITCHING = threading.Lock()


@contextmanager
def full_precision(device: torch.device | str) -> Iterator[None]:
    """Full float32 products on a device: no TF32 and no bfloat16, in this thread and others."""
    kind = torch.device(device).type
    groups = [group for group in _GROUPS if kind in group.devices or kind not in (CPU, CUDA)]
    with _SWITCHING:
        for group in groups:
            group.enter()
    try:
        yield
    finally:
        with _SWITCHING:
            for group in reversed(groups):
                group.leave()


@contextmanager
def no_autocast(device: torch.device | str) -> Iterator[None]:
    """No automatic casts inside, on this device and on the CPU; in this thread alone.

    A network may still ask for casts itself. They are not cached: the cache is emptied where the
    outermost block ends, so the weights in it would be those of the first step of a training.
    """
    kind = torch.device(device).type
    with torch.autocast(CPU, enabled=False, cache_enabled=False):
        if kind == CPU:
            yield
        else:
            with torch.autocast(kind, enabled=False, cache_enabled=False):
                yield


@contextmanager
def exact_matmul(device: torch.device | str = CPU) -> Iterator[None]:
    """Exact products of the networks' integers inside: no casts, and no gradient.

    On a device other than a CPU, other threads compute at full precision too meanwhile.
    """
    kind = torch.device(device).type
    with torch.inference_mode(), no_autocast(kind):
        if kind == CPU:
            yield
        else:
            with full_precision(kind):
                yield


@contextmanager
def float_inference(device: torch.device | str = CPU) -> Iterator[None]:
    """For float networks: full precision, no casts, no gradient, whatever the caller has set."""
    with torch.inference_mode(), no_autocast(device), full_precision(device):
        yield


@contextmanager
def gradients() -> Iterator[None]:
    """For training and search: gradients, and no casts but those of the network itself.

    Whatever the caller has set.
    """
    other = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        no_autocast(other or CUDA),
        torch.device(CPU),  # where optimizers and modules make tensors, unless told otherwise
    ):
        yield


_PROBED: dict[torch.device, bool] = {}
_PROBE_LOCK = threading.Lock()


def conv_is_exact(device: torch.device) -> bool:
    """Whether float32 conv2d returns exact integers on this device (probed once per process).

    AezUnsupportedError for a device on which not even matrix products are exact.
    """
    if device not in _PROBED:
        with _PROBE_LOCK:
            if device not in _PROBED:
                if not _probe(device, _unfold_conv):
                    raise AezUnsupportedError(
                        f"float32 matrix products are not exact on {device}: cannot decode"
                    )
                _PROBED[device] = _probe(device, lambda x, w: F.conv2d(x, w, padding=1))
    return _PROBED[device]


def _unfold_conv(x: Tensor, w: Tensor) -> Tensor:
    columns = F.unfold(x, 3, padding=1).transpose(1, 2)
    return (columns @ w.flatten(1).t()).transpose(1, 2).reshape(len(x), len(w), *x.shape[2:])


def _probe(device: torch.device, conv: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Compare ``conv`` with integer arithmetic on shapes like the decoder's, sums near 2**24."""
    generator = torch.Generator(CPU).manual_seed(0)
    draw = partial(torch.randint, generator=generator, device=CPU)
    with exact_matmul(device):
        for n, channels, side in ((1, 16, 14), (3, 32, 7), (64, 32, 7), (64, 48, 14), (7, 8, 16)):
            x = draw(0, 256, (n, channels, side, side))
            w = draw(-128, 128, (channels, channels, 3, 3))
            want = _unfold_conv_int(x, w)
            for memory_format in (torch.contiguous_format, torch.channels_last):
                got = conv(
                    x.float().to(device).contiguous(memory_format=memory_format),
                    w.float().to(device).contiguous(memory_format=memory_format),
                )
                if not torch.equal(got.cpu().double(), want):
                    return False
    return True


def _unfold_conv_int(x: Tensor, w: Tensor) -> Tensor:
    return _unfold_conv(x.double(), w.double())  # float64: exact far beyond these sums
