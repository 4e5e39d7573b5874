"""Size of layer R at each error bound, for each pixel model of a model; where its time goes.

Also what the dequantizer adds to the PSNR at each bound, and whether bounds hold on the same images
inverted, which no model was trained on.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from common import (
    VerificationError,
    add_result_options,
    facts,
    format_markdown,
    format_table,
    load_images,
    pooled_psnr_db,
    require_shape,
    rounded,
    write_result,
)

import aecodec
from aecodec import entropy
from aecodec.arrays import Images
from aecodec.codec.codec import Codec
from aecodec.container.parts import DEQUANTIZER, VARIANTS
from aecodec.entropy import ans
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.nets.planes import PlaneGrid
from aecodec.pixels import levels
from aecodec.pixels.planes import join, split

BOUNDS = (0, 1, 2, 4, 8, 16, 32, 48)
HEAD = ("pixel model", "E", "bytes", "bpp", "PSNR dB", "max err", "images by mode")
TIMED_IMAGES = 2048  # for the share of networks and coder
NUMPY_IMAGES = 512  # the same without numba, which takes a while


def measure_bound(images: Images, codec: Codec, bound: int) -> dict[str, Any]:
    """One file; its error is taken from what decoding gives."""
    blob = aecodec.encode(images, codec=codec, max_error=bound)
    x_hat = aecodec.decode(blob, codec=codec)
    require_shape("aecodec", images, x_hat)
    worst = int(metrics.max_error(images, x_hat).max())
    if worst > bound:
        raise VerificationError(f"a pixel is off by {worst}, the bound is {bound}")
    psnr = pooled_psnr_db(images, x_hat)
    with aecodec.open(blob) as archive:
        modes = archive.info["images_by_mode"]
    return {
        "max_error_asked": bound,
        "nbytes": len(blob),
        "bpp": metrics.bits_per_pixel(len(blob), images.shape),
        "psnr_db": psnr if math.isfinite(psnr) else None,
        "max_error": worst,
        "images_by_mode": modes,
    }


def dequantizer_gains(images: Images, codec: Codec, bounds: Sequence[int]) -> dict[str, Any]:
    """PSNR of pixels in cells of each bound, as they are decoded and after the dequantizer."""
    dequantizer, grid = codec.networks.dequantizer(), PlaneGrid.of(images)
    planes = split(images)
    gains = {}
    for bound in bounds:
        if bound:
            known = levels.to_levels(levels.to_symbols(planes, bound), bound)
            before, after = (
                pooled_psnr_db(images, join(x, grid))
                for x in (known, dequantizer.move(known, bound))
            )
            gains[str(bound)] = {"psnr_db": before, "dequantized_psnr_db": after}
    return gains


def time_shares(images: Images, codec: Codec, coder: ModuleType) -> dict[str, float]:
    """Microseconds an image of the networks and of the coder both ways, lossless, on one thread.

    ``underlay`` is the time to make it in encoding, for a pixel model that has one.
    """
    refiner = codec.networks.refiner()
    pixels, grid = refiner.pixels, PlaneGrid.of(images)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    planes = split(images)
    spent = {"network": 0.0, "encoding": 0.0, "decoding": 0.0}
    start = time.perf_counter()
    laid = refiner.code_underlay(images)
    if laid:
        spent["underlay"] = time.perf_counter() - start
    coded, raws = [], []
    for k in range(grid.planes):
        rows, columns = grid.plane_shape(k)
        start = time.perf_counter()
        raw = pixels.predict(k, planes, 0, grid, laid.planes if laid else None)
        spent["network"] += time.perf_counter() - start
        raws.append(raw.reshape(-1, raw.shape[-1]))
        symbols = np.ascontiguousarray(planes[:, k, :rows, :columns]).ravel()
        start = time.perf_counter()
        coded.append(coder.intervals(raws[-1], symbols, 0))
        spent["encoding"] += time.perf_counter() - start
    start = time.perf_counter()
    payload = coder.encode(coded)
    spent["encoding"] += time.perf_counter() - start
    decoder = coder.Decoder([payload], ["payload"])
    start = time.perf_counter()
    for raw in raws:
        decoder.decode([raw], 0)
    spent["decoding"] = time.perf_counter() - start
    torch.set_num_threads(threads)
    return {name: seconds / len(images) * 1e6 for name, seconds in spent.items()}


def measure_variants(images: Images, model: Model, bounds: Sequence[int]) -> list[dict[str, Any]]:
    """For each pixel model of a model: a file at each bound, and where its time goes."""
    results: list[dict[str, Any]] = []
    for variant, part in VARIANTS.items():
        if part not in model.parts:
            continue
        codec = Codec(model, pixel_part=part)
        files = [measure_bound(images, codec, bound) for bound in bounds]
        coder = entropy.coder()
        shares = {
            coder.__name__.rpartition(".")[2]: time_shares(images[:TIMED_IMAGES], codec, coder)
        }
        shares["ans"] = time_shares(images[:NUMPY_IMAGES], codec, ans)
        nbytes = model.parts[part].nbytes
        results.append(
            {"variant": variant, "part_nbytes": nbytes, "files": files, "us_per_image": shares}
        )
    return results


def lines(
    results: Sequence[dict[str, Any]], inverted: Sequence[dict[str, Any]]
) -> list[tuple[str, ...]]:
    """The files as texts under HEAD."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        for file in result["files"]:
            psnr = "lossless" if file["psnr_db"] is None else f"{file['psnr_db']:.2f}"
            modes = ", ".join(f"{n:,} {mode}" for mode, n in file["images_by_mode"].items())
            size = (f"{file['nbytes']:,}", f"{file['bpp']:.4f}", psnr, str(file["max_error"]))
            rows.append((result["variant"], str(file["max_error_asked"]), *size, modes))
    for file in inverted:
        size = (f"{file['nbytes']:,}", f"{file['bpp']:.4f}", "", str(file["max_error"]))
        rows.append(("fast, inverted", str(file["max_error_asked"]), *size, ""))
    return rows


def print_notes(gains: dict[str, Any], results: Sequence[dict[str, Any]]) -> None:
    """Print what the dequantizer gains, and time and weights of each pixel model."""
    for bound, psnr in gains.items():
        before, after = psnr["psnr_db"], psnr["dequantized_psnr_db"]
        print(
            f"cells of E = {bound}: {before:.2f} dB, dequantized {after:.2f}, {after - before:+.2f}"
        )
    for result in results:
        for coder_name, shares in result["us_per_image"].items():
            each = ", ".join(f"{name} {rounded(us)}" for name, us in shares.items())
            print(f"{result['variant']}, {coder_name}: microseconds an image on one thread: {each}")
        print(f"{result['variant']}: {result['part_nbytes']:,} bytes of weights, not counted")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--model", default="mnist", help="name or file (%(default)s)")
    parser.add_argument("--bounds", type=int, nargs="+", default=list(BOUNDS), metavar="E")
    parser.add_argument("--markdown", action="store_true", help="print the table for a README")
    add_result_options(parser, "bounds")
    a = parser.parse_args(argv)
    images = load_images(a.input)
    model = aecodec.load_model(a.model)
    results = measure_variants(images, model, a.bounds)
    inverted = [measure_bound(255 - images, Codec(model), bound) for bound in a.bounds]
    print((format_markdown if a.markdown else format_table)(HEAD, lines(results, inverted)))
    gains = dequantizer_gains(images, Codec(model), a.bounds) if DEQUANTIZER in model.parts else {}
    print_notes(gains, results)
    name = Path(a.input).name
    write_result(
        a.name,
        {
            **facts(name, images),
            "model": Path(a.model).stem,
            "variants": results,
            "inverted": inverted,
            "dequantizer": gains,
        },
        a.results,
    )


if __name__ == "__main__":
    main()
