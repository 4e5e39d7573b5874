"""The guard of the arithmetic: full float32 products, and a probe of the convolution.

The networks keep integers in float32. TF32 or bfloat16 products would round them, so torch's
switches of precision are set to full precision while a network runs. The switches belong to the
process: they get the caller's values back when the last thread leaves the guard.
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


def _switches() -> list[list[_Switch]]:
    """Groups of switches; where the first one of a group is exact, all of them are.

    The first ones are those of all versions of torch. Those of a single operator came with 2.9.
    """
    backends = torch.backends
    matmul = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    groups = [
        [_Switch(*matmul, ("highest",))],
        [_attribute(backends.cudnn, "allow_tf32", False)],
        [],
    ]
    for group, backend, operator in (
        (groups[0], backends.cuda, "matmul"),
        (groups[0], backends.mkldnn, "matmul"),
        (groups[1], backends.cudnn, "conv"),
        (groups[1], backends.cudnn, "rnn"),  # which allow_tf32 sets too
        (groups[2], backends.mkldnn, "conv"),
    ):
        owner = getattr(backend, operator, None)
        if hasattr(owner, "fp32_precision"):
            group.append(_attribute(owner, "fp32_precision", "ieee", "none"))
    return [group for group in groups if group]


class _FullPrecision:
    """All switches at full precision while any thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0  # threads, each counted as often as it has entered
        self._groups = _switches()
        self._found: list[tuple[_Switch, object]] = []  # the caller's values

    def enter(self) -> None:
        """Set full precision, if no thread is inside yet."""
        with self._lock:
            if not self._inside:
                lax = [group for group in self._groups if group[0].value() not in group[0].exact]
                found = [(switch, switch.value()) for group in lax for switch in group]
                self._found = [(switch, value) for switch, value in found if value is not None]
                for switch, value in self._found:
                    if value not in switch.exact:
                        switch.write(switch.exact[0])
            self._inside += 1

    def leave(self) -> None:
        """Give the caller's values back, if no other thread is inside."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for switch, value in self._found:
                    switch.restore(value)


_FULL_PRECISION = _FullPrecision()


@contextmanager
def exact_matmul() -> Iterator[None]:
    """Full float32 products inside: no TF32, no reduced precision, no autocast, no gradient.

    Other threads of the process compute at full precision too while a thread is inside.
    """
    _FULL_PRECISION.enter()
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            yield
    finally:
        _FULL_PRECISION.leave()


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
    generator = torch.Generator().manual_seed(0)
    with exact_matmul():
        for n, channels, side in ((1, 16, 14), (3, 32, 7), (64, 32, 7), (64, 48, 14), (7, 8, 16)):
            x = torch.randint(0, 256, (n, channels, side, side), generator=generator)
            w = torch.randint(-127, 128, (channels, channels, 3, 3), generator=generator)
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
