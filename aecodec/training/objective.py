"""What the training loop asks of an objective: a model under its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from aecodec.training.draws import Draws
from aecodec.twins.layers import TwinLayer


@dataclass(frozen=True, eq=False)
class ParameterGroups:
    """All parameters of an objective, each in one group, in the order of ``parameters()``."""

    matrices: list[nn.Parameter]  # weights of hidden layers, for Muon
    rate: list[nn.Parameter]  # quantizer steps, and spreads of distributions, for a fast Adam
    rest: list[nn.Parameter]  # linear paths, biases and tables, for Adam


class Objective(nn.Module, ABC):
    """A model under its loss. A subclass names the parameters that are no hidden layer's weight."""

    @abstractmethod
    def prepare(self, images: np.ndarray) -> Tensor:
        """A batch of the training set -> what ``forward`` takes, on the CPU."""

    @abstractmethod
    def forward(self, x: Tensor, progress: float, draws: Draws) -> tuple[Tensor, dict[str, float]]:
        """A prepared batch -> the loss, and numbers to show.

        ``progress`` is the share of training that is done, 0 to 1. All noise is from ``draws``.
        """

    def rate_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that need a large learning rate, for they have far to go."""
        return ()

    def linear_paths(self) -> Iterable[Tensor]:
        """Weights of layers that lead past the hidden ones: Adam trains them, not Muon."""
        return ()

    def parameter_groups(self) -> ParameterGroups:
        """Which parameters each optimizer trains."""
        layers = (m for m in self.modules() if isinstance(m, nn.Linear | nn.Conv2d | TwinLayer))
        rate = {id(p) for p in self.rate_parameters()}
        matrices = {id(layer.weight) for layer in layers} - {id(p) for p in self.linear_paths()}
        groups = ParameterGroups([], [], [])
        for p in self.parameters():
            if id(p) in rate:
                groups.rate.append(p)
            elif id(p) in matrices:
                groups.matrices.append(p)
            else:
                groups.rest.append(p)
        return groups
