"""Checkpoints of a training run: a safetensors file with its state after a step."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from aecodec.advice import Advice, advised
from aecodec.errors import ModelCorruptError
from aecodec.io.atomic import atomic_path

START_ANEW: Final = Advice(
    python="resume=False starts anew",
    command="without --resume (and with -f, if the model is there) it starts anew",
)
OPTION_CHARS: Final = 40  # of what a message shows of an option in a file

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
        about = json.dumps({"step": self.step, "run": self.run, "config": self.config})
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        metadata = {"aecodec": about, "sha256": _checksum(about, tensors)}
        with atomic_path(path, force=True) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata)

    @classmethod
    def read(cls, path: Path, optimizers: int) -> Checkpoint:
        """Read the file of a run with so many optimizers; ModelCorruptError if it is damaged."""
        try:
            return cls._of(path.read_bytes(), optimizers)
        except (
            safetensors.SafetensorError,
            ArithmeticError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise advised(
                ModelCorruptError(f"{path}: damaged checkpoint: {error}"), START_ANEW
            ) from error

    @classmethod
    def _of(cls, data: bytes, optimizers: int) -> Checkpoint:
        tensors = safetensors.torch.load(data)
        (header_nbytes,) = struct.unpack_from("<Q", data)
        metadata = json.loads(data[8 : 8 + header_nbytes])["__metadata__"]
        stored = metadata.get("sha256")  # none before version 0.2
        if stored is not None and stored != (found := _checksum(metadata["aecodec"], tensors)):
            raise ValueError(f"its checksum is {stored}, got {found}")
        about = json.loads(metadata["aecodec"])
        return cls(
            about["run"],
            dict(about["config"]),
            int(about["step"]),
            _under("now.", tensors),
            _under("averaged.", tensors),
            [_optimizer_state(_under(f"optimizer{i}.", tensors)) for i in range(optimizers)],
        )

    def differences(self, run: str, config: Mapping[str, Any]) -> list[str]:
        """What keeps it from continuing the run with this fingerprint and configuration."""
        texts = [] if self.run == run else ["it is of other images, or of another kind of model"]
        for key in sorted({*self.config, *config}):
            found, wanted = self.config.get(key), config.get(key)
            if found != wanted:
                texts.append(f"its {key} is {str(found)[:OPTION_CHARS]}, this run's is {wanted}")
        return texts

    def require_shapes(self, wanted: Mapping[str, Tensor], path: Path) -> None:
        """ModelCorruptError if it has other tensors, or of other shapes, than the objective."""
        shapes = {name: tensor.shape for name, tensor in wanted.items()}
        for found in (self.now, self.averaged):
            if {name: tensor.shape for name, tensor in found.items()} != shapes:
                raise advised(
                    ModelCorruptError(f"{path}: damaged checkpoint: other tensors than expected"),
                    START_ANEW,
                )


def _checksum(about: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of what the metadata tell and of all tensors."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor]) -> OptimizerState:
    state: OptimizerState = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return state
