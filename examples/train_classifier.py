"""Train a small classifier straight from a labelled .aez file.

aecodec compress train-images-idx3-ubyte.gz -o train.aez --labels train-labels-idx1-ubyte.gz
aecodec compress t10k-images-idx3-ubyte.gz -o test.aez --labels t10k-labels-idx1-ubyte.gz
python examples/train_classifier.py train.aez test.aez
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader

from aecodec.integrations.torch import AezDataset, ChunkBatchSampler


def to_float(image: torch.Tensor) -> torch.Tensor:
    """uint8 (C, H, W) -> float, 0 to 1; a function of a module, so that spawned workers find it."""
    return image.float() / 255


def build_network(channels: int, classes: int) -> nn.Module:
    """Two convolutions and two dense layers; any height and width."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def train_epoch(
    network: nn.Module, loader: DataLoader[object], optimizer: torch.optim.Optimizer
) -> float:
    """One pass over the data; the mean loss."""
    network.train()
    total = count = 0.0
    for x, y in loader:
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, count = total + loss.item() * len(x), count + len(x)
    return total / count


@torch.no_grad()
def accuracy_of(network: nn.Module, loader: DataLoader[object]) -> float:
    """Share of the images whose label is found."""
    network.eval()
    right = sum(int((network(x).argmax(1) == y).sum()) for x, y in loader)
    return right / len(loader.dataset)  # type: ignore[arg-type]


def main(argv: Sequence[str] | None = None) -> float:
    """Parse the command line, train, print; the accuracy on the test set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="an .aez with labels")
    parser.add_argument("test", help="another one")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=0)
    a = parser.parse_args(argv)
    torch.manual_seed(0)
    train, test = (AezDataset(path, transform=to_float) for path in (a.train, a.test))
    if train.labels is None:
        raise ValueError(f"{a.train}: has no labels; compress with --labels FILE")
    sampler = ChunkBatchSampler(train, a.batch, workers=a.workers)
    loader = DataLoader(
        train,
        batch_sampler=sampler,
        num_workers=a.workers,
        persistent_workers=a.workers > 0,
    )
    network = build_network(train.image_shape[2], int(train.labels.max()) + 1)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    accuracy = 0.0
    for epoch in range(1, a.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(network, loader, optimizer)
        seconds = time.perf_counter() - start
        accuracy = accuracy_of(network, DataLoader(test, 1000))
        print(f"epoch {epoch}: loss {loss:.3f}, accuracy {accuracy:.4f}, {seconds:.1f} s")
    train.close()
    test.close()
    return accuracy


if __name__ == "__main__":
    main()
