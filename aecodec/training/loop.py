"""One training loop for every model: steps, checkpoints, averaging, interruption.

What is trained is an :class:`~aecodec.training.objective.Objective`; what differs between models is
there. Batches and noise of step i depend on (seed, i) alone, so a resumed run ends with the same
weights as one that was never interrupted.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aecodec._version import __version__
from aecodec.advice import advised
from aecodec.errors import ENDING_SIGNALS, ModelMismatchError, Terminated
from aecodec.held_rows import Rows
from aecodec.training.checkpoint import START_ANEW, Checkpoint
from aecodec.training.draws import Draws, integers, uniform
from aecodec.training.muon import Muon
from aecodec.training.objective import Objective

Report = Callable[[int, dict[str, float]], None]  # steps done, and numbers to show


def no_report(step: int, numbers: dict[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained: what all objectives share."""

    steps: int
    batch_images: int
    lr_matrices: float = 0.02  # Muon
    weight_decay: float = 0.3  # of Muon's matrices, times its learning rate
    lr: float = 3e-3  # Adam, linear paths and biases
    lr_rate: float = 0.015  # Adam, quantizer steps and priors, which have far to go
    final_share: float = 0.3  # of the steps, at the end: without shifts, and with final images
    final_images: float = 0.5  # share of these steps' images that are final ones, if there are any
    warmup: int = 100
    flip: float = 0.0  # probability that a training image is mirrored, left to right
    shift: float = 0.0  # probability that it is moved by up to a pixel each way, not at the end
    average: float = 0.999  # decay of the averaged weights, which are what is exported
    clip_norm: float = 0.5
    seed: int = 0
    validation: float = 1 / 12  # share of the images held out, at most 5,000
    checkpoint_s: float = 60.0


class Trainer:
    """The loop. ``run`` stops early on KeyboardInterrupt, and ``averaged`` is then usable too.

    ``fingerprint`` names the data and the kind of model: a checkpoint of another one is refused.
    ``interruption`` is what stopped the run, None if nothing did.
    """

    def __init__(
        self, objective: Objective, config: TrainConfig, device: torch.device, fingerprint: str
    ) -> None:
        self.objective = objective.to(device)
        self.config, self.device, self.fingerprint = config, device, fingerprint
        self.optimizers = _optimizers(objective, config)
        self.peaks = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.averaged = {k: v.detach().clone() for k, v in objective.state_dict().items()}
        self.step = 0
        self.interruption: KeyboardInterrupt | None = None

    def run(
        self,
        images: Rows,
        checkpoint: Path | None,
        report: Report,
        final: np.ndarray | None = None,
    ) -> bool:
        """Train to the end; False when interrupted. images uint8 (N, H, W, C), or rows (N, P).

        The checkpoint is written every ``checkpoint_s`` seconds, and when the run ends or stops.
        ``final``, if given, holds the images that a part of the last steps' batches is drawn from.
        """
        self.objective.train()
        saved = time.monotonic()
        try:
            with _deferred_interrupt() as interrupted:
                while self.step < self.config.steps:
                    report(self.step + 1, self._one_step(images, final))
                    if interrupted:
                        raise interrupted[0]
                    if checkpoint and time.monotonic() - saved >= self.config.checkpoint_s:
                        self.save(checkpoint)
                        saved = time.monotonic()
        except KeyboardInterrupt as interruption:
            self.interruption = interruption
        if checkpoint:
            self.save(checkpoint)
        return self.interruption is None

    def about(self) -> dict[str, Any]:
        """For the model file: what made the weights, after how many steps, by which recipe."""
        return {
            "package": __version__,
            "torch": torch.__version__,
            "steps_done": self.step,
            "finished": self.step >= self.config.steps,
            "interrupted_by": self._interrupted_by(),
            "recipe": asdict(self.config),
        }

    def _interrupted_by(self) -> str | None:
        if self.interruption is None:
            return None
        interruption = self.interruption
        number = interruption.number if isinstance(interruption, Terminated) else signal.SIGINT
        return signal.Signals(number).name

    def _batch(
        self, images: Rows, final: np.ndarray | None, generator: torch.Generator
    ) -> np.ndarray:
        """Images of a step, drawn from the set, mirrored and shifted."""
        config, count = self.config, self.config.batch_images
        ending = self.step >= config.steps * (1 - config.final_share)
        chosen = integers(len(images), (count,), generator).numpy()
        batch: np.ndarray = images[chosen]
        if ending and final is not None:
            last = round(count * config.final_images)
            batch[:last] = final[integers(len(final), (last,), generator).numpy()]
        if config.flip:
            mirrored = (uniform(count, generator) < config.flip).numpy()
            batch[mirrored] = batch[mirrored, :, ::-1]
        if config.shift and not ending:
            moved = (uniform(count, generator) < config.shift).numpy()
            batch[moved] = _shifted(batch[moved], generator)
        return batch

    def _one_step(self, images: Rows, final: np.ndarray | None) -> dict[str, float]:
        config = self.config
        draws = Draws(config.seed * 1_000_003 + self.step)
        x = self.objective.prepare(self._batch(images, final, draws.on("cpu")))
        loss, numbers = self.objective(x.to(self.device), self.step / config.steps, draws)
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
        Checkpoint(
            self.fingerprint,
            asdict(self.config),
            self.step,
            self.objective.state_dict(),
            self.averaged,
            [optimizer.state_dict()["state"] for optimizer in self.optimizers],
        ).write(path)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint.

        ModelMismatchError for one of another run, ModelCorruptError for a damaged one.
        """
        found = Checkpoint.read(path, len(self.optimizers))
        if others := found.differences(self.fingerprint, asdict(self.config)):
            raise advised(
                ModelMismatchError(f"{path}: checkpoint of another run: {'; '.join(others)}"),
                START_ANEW,
            )
        found.require_shapes(self.averaged, path)
        self.step = found.step
        self.objective.load_state_dict(found.now)
        self.averaged = {k: v.to(self.device) for k, v in found.averaged.items()}
        for optimizer, state in zip(self.optimizers, found.optimizers, strict=True):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})


def train_objective(
    objective: Objective,
    config: TrainConfig,
    images: np.ndarray,
    *,
    run: str,
    device: str,
    checkpoint: Path | None,
    resume: bool,
    report: Report,
    final: np.ndarray | None = None,
) -> Trainer:
    """Train to the end or until interrupted; the averaged weights are then in the objective.

    ``run`` is the fingerprint of :class:`Trainer`. ``resume`` continues from the checkpoint if
    there is one.
    """
    trainer = Trainer(objective, config, torch.device(device), run)
    if resume and checkpoint and checkpoint.exists():
        trainer.restore(checkpoint)
    trainer.run(images, checkpoint, report, final)
    objective.load_state_dict(trainer.averaged)
    return trainer


def _optimizers(objective: Objective, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, and Adam with two learning rates; none for an empty group."""
    groups = objective.parameter_groups()
    optimizers: list[torch.optim.Optimizer] = []
    if groups.matrices:
        decay = config.weight_decay
        optimizers.append(Muon(groups.matrices, config.lr_matrices, weight_decay=decay))
    for parameters, lr in ((groups.rest, config.lr), (groups.rate, config.lr_rate)):
        if parameters:
            optimizers.append(torch.optim.Adam(parameters, lr, betas=(0.9, 0.99)))
    return optimizers


def _shifted(images: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Images (N, H, W, C), each moved by -1..1 rows and columns, zeros at the edges left free."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = integers(3, (len(images), 2), generator).numpy()
    rows = corners[:, :1] + np.arange(height)
    columns = corners[:, 1:] + np.arange(width)
    moved: np.ndarray = padded[
        np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return moved


@contextmanager
def _deferred_interrupt() -> Iterator[list[KeyboardInterrupt]]:
    """Ctrl-C and SIGTERM put what they raise into the list, so that no step is left half done.

    So do SIGHUP and SIGXCPU where the system has them, and none that is ignored. A second signal
    has its usual effect. Handlers are set in the main thread alone, and only where
    the one before can be put back: not one that was set outside of Python.
    """
    struck: list[KeyboardInterrupt] = []
    if threading.current_thread() is not threading.main_thread():
        yield struck
        return
    now = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING_SIGNALS)}
    old = {n: handler for n, handler in now.items() if handler not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def strike(number: int, _: object) -> None:
        struck.append(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number))
        restore()

    for number in old:
        signal.signal(number, strike)
    try:
        yield struck
    finally:
        restore()


def split_images(images: np.ndarray, config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation images; with fewer than 24, both are the whole set."""
    held = min(5000, round(len(images) * config.validation))
    if held < 2:
        return images, images
    order = np.random.default_rng(config.seed).permutation(len(images))
    return images[np.sort(order[held:])], images[np.sort(order[:held])]
