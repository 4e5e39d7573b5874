"""Initial weights of float networks: drawn from a generator of our own, always float32 on the CPU.

torch's default generator, its default type and its default device belong to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Networks that are built in this block start with weights that depend on the seed alone.

    The numbers are those of torch's default generator under this seed. Outside such a block
    nothing is drawn and weights are zero: they are about to be loaded.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    token = _GENERATOR.set(generator)
    try:
        yield generator
    finally:
        _GENERATOR.reset(token)


def current_generator() -> torch.Generator | None:
    """The generator of the block that this is called in; None outside."""
    return _GENERATOR.get()


def normal(*shape: int) -> Tensor:
    """Standard normal values in this shape; zeros outside of :func:`seeded`."""
    generator = _GENERATOR.get()
    if generator is None:
        return zeros(*shape)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def zeros(*shape: int) -> Tensor:
    """Zeros in this shape."""
    return torch.zeros(shape, dtype=torch.float32, device="cpu")


def evenly(low: float, high: float, count: int) -> Tensor:
    """So many numbers from low to high, evenly spaced."""
    return torch.linspace(low, high, count, dtype=torch.float32, device="cpu")


@torch.no_grad()
def normal_(x: Tensor, std: float) -> Tensor:
    """Fill with normal values of mean 0; with zeros outside of :func:`seeded`."""
    generator = _GENERATOR.get()
    return x.zero_() if generator is None else x.normal_(0, std, generator=generator)


@torch.no_grad()
def uniform_(x: Tensor, low: float, high: float) -> Tensor:
    """Fill with values between two numbers; with zeros outside of :func:`seeded`."""
    generator = _GENERATOR.get()
    return x.zero_() if generator is None else x.uniform_(low, high, generator=generator)


def dense(width_in: int, width_out: int) -> nn.Linear:
    """A dense layer with the initial weights that torch gives one."""
    layer: nn.Linear = _without_weights(nn.Linear, width_in, width_out)
    _start(layer, width_in)
    return layer


def conv(
    channels_in: int, channels_out: int, size: int = 3, *, stride: int = 1, padding: int = 1
) -> nn.Conv2d:
    """A convolution with the initial weights that torch gives one."""
    layer: nn.Conv2d = _without_weights(
        nn.Conv2d, channels_in, channels_out, size, stride=stride, padding=padding
    )
    _start(layer, channels_in * size * size)
    return layer


def _without_weights(kind: type[nn.Module], *args: int, **kwargs: int) -> Any:  # noqa: ANN401
    skip_init: Any = nn.utils.skip_init  # torch has no types for it
    return skip_init(kind, *args, **kwargs, device="cpu", dtype=torch.float32)


def _start(layer: nn.Linear | nn.Conv2d, fan_in: int) -> None:
    """Draw the weights, as torch computes them to the last bit."""
    limit = 1 / math.sqrt(fan_in)
    wide = math.sqrt(3.0) * (math.sqrt(2 / (1 + math.sqrt(5) ** 2)) / math.sqrt(fan_in))
    uniform_(layer.weight, -wide, wide)
    if layer.bias is not None:
        uniform_(layer.bias, -limit, limit)
