"""Checkpoints of a training run: a safetensors file with its state after a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from aecodec.errors import ModelCorruptError
from aecodec.io.atomic import atomic_path

OptimizerState = dict[int, dict[str, Tensor]]  # by the index of the parameter


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after ``step`` steps."""

    run: str  # the trainer's fingerprint
    config: dict[str, Any]
    step: int
    now: dict[str, Tensor]  # the objective's state
    averaged: dict[str, Tensor]
    optimizers: list[OptimizerState]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        tensors = {f"now.{name}": tensor for name, tensor in self.now.items()}
        tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.items()}
        for i, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.items():
                tensors |= {f"optimizer{i}.{index}.{k}": v for k, v in state.items()}
        about = {"step": self.step, "run": self.run, "config": self.config}
        tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        with atomic_path(path, force=True) as temporary:
            safetensors.torch.save_file(tensors, temporary, {"aecodec": json.dumps(about)})

    @classmethod
    def read(cls, path: Path, optimizers: int) -> Checkpoint:
        """Read the file of a run with so many optimizers; ModelCorruptError if it is damaged."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["aecodec"])
            tensors = safetensors.torch.load_file(path)
            return cls(
                about["run"],
                about["config"],
                int(about["step"]),
                _under("now.", tensors),
                _under("averaged.", tensors),
                [_optimizer_state(_under(f"optimizer{i}.", tensors)) for i in range(optimizers)],
            )
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelCorruptError(f"{path}: damaged checkpoint: {error!r}") from error

    def require_shapes(self, wanted: Mapping[str, Tensor], path: Path) -> None:
        """ModelCorruptError if it has other tensors, or of other shapes, than the objective."""
        shapes = {name: tensor.shape for name, tensor in wanted.items()}
        for found in (self.now, self.averaged):
            if {name: tensor.shape for name, tensor in found.items()} != shapes:
                raise ModelCorruptError(f"{path}: damaged checkpoint: other tensors than expected")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor]) -> OptimizerState:
    state: OptimizerState = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return state
