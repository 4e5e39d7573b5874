"""What every bench shares: images, timing, facts of the run, results; and its tables' forms."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aecodec.arrays import Images
from aecodec.benchmark.facts import PACKAGES, run_facts
from aecodec.benchmark.measuring import VerificationError
from aecodec.benchmark.tables import format_markdown, format_table, rounded
from aecodec.images import open_images
from aecodec.io.atomic import atomic_path
from aecodec.measures import metrics

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
RUNS = 5
READ_IMAGES = 4096  # images read at once

T = TypeVar("T")

__all__ = [
    "RESULTS",
    "ROOT",
    "RUNS",
    "Timing",
    "VerificationError",
    "add_result_options",
    "commit",
    "facts",
    "format_markdown",
    "format_table",
    "load_images",
    "measure",
    "pooled_psnr_db",
    "require_equal",
    "require_shape",
    "rounded",
    "tile",
    "write_result",
]


# ---------------------------------------------------------------- images


def load_images(path: str | os.PathLike[str], limit: int | None = None) -> Images:
    """The first ``limit`` images of a set, or all: uint8 (N, H, W, C), N >= 1."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    batches: list[Images] = []
    missing = limit
    with open_images(path) as source:
        for batch in source.batches(READ_IMAGES):
            batches.append(batch[:missing])
            if missing is not None:
                missing -= len(batches[-1])
                if not missing:
                    break
    if not batches:
        raise ValueError(f"{os.fspath(path)}: no images, expected at least 1")
    return np.concatenate(batches)


def tile(images: Images, count: int) -> Images:
    """``count`` images: the given ones over and over, in order."""
    return np.resize(images, (count, *images.shape[1:]))


def pooled_psnr_db(x: Images, x_hat: Images) -> float:
    """PSNR over all samples of the set together, never a mean of per-image values."""
    return metrics.psnr_db(int(metrics.squared_error(x, x_hat).sum()), x.size)


def require_equal(name: str, expected: Images, found: Images) -> None:
    """Raise VerificationError unless every pixel is the same."""
    require_shape(name, expected, found)
    wrong = int((expected != found).reshape(len(expected), -1).any(axis=1).sum())
    if wrong:
        raise VerificationError(f"{name}: {wrong} of {len(expected)} images came back changed")


def require_shape(name: str, expected: Images, found: Images) -> None:
    """Raise VerificationError unless shape and dtype are the same."""
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        raise VerificationError(
            f"{name}: expected {expected.dtype} {expected.shape}, got {found.dtype} {found.shape}"
        )


# ---------------------------------------------------------------- timing


@dataclass(frozen=True)
class Timing:
    """Seconds of each run, by wall clock; the calls that verified and warmed up are left out."""

    runs_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs_s)

    @property
    def min_s(self) -> float:
        """The best run."""
        return min(self.runs_s)

    def per_second(self, count: int) -> float:
        """``count`` things a run, at the median."""
        return count / self.median_s

    def report(self, count: int) -> dict[str, Any]:
        """For JSON: images per second at the median and at the best run, and every run."""
        return {
            "images_per_s": count / self.median_s,
            "best_images_per_s": count / self.min_s,
            "runs_s": list(self.runs_s),
        }


def measure(work: Callable[[], T], check: Callable[[T], None], *, runs: int = RUNS) -> Timing:
    """Time ``work``: its first result goes to ``check``, then one more call warms up."""
    if runs < 1:
        raise ValueError(f"runs is {runs}, expected at least 1")
    check(work())
    work()
    return Timing(tuple(_time(work) for _ in range(runs)))


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# ---------------------------------------------------------------- facts


def facts(name: str, images: Images) -> dict[str, Any]:
    """Where, when and on what a bench ran; ``name`` is the data's."""
    found = run_facts(name, images, PACKAGES)
    return {"date": found.pop("date"), "commit": commit(), **found}


def commit() -> dict[str, Any]:
    """The commit the code is at; ``dirty`` where tracked files differ from it."""
    sha = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {"sha": sha, "dirty": None if changed is None else bool(changed)}


def _git(*arguments: str) -> str | None:
    """Git's answer about this tree; None without git or outside a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


# ---------------------------------------------------------------- results


def write_result(name: str, result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write FOLDER/NAME.json, whole or not at all; its path. ValueError for NaN and infinity."""
    text = json.dumps(result, indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    with atomic_path(path, force=True) as temporary:
        temporary.write_text(text + "\n")
    return path


def add_result_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--name`` and ``--results``, which choose the result file."""
    parser.add_argument("--name", default=name, help="of the result file, without .json")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file")
