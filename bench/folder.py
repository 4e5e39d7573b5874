"""A folder of many PNGs in, and back, without loss: seconds, memory, and Pillow alone beside it.

Writes the images into a temporary tree, a folder for each of ten classes, compresses and
decompresses it by the command line in processes of their own, and compares every picture.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    ROOT,
    VerificationError,
    add_result_options,
    facts,
    format_table,
    load_images,
    tile,
    write_result,
)
from PIL import Image

from aecodec.arrays import Images
from aecodec.codec.choosing import NO_MODEL

CLASSES = 10


def write_tree(root: Path, images: Images) -> list[Path]:
    """A PNG of each image, in ten folders in turn; the paths in the order of the tree's names."""
    paths = []
    pixels = images[..., 0] if images.shape[3] == 1 else images
    for i, one in enumerate(pixels):
        folder = root / f"class{i % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{i:07}.png")
        Image.fromarray(one).save(paths[-1])
    return sorted(paths)


def read_all(paths: Sequence[Path]) -> float:
    """Seconds to open and decode all pictures by Pillow, one after the other, and nothing else."""
    start = time.perf_counter()
    for path in paths:
        with Image.open(path) as picture:
            np.asarray(picture)
    return time.perf_counter() - start


def run_command(arguments: Sequence[str]) -> dict[str, float]:
    """Seconds, CPU seconds and peak resident memory of ``aecodec`` with these arguments."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "aecodec", *arguments, "-q"], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"aecodec {arguments[0]}: exit status {process.returncode}, expected 0")
    return {
        "elapsed_s": time.perf_counter() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_nbytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def compare(root: Path, paths: Sequence[Path], other: Path) -> None:
    """VerificationError unless both trees have the same pictures, pixel for pixel."""
    found = sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    expected = [path.relative_to(root) for path in paths]
    if found != expected:
        raise VerificationError(f"{len(found)} files came back, not the {len(expected)} of before")
    for name in expected:
        with Image.open(root / name) as before, Image.open(other / name) as after:
            if before.mode != after.mode or before.tobytes() != after.tobytes():
                raise VerificationError(f"{name} came back changed")


def measure_folder(images: Images, model: str, variant: str) -> dict[str, Any]:
    """Both ways on a tree of these images, after Pillow read it once to warm the file cache."""
    with tempfile.TemporaryDirectory() as folder:
        root, target, back = Path(folder, "in"), Path(folder, "in.aez"), Path(folder, "out")
        start = time.perf_counter()
        paths = write_tree(root, images)
        write_s = time.perf_counter() - start
        read_all(paths)
        read_s = read_all(paths)
        how = ["--lossless", "--model", model]
        how += [] if model == NO_MODEL else ["--variant", variant]
        compress = run_command(["compress", str(root), "-o", str(target), *how])
        decompress = run_command(["decompress", str(target), "-o", str(back)])
        compare(root, paths, back)
        return {
            "images": len(images),
            "png_nbytes": sum(path.stat().st_size for path in paths),
            "nbytes": target.stat().st_size,
            "pillow_write_s": write_s,
            "pillow_read_s": read_s,
            "compress": {**compress, "over_pillow": compress["elapsed_s"] / read_s},
            "decompress": {**decompress, "over_pillow": decompress["elapsed_s"] / write_s},
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", help="an image set; repeated up to --count")
    parser.add_argument("--count", type=int, default=70_000)
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--variant", default="fast", choices=["fast", "small"])
    add_result_options(parser, "folder")
    a = parser.parse_args(argv)
    images = load_images(a.input)
    found = measure_folder(tile(images, a.count), a.model, a.variant)
    rows = [
        [
            name,
            f"{r['elapsed_s']:.1f}",
            f"{r['over_pillow']:.2f}",
            f"{r['peak_rss_nbytes'] / 1e6:.0f}",
        ]
        for name, r in (("compress", found["compress"]), ("decompress", found["decompress"]))
    ]
    print(f"{found['images']:,} PNGs of {found['png_nbytes']:,} bytes, .aez of {found['nbytes']:,}")
    written_s, read_s = found["pillow_write_s"], found["pillow_read_s"]
    print(f"Pillow alone: writing {written_s:.1f} s, {read_s:.1f} s reading")
    print(format_table(["", "seconds", "over Pillow", "peak RSS, MB"], rows))
    options = {"model": a.model, "variant": a.variant}
    result = {**facts(Path(a.input).name, images), "options": options, "result": found}
    print(write_result(a.name, result, a.results))


if __name__ == "__main__":
    main()
