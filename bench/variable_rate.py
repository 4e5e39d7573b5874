"""What one model for all qualities costs beside a model for each: bytes at the same error.

A model of all nine qualities and one for each of three weights of error against rate are trained
alike: the same network, images, steps and batch. A model of one weight spends all nine parts of a
batch on it. Sizes are whole files of held-out images; ``loss`` is by how much the model of all
qualities is larger at the PSNR that the other reaches.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
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
from aecodec import metrics
from aecodec.codec import Codec
from aecodec.images import Images
from aecodec.latent_training import LatentConfig, train_autoencoder
from aecodec.models import Model
from aecodec.training import split_images

QUALITIES = (2, 4, 6)  # whose weights the single models get
LADDER = tuple(np.arange(1, 9.01, 0.25))
HELD_OUT = 5000


def measured(images: Images, codec: Codec, quality: float) -> tuple[float, float]:
    """PSNR and bits a pixel of a file."""
    blob = aecodec.encode(images, codec=codec, quality=quality)
    x_hat = aecodec.decode(blob, codec=codec)
    return pooled_psnr_db(images, x_hat), metrics.bits_per_pixel(len(blob), images.shape)


def train(images: Images, config: LatentConfig, name: str) -> Model:
    return train_autoencoder(images, config, name=name, provenance={})


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="training images")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--steps", type=int, default=8000, help="of each training (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print a table for a README")
    add_result_options(parser, "variable-rate")
    a = parser.parse_args(argv)
    every = load_images(a.input, a.limit)
    config = LatentConfig(steps=a.steps)
    held_out = split_images(every, config)[1][:HELD_OUT]
    joint = Codec(train(every, config, "all"))
    points = [measured(held_out, joint, float(quality)) for quality in LADDER]
    psnr, bpp = (np.array(values) for values in zip(*points, strict=True))
    rows: list[dict[str, Any]] = []
    for quality in QUALITIES:
        lmbda = float(config.lmbdas()[quality - 1])
        own = train(every, replace(config, lmbda_min=lmbda, lmbda_max=lmbda), f"only {quality}")
        reached, rate = measured(held_out, Codec(own), 5)
        usual = math.exp(np.interp(reached, psnr, np.log(bpp)))
        inside = bool(psnr[0] <= reached <= psnr[-1])
        rows.append(
            {
                "quality": quality,
                "lmbda": lmbda,
                "psnr_db": reached,
                "single_bpp": rate,
                "all_bpp": usual if inside else None,
                "loss": usual / rate - 1 if inside else None,
            }
        )
    head = ("weight of quality", "PSNR dB", "its own model, bpp", "one model for all, bpp", "loss")
    lines = [
        (
            str(r["quality"]),
            f"{r['psnr_db']:.2f}",
            f"{r['single_bpp']:.4f}",
            "" if r["all_bpp"] is None else f"{r['all_bpp']:.4f}",
            "" if r["loss"] is None else f"{100 * r['loss']:+.1f}%",
        )
        for r in rows
    ]
    print((format_markdown if a.markdown else format_table)(head, lines))
    result = {**facts(Path(a.input).name, every), "steps": a.steps, "rows": rows}
    write_result(a.name, result, a.results)


if __name__ == "__main__":
    main()
