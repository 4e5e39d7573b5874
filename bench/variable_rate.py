"""What one model for all qualities costs beside a model for each: bytes at the same error.

A model of all nine qualities, and models for each of three weights of error against rate, are
trained alike: with the same network, images and steps. The model of all qualities uses a ninth of
each batch for each quality. A model of one weight is trained twice: with whole batches, which hold
nine times as many images of its quality, and with a ninth of them, which hold as many. With
``--base``, all of them start from a trained model, the single ones with the steps, gains and trunk
of their quality. Sizes are of whole files of held-out images. ``loss`` is by how much the file of
the model of all qualities is larger, at the PSNR that the other model reaches.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
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
from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER, LOW_BELOW
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.nets.latent_decoder import LOW
from aecodec.targets import QUALITIES as QUALITY_COUNT
from aecodec.targets import QUALITY_UNIT
from aecodec.training.latents import LatentConfig, train_autoencoder
from aecodec.training.loop import split_images

QUALITIES = (2, 4, 6)  # whose weights the single models get
LADDER = tuple(q + step for q in QUALITIES for step in (-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75))
HELD_OUT = 5000
HEAD = (
    "weight of quality",
    "images a step",
    "PSNR dB",
    "its own model, bpp",
    "one model for all, bpp",
    "loss",
)


def measured(images: Images, codec: Codec, quality: float) -> tuple[float, float]:
    """PSNR and bits a pixel of a file at the codec's effort."""
    blob = aecodec.encode(images, codec=codec, quality=quality)
    x_hat = aecodec.decode(blob, codec=codec)
    return pooled_psnr_db(images, x_hat), metrics.bits_per_pixel(len(blob), images.shape)


def of_one_quality(base: Model | None, quality: int) -> Model | None:
    """The model with the steps and gains of one quality at all nine, and its trunk alone."""
    if base is None:
        return None
    row = np.full(QUALITY_COUNT, quality - 1)
    part = base.parts[LATENT_DECODER]
    tensors = {k: t for k, t in part.tensors.items() if not k.startswith(LOW)}
    if QUALITY_UNIT * quality < int(part.tensors.get(LOW_BELOW, [0])[0]):
        tensors |= {k.removeprefix(LOW): t for k, t in part.tensors.items() if k.startswith(LOW)}
        del tensors[LOW_BELOW.removeprefix(LOW)]
    part = replace(part, tensors={**tensors, "gain": part.tensors["gain"][row]})
    encoder = {**base.encoder, "log_step": base.encoder["log_step"][row]}
    return replace(base, parts={LATENT_DECODER: part}, encoder=encoder)


def compare(
    every: Images, held_out: Images, config: LatentConfig, base: Model | None, effort: int
) -> list[dict[str, Any]]:
    """A row for each quality and batch: PSNR and size of its own model, and size of that of all."""

    def train(config: LatentConfig, base: Model | None, *, low_trunk: bool) -> Codec:
        model = train_autoencoder(
            every, config, name="it", provenance={}, base=base, low_trunk=low_trunk
        )
        return Codec(model, effort=effort)

    joint = train(config, base, low_trunk=True)
    points = [measured(held_out, joint, float(quality)) for quality in LADDER]
    psnr, bpp = (np.array(values) for values in zip(*points, strict=True))
    rows: list[dict[str, Any]] = []
    for quality, batch in product(
        QUALITIES, (config.batch_images, config.batch_images // QUALITY_COUNT)
    ):
        lmbda = float(config.lmbdas()[quality - 1])
        alone = replace(config, lmbda_min=lmbda, lmbda_max=lmbda, batch_images=batch)
        own = train(alone, of_one_quality(base, quality), low_trunk=False)
        reached, rate = measured(held_out, own, 5)
        usual = math.exp(np.interp(reached, psnr, np.log(bpp)))
        inside = bool(psnr[0] <= reached <= psnr[-1])
        print(
            f"{quality}, {batch} images: {reached:.3f} dB, {rate:.4f} bpp; all: {usual:.4f}",
            flush=True,
        )
        rows.append(
            {
                "quality": quality,
                "batch_images": batch,
                "lmbda": lmbda,
                "psnr_db": reached,
                "single_bpp": rate,
                "all_bpp": usual if inside else None,
                "loss": usual / rate - 1 if inside else None,
            }
        )
    return rows


def lines(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows as texts under HEAD."""
    return [
        (
            str(r["quality"]),
            str(r["batch_images"]),
            f"{r['psnr_db']:.2f}",
            f"{r['single_bpp']:.4f}",
            "" if r["all_bpp"] is None else f"{r['all_bpp']:.4f}",
            "" if r["loss"] is None else f"{100 * r['loss']:+.1f}%",
        )
        for r in rows
    ]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="training images")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--steps", type=int, default=8000, help="of each training (%(default)s)")
    parser.add_argument(
        "--batch", type=int, default=162, help="images; the square of nine divides it (%(default)s)"
    )
    parser.add_argument("--base", metavar="MODEL", help="go on from this one")
    parser.add_argument("--effort", type=int, default=3, help="of the encoder (%(default)s)")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="images (%(default)s)")
    parser.add_argument("--flip", type=float, default=0.0, help="share of images mirrored")
    parser.add_argument("--lr-scale", type=float, default=1.0, help="times the learning rates")
    parser.add_argument("--markdown", action="store_true", help="print a table for a README")
    add_result_options(parser, "variable-rate")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    a = parse_arguments(argv)
    every = load_images(a.input, a.limit)
    config = LatentConfig(steps=a.steps, batch_images=a.batch, flip=a.flip)
    rates = {name: getattr(config, name) * a.lr_scale for name in ("lr_matrices", "lr", "lr_rate")}
    config = replace(config, **rates)
    base = None if a.base is None else aecodec.load_model(a.base)
    held_out = split_images(every, config)[1][: a.held_out]
    rows = compare(every, held_out, config, base, a.effort)
    print((format_markdown if a.markdown else format_table)(HEAD, lines(rows)))
    result = {
        **facts(Path(a.input).name, every),
        "steps": a.steps,
        "batch_images": a.batch,
        "base": a.base,
        "lr_scale": a.lr_scale,
        "flip": a.flip,
        "effort": a.effort,
        "rows": rows,
    }
    write_result(a.name, result, a.results)


if __name__ == "__main__":
    main()
