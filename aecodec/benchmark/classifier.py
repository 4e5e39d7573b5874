"""A small classifier, trained on originals, that shows how well decoded images still classify."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images
from aecodec.images import Skipped, paired_labels, read_label_rows

if TYPE_CHECKING:
    import torch

Labels = npt.NDArray[np.int64]

STEPS, BATCH, SEED, LR = 1200, 128, 0, 2e-3
BATCH_IMAGES = 2048  # classified at once


def read_labels(
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    skipped: Iterable[Skipped] = (),
) -> Labels:
    """A whole number for each image, of any file that :func:`aecodec.images.read_label_rows` reads.

    A file that names its images has its labels put in the order of ``names``, if there are any;
    ``skipped`` are entries of the set that are no images. ValueError for labels of another kind.
    """
    labels = paired_labels(read_label_rows(path), names, {name for name, _ in skipped})
    if "int" not in labels.dtype:
        raise ValueError(f"{path}: labels are {labels.dtype}, expected whole numbers")
    return labels.array.astype(np.int64)


@dataclass(frozen=True)
class Classifier:
    """A trained network, and the images that it classifies: ``rows`` of the set.

    It was not trained on these.
    """

    net: torch.nn.Module
    rows: npt.NDArray[np.intp]
    labels: Labels  # of these rows
    facts: dict[str, Any]

    def accuracy(self, images: Images) -> float:
        """The share of ``rows`` of the decoded set (N, H, W, C) that are classified right."""
        from aecodec.nets.exactness import float_inference

        right = 0
        with float_inference():
            for start in range(0, len(self.rows), BATCH_IMAGES):
                part = slice(start, start + BATCH_IMAGES)
                found = self.net(_tensor(images[self.rows[part]])).argmax(1).numpy()
                right += int((found == self.labels[part]).sum())
        return right / len(self.rows)


def train_classifier(
    images: Images,
    labels: Labels,
    train: tuple[Images, Labels] | None = None,
    steps: int | None = None,
) -> Classifier:
    """A network trained on ``train``, to classify all images.

    Without ``train`` it is trained on every other image, to classify the others.
    """
    _check("labels", images, labels)
    steps = steps or STEPS
    if train is not None:
        _check("training labels", *train)
        rows = np.arange(len(images))
        seen, seen_labels = train
    else:
        if len(images) < 2:
            raise ValueError(f"{len(images)} labelled images, expected at least 2")
        rows = np.arange(1, len(images), 2)
        seen, seen_labels = images[::2], labels[::2]
    net = _train(seen, seen_labels, int(max(labels.max(), seen_labels.max())) + 1, steps)
    facts = {"trained_on": len(seen), "asked_about": len(rows), "steps": steps, "seed": SEED}
    return Classifier(net, rows, labels[rows], facts)


def _check(name: str, images: Images, labels: Labels) -> None:
    if len(images) != len(labels):
        raise ValueError(f"{len(labels)} {name}, expected {len(images)}, one an image")
    if labels.min(initial=0) < 0:
        raise ValueError(f"{name}: found {labels.min()}, expected 0 or more")


def _train(images: Images, labels: Labels, classes: int, steps: int) -> torch.nn.Module:
    """Two convolutions and a linear layer, Adam with a one-cycle rate.

    The caller's torch generator is left as it was.
    """
    import torch
    from torch import nn

    from aecodec.training.draws import Dropout
    from aecodec.training.surroundings import undisturbed
    from aecodec.twins.starting import conv, dense, seeded

    @undisturbed
    def trained() -> nn.Module:
        _, height, width, channels = images.shape
        features = 32 * -(-height // 4) * -(-width // 4)
        with seeded(SEED) as generator:
            net = nn.Sequential(
                conv(channels, 16, 5, stride=2, padding=2),
                nn.ReLU(),
                conv(16, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                Dropout(0.2, generator),
                dense(features, classes),
            )
        adam = torch.optim.Adam(net.parameters(), lr=LR)
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 4 * LR, total_steps=steps)
        order = np.random.default_rng(SEED)
        targets = torch.from_numpy(labels)
        for _ in range(steps):
            batch = order.integers(0, len(images), BATCH)
            loss = nn.functional.cross_entropy(net(_tensor(images[batch])), targets[batch])
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            cycle.step()
        return net.eval()

    return trained()


def _tensor(images: Images) -> torch.Tensor:
    import torch

    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return torch.from_numpy(planes / np.float32(127.5) - np.float32(1))
