"""How do the denoisers compare with classical filters? PSNR before and after, one table.

usage: python bench/denoising.py IN --train TRAIN --model NAME|FILE [--images 500]

Filters: a median (3x3 and 5x5, the better one), non-local means and BM3D. Each filter's parameter
is the best of a row tried on training images with the same noise, for each kind and level; the
network is told neither. BM3D sees all images as one picture, which helps it; its package, bm3d, is
not free for every use, and a filter whose package is missing is left out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import add_result_options, facts, format_table, load_images, write_result

from aecodec.arrays import Images
from aecodec.uses.denoising import denoise, noisy_images, pooled_psnr_db
from aecodec.uses.objectives import NOISES, DenoiseObjective
from aecodec.uses.stored import DENOISE, load_use, restore

Filter = Callable[[Images, float], Images]
LEVELS = (0.1, 0.3, 0.5)
TUNING_IMAGES = 30
SEED = 1


def median(images: Images, side: float) -> Images:
    """scipy's median filter with a square window of this side."""
    from scipy.ndimage import median_filter

    filtered: Images = median_filter(images, size=(1, int(side), int(side), 1), mode="nearest")
    return filtered


def non_local_means(images: Images, strength: float) -> Images:
    """scikit-image's non-local means, of gray images."""
    from skimage.restoration import denoise_nl_means

    each = [
        denoise_nl_means(x, patch_size=5, patch_distance=9, h=strength, fast_mode=False)
        for x in images[..., 0].astype(np.float32) / 255
    ]
    return to_gray(np.stack(each))


def bm3d(images: Images, sigma: float) -> Images:
    """All images side by side in one picture, where it finds its like in others too."""
    from bm3d import bm3d as filtered

    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    sheet = np.zeros((-(-count // columns) * columns, height, width))
    sheet[:count] = images[..., 0] / 255
    grid = sheet.reshape(-1, columns, height, width)
    page = filtered(grid.swapaxes(1, 2).reshape(-1, columns * width), sigma)
    grid = page.reshape(-1, height, columns, width).swapaxes(1, 2)
    return to_gray(grid.reshape(-1, height, width)[:count])


def to_gray(x: npt.NDArray[Any]) -> Images:
    """Numbers (N, H, W), 0 to 1 -> gray levels (N, H, W, 1), rounded and clipped."""
    gray: Images = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)[..., None]
    return gray


# filter, and the parameters tried: sides, strengths, shares of the level
FILTERS: dict[str, tuple[Filter, tuple[float, ...]]] = {
    "median": (median, (3, 5)),
    "non-local means": (non_local_means, (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)),
    "BM3D": (bm3d, (0.5, 0.75, 1.0, 1.25)),
}


def installed() -> list[str]:
    """The filters whose packages are here."""
    found = []
    for name, (apply, (first, *_)) in FILTERS.items():
        try:
            apply(np.zeros((1, 16, 16, 1), np.uint8), first)
        except ImportError:
            continue
        found.append(name)
    return found


def measure(
    objective: DenoiseObjective,
    images: Images,
    training: Images,
    noise: str,
    level: float,
    filters: list[str],
) -> dict[str, Any]:
    """PSNR of one kind and level of noise: before, and after each filter and the network."""
    noisy = noisy_images(images, noise, level, SEED)[:]
    tuning = noisy_images(training, noise, level, SEED + 1)[:]
    row: dict[str, Any] = {"noise": noise, "level": level}
    row["before"] = round(pooled_psnr_db(images, noisy), 2)
    for name in filters:
        apply, tried = FILTERS[name]
        if name == "BM3D":
            tried = tuple(round(share * level, 4) for share in tried)
        best = max(tried, key=lambda value: pooled_psnr_db(training, apply(tuning, value)))
        row[name] = round(pooled_psnr_db(images, apply(noisy, best)), 2)
        row[f"{name} parameter"] = best
    row["aecodec"] = round(pooled_psnr_db(images, denoise(objective, noisy)), 2)
    return row


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("input", metavar="IN", help="test images, gray")
    parser.add_argument("--train", required=True, metavar="IN", help="images to tune filters on")
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=500, help="test images, evenly spread (500)")
    parser.add_argument("--noise", nargs="+", default=NOISES, choices=NOISES, help="kinds (all)")
    add_result_options(parser, "denoising")
    a = parser.parse_args(argv)
    images, training = load_images(Path(a.input)), load_images(Path(a.train))
    images = images[:: max(1, len(images) // a.images)][: a.images]
    training = training[:: max(1, len(training) // TUNING_IMAGES)][:TUNING_IMAGES]
    objective = restore(load_use(a.model, DENOISE))
    filters = installed()
    rows = [
        measure(objective, images, training, noise, level, filters)
        for noise in a.noise
        for level in LEVELS
    ]
    names = ["noise", "level", "before", *filters, "aecodec"]
    print(format_table(names, [[str(row[name]) for name in names] for row in rows]))
    found = {**facts(Path(a.input).name, images), "model": a.model, "results": rows}
    write_result(a.name, found, a.results)


if __name__ == "__main__":
    main()
