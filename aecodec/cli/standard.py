"""What each command does: the package called, and what came of it told."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

STDIO = "-"


def _psnr_text(psnr_db: float | None) -> str:
    return "lossless" if _psnr_fact(psnr_db) is None else f"{psnr_db:.2f} dB"


def _psnr_fact(psnr_db: float | None) -> float | None:
    """None without loss: JSON knows no infinity."""
    return None if psnr_db == float("inf") else psnr_db


def run_train(a: argparse.Namespace) -> int:
    """Train a codec, or a network for another use."""
    if a.map or a.vae or a.denoise is not None:
        from aecodec.cli.train_use import fit_use

        return fit_use(a)
    from aecodec.cli.train import fit_model

    return fit_model(a)


def run_use(a: argparse.Namespace) -> int:
    """Map, generate, denoise or draw a sheet."""
    from aecodec.cli.uses import run_use

    return run_use(a)


def run_bench(a: argparse.Namespace) -> int:
    """Measure beside other codecs."""
    from aecodec.cli.bench import bench

    return bench(a)


def run_demo(a: argparse.Namespace) -> int:
    """Show what the codec does."""
    from aecodec.cli.demo import run_demo

    lines, rows = run_demo(a.quality, Path(a.output))
    if a.json:
        facts = [vars(row) | {"psnr_db": _psnr_fact(row.psnr_db)} for row in rows]
        print(json.dumps(facts))
    else:
        print("\n".join(lines))
    return 0


# ---------------------------------------------------------------- the terminal


def _standard_input() -> Any:  # noqa: ANN401
    if sys.stdin.isatty():
        raise ValueError("standard input is a terminal: name a file, or pipe one in")
    return sys.stdin.buffer


def _standard_output() -> Any:  # noqa: ANN401
    if sys.stdout.isatty():
        raise ValueError("standard output is a terminal: name an output with -o, or redirect it")
    if isinstance(sys.stdout.buffer, io.RawIOBase):  # python -u: a write may stop short
        sys.stdout = open(sys.stdout.fileno(), "w", closefd=False)  # noqa: SIM115
    return sys.stdout.buffer
