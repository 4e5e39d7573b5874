"""Peak memory of ``aecodec compress`` on a large set, over an idle process that imported torch.

Linux only: it samples RssAnon, the anonymous memory that a process holds, from /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, add_result_options, facts, load_images, tile, write_result

from aecodec import demo
from aecodec.arrays import Images

SAMPLE_S = 0.02
BLOCK_IMAGES = 8192  # images written at once
IDLE_SAMPLES = 25
IDLE = "import torch, sys; print('ready', flush=True); sys.stdin.read()"


def write_set(path: Path, images: Images, count: int) -> None:
    """An .npy of ``count`` images, the given ones repeated, every byte on the disk."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *images.shape[1:])}
    block = tile(images, -(-BLOCK_IMAGES // len(images)) * len(images))  # whole repetitions
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, len(block)):
            file.write(block[: count - start].tobytes())


def anonymous_nbytes(pid: int) -> int | None:
    """RssAnon of a process, bytes; None once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024  # "RssAnon:   12345 kB"
    return None  # a zombie holds no memory and has no such line


def peak_nbytes(command: Sequence[str]) -> tuple[int, float]:
    """Run a command to its end: (largest RssAnon seen, seconds). Raises RuntimeError if it fails.

    A peak shorter than the sampling interval can be missed.
    """
    start = time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody drains could stop the command
        process = subprocess.Popen(command, cwd=ROOT, stderr=errors)
        while process.poll() is None:
            peak = max(peak, anonymous_nbytes(process.pid) or 0)
            time.sleep(SAMPLE_S)
        elapsed_s = time.perf_counter() - start
        if process.returncode:
            errors.seek(0)
            message = errors.read().decode(errors="replace").strip()
            raise RuntimeError(f"exit status {process.returncode}, expected 0: {message}")
    return peak, elapsed_s


def idle_nbytes() -> int:
    """Largest RssAnon of a process that has imported torch and does nothing."""
    with _idle_process() as pid:
        peak = 0
        for _ in range(IDLE_SAMPLES):
            peak = max(peak, anonymous_nbytes(pid) or 0)
            time.sleep(SAMPLE_S)
    return peak


@contextmanager
def _idle_process() -> Iterator[int]:
    """The pid of a process that has imported torch; it ends when its input closes."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", IDLE], stdin=pipe, stdout=pipe) as process:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError("the idle process ended before it was ready")
        yield process.pid
        process.communicate()


def measure_compress(images: Images, count: int, model: str, quality: float) -> dict[str, Any]:
    """Sizes, memory and time of compressing ``count`` images from a file to a file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npy"), Path(folder, "out.aez")
        write_set(source, images, count)
        options = ["--model", model, "--quality", f"{quality:g}", "--quiet"]
        command = ["compress", str(source), "-o", str(target), *options]
        idle = idle_nbytes()
        peak, elapsed_s = peak_nbytes([sys.executable, "-m", "aecodec", *command])
        return {
            "raw_nbytes": source.stat().st_size,
            "nbytes": target.stat().st_size,
            "peak_nbytes": peak,
            "idle_nbytes": idle,
            "over_idle_nbytes": peak - idle,
            "elapsed_s": elapsed_s,
            "sample_s": SAMPLE_S,
        }


# ---------------------------------------------------------------- command


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", nargs="?", help="default: the packaged sample")
    parser.add_argument("--model", default=demo.MODEL, help="name or file (%(default)s)")
    parser.add_argument("--quality", type=float, default=5.0, metavar="Q")
    parser.add_argument("--images", type=int, default=1_000_000, help="IN is repeated to this many")
    add_result_options(parser, "memory")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    arguments = parse_arguments(argv)
    if anonymous_nbytes(os.getpid()) is None:
        raise SystemExit("no RssAnon in /proc/PID/status: this bench needs Linux 4.5 or later")
    given = load_images(arguments.input) if arguments.input else demo.load_sample()[..., None]
    name = Path(arguments.input).name if arguments.input else demo.SAMPLE.name
    # a model's file may be named relative to here, and the command runs in the root
    model = Path(arguments.model)
    model_name = str(model.resolve()) if model.is_file() else arguments.model
    measured = measure_compress(given, arguments.images, model_name, arguments.quality)
    result = {
        **facts(name, given),
        "images": arguments.images,
        "model": model.stem,
        "quality": arguments.quality,
        **measured,
    }
    print(
        f"{arguments.images:,} images, {measured['raw_nbytes']:,} bytes on the disk: "
        f"peak {measured['peak_nbytes'] / 2**20:.0f} MiB, "
        f"{measured['over_idle_nbytes'] / 2**20:.0f} MiB over an idle process with torch, "
        f"{measured['elapsed_s']:.0f} s"
    )
    write_result(arguments.name, result, arguments.results)


if __name__ == "__main__":
    main()
