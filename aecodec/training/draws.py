"""Random numbers for training. They depend on a seed alone.

The generators of torch that the caller's process shares are not disturbed. Initial weights are
drawn by :mod:`aecodec.twins.starting`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class Dropout(nn.Module):
    """Dropout of a share of the values in training, drawn from a generator of its own."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.keep, self._generator = 1 - share, generator

    def forward(self, x: Tensor) -> Tensor:
        """Values of any shape, some of them zero and the others larger in proportion."""
        if not self.training:
            return x
        kept = torch.empty_like(x).bernoulli_(self.keep, generator=self._generator)
        return x * kept.div_(self.keep)


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """Values (count,) from 0 to 1, on the generator's device."""
    return torch.rand(count, generator=generator, dtype=torch.float32, device=generator.device)


def integers(high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Whole numbers from 0 to ``high`` - 1 in this shape, on the generator's device."""
    return torch.randint(0, high, shape, generator=generator, device=generator.device)


def uniform_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Values from 0 to 1 in the shape and memory order of ``x``, as ``torch.rand_like``."""
    return torch.empty_like(x).uniform_(generator=generator)


def normal_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal values in the shape and memory order of ``x``, as ``torch.randn_like``."""
    return torch.empty_like(x).normal_(generator=generator)
