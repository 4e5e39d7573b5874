"""What each level of ``--effort`` buys: size, error and time of latents at some qualities.

``saved`` is how many bytes fewer a level takes than no search at all, for the same PSNR: its size
beside that of the unsearched ladder of qualities at its PSNR.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    add_result_options,
    facts,
    format_markdown,
    format_table,
    load_images,
    pooled_psnr_db,
    write_result,
)

import aecodec
from aecodec.arrays import Images
from aecodec.codec.codec import SEARCH_STEPS, Codec
from aecodec.measures import metrics

LADDER = tuple(np.arange(1, 9.01, 0.5))
UNSEARCHED = 3


def measured(images: Images, codec: Codec, quality: float) -> dict[str, Any]:
    """Whole file and what it decodes to."""
    start = time.perf_counter()
    blob = aecodec.encode(images, codec=codec, quality=quality)
    seconds = time.perf_counter() - start
    return {
        "coder": codec.coder,
        "effort": codec.effort,
        "search_steps": SEARCH_STEPS[codec.effort],
        "quality": quality,
        "nbytes": len(blob),
        "bpp": metrics.bits_per_pixel(len(blob), images.shape),
        "psnr_db": pooled_psnr_db(images, aecodec.decode(blob, codec=codec)),
        "encode_s": seconds,
    }


def saved(row: dict[str, Any], ladder: Sequence[dict[str, Any]]) -> float | None:
    """Share of bytes saved against the ladder at the row's PSNR; None beyond the ladder's end."""
    psnr = [r["psnr_db"] for r in ladder]
    if not psnr[0] <= row["psnr_db"] <= psnr[-1]:
        return None
    usual = math.exp(np.interp(row["psnr_db"], psnr, np.log([r["nbytes"] for r in ladder])))
    return float(1 - row["nbytes"] / usual)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--model", default="mnist", help="name or file (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--coders", nargs="+", default=["zstd", "ans"])
    parser.add_argument("--efforts", type=int, nargs="+", default=[3, 4, 5, 6, 7, 8, 9])
    parser.add_argument("--qualities", type=float, nargs="+", default=[3.0, 5.0])
    parser.add_argument("--markdown", action="store_true", help="print a table for a README")
    add_result_options(parser, "effort")
    a = parser.parse_args(argv)
    images = load_images(a.input, a.limit)
    model = aecodec.load_model(a.model)
    rows: list[dict[str, Any]] = []
    for coder in a.coders:
        unsearched = Codec(model, coder=coder, effort=UNSEARCHED)
        ladder = [measured(images, unsearched, float(quality)) for quality in LADDER]
        for quality in a.qualities:
            for effort in a.efforts:
                row = measured(images, Codec(model, coder=coder, effort=effort), quality)
                rows.append({**row, "saved": saved(row, ladder)})
    head = ("coder", "effort", "quality", "bytes", "bpp", "PSNR dB", "saved", "encode s")
    lines = [
        (
            r["coder"],
            str(r["effort"]),
            f"{r['quality']:g}",
            f"{r['nbytes']:,}",
            f"{r['bpp']:.4f}",
            f"{r['psnr_db']:.2f}",
            "" if r["saved"] is None else f"{100 * r['saved']:.1f}%",
            f"{r['encode_s']:.0f}",
        )
        for r in rows
    ]
    print((format_markdown if a.markdown else format_table)(head, lines))
    name = Path(a.input).name
    write_result(
        a.name, {**facts(name, images), "model": Path(a.model).stem, "rows": rows}, a.results
    )


if __name__ == "__main__":
    main()
