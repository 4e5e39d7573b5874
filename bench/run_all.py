"""Sizes, errors and speeds on MNIST and Fashion-MNIST, bench by bench, then figures and a page.

Takes folders that hold the four files each of these sets is published as. Runs for hours; one that
fails ends it. Models are those that come with the package, named as the sets are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import RESULTS

FOLDER = Path(__file__).resolve().parent
SETS = ("mnist", "fashion")
EFFORT = ["--limit", "2000"]
VARIABLE_RATE = ["--lr-scale", "0.2", "--steps", "1500", "--flip", "0.15"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def find(folder: Path, which: str, what: str) -> Path:
    """The one file of a folder named like ``t10k-images-idx3-ubyte``, gzipped or not."""
    found = sorted(folder.glob(f"{which}-{what}*-idx?-ubyte*"))
    if len(found) != 1:
        raise ValueError(f"{folder}: {len(found)} files like {which}-{what}*-ubyte, expected 1")
    return found[0]


def commands(folders: dict[str, Path], results: Path, limit: int | None) -> Iterator[list[str]]:
    """What is run, in order: arguments of the scripts."""
    short = [] if limit is None else ["--limit", str(limit)]
    folder = ["--results", str(results)]
    done = []
    for name, path in folders.items():
        test, train = find(path, "t10k", "images"), find(path, "train", "images")
        model = ["--model", name]
        fitted = ["--train", str(train)]
        labels = ["--labels", str(find(path, "t10k", "labels"))]
        labels += ["--train-labels", str(find(path, "train", "labels"))]
        kept = ["--name", f"rate-distortion-{name}"]
        done.append(str(results / f"rate-distortion-{name}.json"))
        yield ["rate_distortion.py", str(test), *fitted, *labels, *model, *short, *kept, *folder]
        kept = ["--name", f"baselines-{name}"]
        yield ["baselines.py", str(test), *fitted, *model, *short, *kept, *folder]
        if limit is None:
            yield ["bounds.py", str(test), *model, "--name", f"bounds-{name}", *folder]
            kept = ["--name", f"throughput-{name}"]
            yield ["throughput.py", str(test), *model, *kept, *folder]
            kept = ["--name", f"throughput-{name}-lossless"]
            yield ["throughput.py", str(test), *model, "--max-error", "0", *kept, *folder]
            yield ["effort.py", str(test), *model, *EFFORT, "--name", f"effort-{name}", *folder]
            kept = ["--name", f"latent-layout-{name}"]
            yield ["latent_layout.py", str(test), *model, *kept, *folder]
        if limit is None and name == "fashion":
            kept = ["--name", f"variable-rate-{name}"]
            yield ["variable_rate.py", str(train), "--base", name, *VARIABLE_RATE, *kept, *folder]
    yield ["report.py", *done, "--folder", str(results)]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="where its files are")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result files")
    a = parser.parse_args(argv)
    folders = {name: getattr(a, name) for name in SETS if getattr(a, name)}
    if not folders:
        parser.error("name the folder of at least one set: --mnist DIR, --fashion DIR")
    for script, *arguments in list(commands(folders, a.results, a.limit)):
        print(f"== {script} {' '.join(arguments)}", flush=True)
        alone = {} if script == "throughput.py" else ONE_THREAD
        command = [sys.executable, str(FOLDER / script), *arguments]
        subprocess.run(command, check=True, env={**os.environ, **alone})


if __name__ == "__main__":
    main()
