"""One training loop for every model: steps, checkpoints, averaging, interruption.

What is trained is an *objective*, a module whose forward gives a loss and numbers to show; what
differs between models lives there. Batches and noise of step i depend on (seed, i) alone, so a
resumed run continues as if it had never stopped.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from aecodec.errors import ModelCorruptError, ModelMismatchError
from aecodec.io.atomic import atomic_path
from aecodec.training.muon import Muon

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained, whatever it is trained for."""

    steps: int
    batch_images: int
    lr_matrices: float = 0.02  # Muon
    weight_decay: float = 0.3  # of Muon's matrices, times its learning rate
    lr: float = 3e-3  # Adam, linear paths and biases
    lr_rate: float = 0.015  # Adam, steps and prior: what the rate hangs on has far to go
    final_share: float = 0.3  # of the steps, at the end, is plain: no shifts, and see final_images
    final_images: float = 0.5  # share of these steps' images that are those named for it, if any
    warmup: int = 100
    flip: float = 0.0  # probability that a training image is mirrored, left to right
    shift: float = 0.0  # probability that it is moved by up to a pixel each way, but at the end
    average: float = 0.999  # decay of the averaged weights, which are what is exported
    clip_norm: float = 0.5
    seed: int = 0
    validation: float = 1 / 12  # share of the images held out, at most 5,000
    checkpoint_s: float = 60.0


class Trainer:
    """The loop. ``run`` stops early on KeyboardInterrupt and leaves the averaged weights usable."""

    def __init__(
        self, objective: nn.Module, config: TrainConfig, device: torch.device, fingerprint: str
    ) -> None:
        self.objective = objective.to(device)
        self.config, self.device, self.fingerprint = config, device, fingerprint
        matrices, rate, rest = _split_parameters(objective)
        self.optimizers: list[torch.optim.Optimizer] = [
            *(
                Muon(parameters, config.lr_matrices, weight_decay=config.weight_decay)
                for parameters in (matrices,)
                if parameters
            ),
            *(
                torch.optim.Adam(parameters, lr, betas=(0.9, 0.99))
                for parameters, lr in ((rest, config.lr), (rate, config.lr_rate))
                if parameters
            ),
        ]
        self.peaks = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.averaged = {k: v.detach().clone() for k, v in objective.state_dict().items()}
        self.step = 0

    def run(
        self,
        images: np.ndarray,
        checkpoint: Path | None,
        report: Report,
        final: np.ndarray | None = None,
    ) -> bool:
        """Train to the end; False when interrupted. images uint8 (N, H, W, C).

        ``final``, if given, holds the images of the last steps.
        """
        self.objective.train()
        saved = time.monotonic()
        finished = True
        try:
            with _deferred_interrupt() as interrupted:
                while self.step < self.config.steps:
                    report(self.step + 1, self._one_step(images, final))
                    if interrupted.is_set():
                        raise KeyboardInterrupt
                    if checkpoint and time.monotonic() - saved >= self.config.checkpoint_s:
                        self.save(checkpoint)
                        saved = time.monotonic()
        except KeyboardInterrupt:
            finished = False
        if checkpoint and not finished:
            self.save(checkpoint)
        return finished

    def _batch(self, images: np.ndarray, final: np.ndarray | None) -> np.ndarray:
        """Images of a step, drawn and varied."""
        config = self.config
        ending = self.step >= config.steps * (1 - config.final_share)
        chosen = torch.randint(0, len(images), (config.batch_images,)).numpy()
        batch: np.ndarray = images[chosen]
        if ending and final is not None:
            count = round(config.batch_images * config.final_images)
            batch[:count] = final[torch.randint(0, len(final), (count,)).numpy()]
        if config.flip:
            mirrored = (torch.rand(len(batch)) < config.flip).numpy()
            batch[mirrored] = batch[mirrored, :, ::-1]
        if config.shift and not ending:
            moved = (torch.rand(len(batch)) < config.shift).numpy()
            batch[moved] = _shifted(batch[moved])
        return batch

    def _one_step(self, images: np.ndarray, final: np.ndarray | None) -> dict[str, float]:
        config = self.config
        torch.manual_seed(config.seed * 1_000_003 + self.step)
        batch = self._batch(images, final)
        x = self.objective.prepare(batch)  # type: ignore[operator]
        loss, numbers = self.objective(x.to(self.device), self.step / config.steps)
        for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = peak * self._schedule()
        loss.backward()
        nn.utils.clip_grad_norm_(self.objective.parameters(), config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self._average()
        self.step += 1
        return dict(numbers)

    def _schedule(self) -> float:
        """Linear warm-up, then half a cosine."""
        turn = math.pi * self.step / self.config.steps
        return min(1.0, (self.step + 1) / self.config.warmup) * (0.5 + 0.5 * math.cos(turn) + 1e-3)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        now = self.objective.state_dict()
        names = list(now)
        torch._foreach_lerp_([self.averaged[k] for k in names], [now[k] for k in names], 1 - keep)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        tensors = {f"now.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.items()}
        for i, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer{i}.{index}.{k}": v for k, v in state.items()}
        about = {"step": self.step, "run": self.fingerprint, "config": asdict(self.config)}
        tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        with atomic_path(path, force=True) as temporary:
            safetensors.torch.save_file(tensors, temporary, {"aecodec": json.dumps(about)})

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint; ModelMismatchError when it is of another run."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["aecodec"])
            tensors = safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelCorruptError(f"{path}: damaged checkpoint: {error}") from error
        if about["run"] != self.fingerprint or about["config"] != asdict(self.config):
            raise ModelMismatchError(f"{path}: checkpoint of another run (data or options differ)")
        self.step = about["step"]
        self.objective.load_state_dict(_under("now.", tensors))
        self.averaged = {k: v.to(self.device) for k, v in _under("averaged.", tensors).items()}
        for i, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _under(f"optimizer{i}.", tensors).items():
                index, _, name = key.partition(".")
                state.setdefault(int(index), {})[name] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})


def _shifted(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C), each moved by -1..1 rows and columns, zeros where nothing is."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = torch.randint(0, 3, (len(images), 2)).numpy()
    rows = corners[:, :1] + np.arange(height)
    columns = corners[:, 1:] + np.arange(width)
    moved: np.ndarray = padded[
        np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return moved


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that no step is left half done; a second one strikes."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def strike(*_: object) -> None:
        event.set()
        restore()

    for number in old:
        signal.signal(number, strike)
    try:
        yield event
    finally:
        restore()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], ...]:
    """Hidden matrices and kernels for Muon; steps and priors, and everything else, for Adam."""
    matrices: list[nn.Parameter] = []
    rate: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in module.named_parameters():
        if "log_" in name or name.startswith("prior."):
            rate.append(p)
        elif name.endswith(".weight") and p.dim() >= 2 and ".linear." not in name:
            matrices.append(p)
        else:
            rest.append(p)
    return matrices, rate, rest


def split_images(images: np.ndarray, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation images; with fewer than 24, both are the whole set."""
    held = min(5000, round(len(images) * config.validation))
    if held < 2:
        return images, images
    order = np.random.default_rng(config.seed).permutation(len(images))
    return images[np.sort(order[held:])], images[np.sort(order[:held])]
