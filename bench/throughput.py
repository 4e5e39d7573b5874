"""Images a second both ways, beside Pillow's PNG in the same run; random access."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines import png_coder
from common import (
    Timing,
    add_result_options,
    facts,
    format_table,
    load_images,
    measure,
    pooled_psnr_db,
    require_equal,
    require_shape,
    rounded,
    tile,
    write_result,
)

import aecodec
from aecodec import demo, entropy
from aecodec.arrays import Images
from aecodec.codec.codec import Codec
from aecodec.container.parts import VARIANTS
from aecodec.measures import metrics

IMAGES = 10_000
READS = 100  # single images read in random order, in each run
HEAD = ("", "enc img/s", "best", "dec img/s", "best", "bytes")


def measure_aecodec(
    images: Images, codec: Codec, asked: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Both ways with the model loaded, the guard's check included; and the file.

    ``asked`` is the target, as a keyword of ``aecodec.encode``.
    """
    blob = aecodec.encode(images, codec=codec, **asked)
    x_hat = aecodec.decode(blob, codec=codec)
    require_shape("aecodec", images, x_hat)

    def encode() -> bytes:
        return aecodec.encode(images, codec=codec, **asked)

    def decode(data: bytes = blob) -> Images:
        return aecodec.decode(data, codec=codec)

    encoding = measure(encode, lambda again: require_equal("aecodec", x_hat, decode(again)))
    decoding = measure(decode, lambda again: require_equal("aecodec", x_hat, again))
    psnr = pooled_psnr_db(images, x_hat)
    with aecodec.open(blob) as archive:
        by_mode = archive.info["images_by_mode"]
    report = {
        "nbytes": len(blob),
        "bpp": metrics.bits_per_pixel(len(blob), images.shape),
        "psnr_db": psnr if math.isfinite(psnr) else None,
        "images_by_mode": by_mode,  # tells how many the guard sent elsewhere
        **_both_ways(encoding, decoding, len(images)),
    }
    return report, blob


def measure_png(images: Images) -> dict[str, Any]:
    """Pillow's PNG at its default settings, a file for each image, on one core."""
    coder = png_coder(images.shape, optimize=False)
    files = coder.encode(images)
    encoding = measure(
        lambda: coder.encode(images),
        lambda again: require_equal(coder.name, images, coder.decode(again)),
    )
    decoding = measure(
        lambda: coder.decode(files), lambda again: require_equal(coder.name, images, again)
    )
    return {"nbytes": sum(map(len, files)), **_both_ways(encoding, decoding, len(images))}


def _both_ways(encoding: Timing, decoding: Timing, count: int) -> dict[str, Any]:
    return {"encode": encoding.report(count), "decode": decoding.report(count)}


def measure_random_access(blob: bytes, codec: Codec, count: int, seed: int) -> dict[str, Any]:
    """Milliseconds to one image: from an open file, its chunk unpacked before, and from none."""
    order = np.random.default_rng(seed).integers(0, count, READS)
    everything = aecodec.decode(blob, codec=codec)

    def opened_anew() -> Images:
        with aecodec.open(blob, codec=codec) as archive:
            return archive[int(order[0])]

    with aecodec.open(blob, codec=codec) as archive:
        reads = _latency(lambda: np.stack([archive[int(i)] for i in order]), everything[order])
    return {
        "read": {"median_ms": reads.median_s / READS * 1e3, "best_ms": reads.min_s / READS * 1e3},
        "open_and_read": _milliseconds(_latency(opened_anew, everything[order[0]])),
        "reads_a_run": READS,
        "seed": seed,
    }


def _latency(read: Callable[[], Images], expected: Images) -> Timing:
    return measure(read, lambda found: require_equal("random access", expected, found))


def _milliseconds(timing: Timing) -> dict[str, float]:
    return {"median_ms": timing.median_s * 1e3, "best_ms": timing.min_s * 1e3}


# ---------------------------------------------------------------- command


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", nargs="?", help="default: the packaged sample")
    parser.add_argument("--model", default=demo.MODEL, help="name or file (%(default)s)")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--quality", type=float, default=5.0, metavar="Q")
    target.add_argument("--max-error", type=int, metavar="E", help="by the pixel model instead")
    parser.add_argument("--variant", choices=list(VARIANTS), default="fast", help="of --max-error")
    parser.add_argument("--threads", type=int, default=2, help="of torch (%(default)s)")
    parser.add_argument("--images", type=int, default=IMAGES, help="IN is repeated to this many")
    parser.add_argument("--seed", type=int, default=0, help="of the order of single reads")
    add_result_options(parser, "throughput")
    return parser.parse_args(argv)


def table(result: dict[str, Any]) -> str:
    """The speeds as text."""
    rows = []
    for name in ("aecodec", "png"):
        encode, decode = result[name]["encode"], result[name]["decode"]
        speeds = [s[key] for s in (encode, decode) for key in ("images_per_s", "best_images_per_s")]
        rows.append((name, *map(rounded, speeds), f"{result[name]['nbytes']:,}"))
    ratio = result["ratio"]
    rows.append(("ratio", rounded(ratio["encode"]), "", rounded(ratio["decode"]), "", ""))
    return format_table(HEAD, rows)


def random_access_text(latency: dict[str, Any]) -> str:
    """The wait for one image as text."""
    read, anew = latency["read"]["median_ms"], latency["open_and_read"]["median_ms"]
    return f"one image: {rounded(read)} ms from an open file, {rounded(anew)} ms with opening it"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    arguments = parse_arguments(argv)
    torch.set_num_threads(arguments.threads)
    given = load_images(arguments.input) if arguments.input else demo.load_sample()[..., None]
    name = Path(arguments.input).name if arguments.input else demo.SAMPLE.name
    images = tile(given, arguments.images)
    codec = Codec(aecodec.load_model(arguments.model), pixel_part=VARIANTS[arguments.variant])
    asked = {"quality": arguments.quality}
    if arguments.max_error is not None:
        asked = {"max_error": arguments.max_error}
    ours, blob = measure_aecodec(images, codec, asked)
    png = measure_png(images)
    speed = "images_per_s"
    result = {
        **facts(name, given),
        "images": len(images),
        "model": Path(arguments.model).stem,
        "target": asked,
        "variant": arguments.variant if "max_error" in asked else None,
        "coder": entropy.coder().__name__.rpartition(".")[2],
        "aecodec": ours,
        "png": png,
        "ratio": {way: ours[way][speed] / png[way][speed] for way in ("encode", "decode")},
        "random_access": measure_random_access(blob, codec, len(images), arguments.seed),
    }
    print(table(result))
    print(random_access_text(result["random_access"]))
    print(f"images by mode: {ours['images_by_mode']}")
    write_result(arguments.name, result, arguments.results)


if __name__ == "__main__":
    main()
