"""Random numbers for training. They depend on a seed alone.

The generators of torch that the caller's process shares are not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Draws:
    """Generators that start from one seed, one for each device that numbers are drawn on."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generators: dict[str, torch.Generator] = {}

    def on(self, device: torch.device | str = "cpu") -> torch.Generator:
        """The generator of a device; each call continues its stream of numbers."""
        name = str(device)
        if name not in self._generators:
            self._generators[name] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[name]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch's default generator draws in this block depends on the seed alone.

    Constructors of layers and dropout draw from it and take no other. Its state is put back at
    the end.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def uniform_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Values from 0 to 1 in the shape and memory order of ``x``, as ``torch.rand_like``."""
    return torch.empty_like(x).uniform_(generator=generator)


def normal_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal values in the shape and memory order of ``x``, as ``torch.randn_like``."""
    return torch.empty_like(x).normal_(generator=generator)
