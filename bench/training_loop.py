"""Seconds an epoch from an .aez by AezDataset, an array in memory, a PNG folder, a parquet of PNGs.

One small classifier is trained from each, and each is read without training too: epoch by epoch,
since the first one decodes what later ones find in the cache.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import add_result_options, facts, format_table, load_images, rounded, write_result
from folder import write_tree
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import aecodec
from aecodec.arrays import Images
from aecodec.integrations.torch import AezDataset, ChunkBatchSampler

CLASSES = 10
FILES: dict[str, dict[str, Any]] = {
    "aez, latents": {},  # the default quality, or zstd without a model
    "aez, lossless": {"lossless": True},
}
SINGLES = 100  # images read alone, at random, without a cache


class PngFolder(Dataset[Any]):
    """A file for each image, decoded by Pillow each time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [str(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[index]) as picture:
            pixels = np.array(picture)
        return torch.from_numpy(pixels)[None], index % CLASSES


class ParquetOfPngs(Dataset[Any]):
    """A table of PNG bytes, read into memory by pyarrow, decoded by Pillow each time."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        self.column = pyarrow.parquet.read_table(path, memory_map=True)["image"].combine_chunks()

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(io.BytesIO(self.column[index].as_py())) as picture:
            pixels = np.array(picture)
        return torch.from_numpy(pixels)[None], index % CLASSES


class InMemory(Dataset[Any]):
    """The pixels, decoded beforehand."""

    def __init__(self, images: Images) -> None:
        self.images = torch.from_numpy(images[..., 0])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index][None], index % CLASSES


def write_parquet(paths: Sequence[Path], target: Path) -> bool:
    """The PNG files as a column of a parquet table; False where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        return False
    pyarrow.parquet.write_table(pa.table({"image": [path.read_bytes() for path in paths]}), target)
    return True


def network() -> nn.Module:
    """Small, so that reading is not hidden behind training."""
    torch.manual_seed(0)
    convolutions = [
        nn.Conv2d(1, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
    ]
    return nn.Sequential(
        *convolutions, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(144, CLASSES)
    )


def epoch(loader: DataLoader[Any], model: nn.Module | None, count: int) -> float:
    """Seconds to go through all images once, training the model if there is one."""
    start = time.perf_counter()
    optimizer = None if model is None else torch.optim.AdamW(model.parameters(), 1e-3)
    seen = 0
    for x, y in loader:
        seen += len(x)
        if model is not None and optimizer is not None:
            loss = nn.functional.cross_entropy(model(x.float() / 255), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    if seen != count:
        raise RuntimeError(f"{seen} images came, expected {count}")
    return time.perf_counter() - start


def loader_of(dataset: Dataset[Any], batch: int, workers: int) -> DataLoader[Any]:
    """A shuffling loader; an AezDataset gets the sampler that respects chunks."""
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    if isinstance(dataset, AezDataset):
        sampler = ChunkBatchSampler(dataset, batch, workers=workers)
        return DataLoader(dataset, batch_sampler=sampler, **options)
    return DataLoader(dataset, batch, shuffle=True, **options)


def measure_loops(
    datasets: dict[str, Callable[[], Dataset[Any]]],
    count: int,
    batch: int,
    workers: int,
    epochs: int,
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each epoch, reading alone and training, of each data set."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, make in datasets.items():
        found[name] = {}
        for what, model in (("reading", None), ("training", network())):
            loader = loader_of(make(), batch, workers)
            found[name][what] = [epoch(loader, model, count) for _ in range(epochs)]
            del loader
    return found


def singles_per_second(path: Path, *, cold: bool) -> float:
    """Random single images, the cache off; ``cold``: not even the last chunk is kept open."""
    dataset = AezDataset(path, cache_nbytes=0)
    indices = np.random.default_rng(0).integers(0, len(dataset), SINGLES)
    _ = dataset[0]
    start = time.perf_counter()
    for index in indices:
        if cold:
            dataset.archive._decoding.forget()
        _ = dataset[int(index)]
    elapsed_s = time.perf_counter() - start
    dataset.close()
    return SINGLES / elapsed_s


def bulk_per_second(path: Path) -> float:
    """Images a second when the whole file is decoded, in this process."""
    with aecodec.open(path) as archive:
        _ = archive[0]
        start = time.perf_counter()
        count = sum(len(batch) for batch in archive.batches())
        return count / (time.perf_counter() - start)


def single_speeds(name: str, path: Path) -> dict[str, float]:
    """Images a second of a whole file and of single images; printed under a name."""
    speeds = {
        "bulk": bulk_per_second(path),
        "singles": singles_per_second(path, cold=False),
        "singles_cold": singles_per_second(path, cold=True),
    }
    bulk, singles, cold = (rounded(value) for value in speeds.values())
    print(f"{name}, images/s: {bulk} decoding all, {singles} random single ones without a")
    print(f"  cache, {cold} where the chunk is read anew for each")
    return speeds


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", help="a set of gray images")
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--epochs", type=int, default=3)
    add_result_options(parser, "training_loop")
    a = parser.parse_args(argv)
    images = load_images(a.input, a.limit)
    labels = np.arange(len(images)) % CLASSES
    result: dict[str, Any] = facts(Path(a.input).name, images)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = write_tree(root / "png", images)
        datasets: dict[str, Callable[[], Dataset[Any]]] = {
            "in memory": lambda: InMemory(images),
            "PNG folder": lambda: PngFolder(paths),
        }
        if write_parquet(paths, root / "png.parquet"):
            datasets["parquet of PNGs"] = lambda: ParquetOfPngs(root / "png.parquet")
        for name, target in FILES.items():
            aecodec.compress(images, root / f"{name}.aez", model=a.model, labels=labels, **target)
            datasets[name] = lambda name=name: AezDataset(root / f"{name}.aez")  # type: ignore[misc]
        for name in FILES:
            result[name] = single_speeds(name, root / f"{name}.aez")
        for workers in a.workers:
            found = measure_loops(datasets, len(images), a.batch, workers, a.epochs)
            result[f"workers {workers}"] = found
            rows = [
                [name, *(rounded(len(images) / s) for s in (*r["reading"][:2], *r["training"][:2]))]
                for name, r in found.items()
            ]
            print(f"\nimages/s, {workers} workers")
            head = ["", "reading, 1st epoch", "2nd", "training, 1st epoch", "2nd"]
            print(format_table(head, rows))
    print(write_result(a.name, result, a.results))


if __name__ == "__main__":
    main()
