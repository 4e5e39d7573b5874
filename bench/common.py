"""What every bench shares: images, timing, facts of the run, results, tables."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

import aecodec
from aecodec import metrics
from aecodec.files import atomic_path
from aecodec.images import Images, open_images

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
RUNS = 5
READ_IMAGES = 4096  # images read at once
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CPUINFO = Path("/proc/cpuinfo")

T = TypeVar("T")


class VerificationError(Exception):
    """A coder did not give back what it must; nothing of it is timed."""


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
        return statistics.median(self.runs_s)

    @property
    def min_s(self) -> float:
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
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "threads": {
            "torch": torch.get_num_threads(),
            **{variable: os.environ.get(variable) for variable in THREAD_VARIABLES},
        },
        "versions": versions(),
        "data": {
            "name": name,
            "shape": list(images.shape),
            "pixels_sha256": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        },
    }


def versions() -> dict[str, str]:
    packages = ("numpy", "torch", "zstandard", "Pillow")
    return {
        "python": platform.python_version(),
        "aecodec": aecodec.__version__,
        **{package: version(package) for package in packages},
    }


def machine() -> dict[str, Any]:
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()}


def _cpu_model() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


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
    parser.add_argument("--name", default=name, help="of the result file, without .json")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file")


# ---------------------------------------------------------------- tables


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text, the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(_pad(row, widths).rstrip() for row in (head, *rows))


def _pad(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(cells)


def format_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a README."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def rounded(value: float) -> str:
    """Three significant digits in plain notation, integers from 100 on: 12,345 and 0.0123."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
