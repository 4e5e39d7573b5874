"""Are latents worth their bits under the pixel model? It is trained without and with an underlay.

The underlay is of latents of several qualities. Each training has the same steps and images, and
starts from nothing or from a model without an underlay (``--base``). Sizes are of whole files of
held-out images at several error bounds, the latents among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import add_result_options, facts, format_table, load_images, write_result

import aecodec
from aecodec.arrays import Images, Indices
from aecodec.codec.codec import Codec
from aecodec.container.parts import UNDERLAY, VARIANTS
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.targets import QUALITY_UNIT
from aecodec.training.loop import split_images
from aecodec.training.pixels import PixelTrainConfig, train_pixel_model

BOUNDS = (0, 8, 32)
QUALITIES = (1.0, 2.0, 3.0)
HELD_OUT = 2000


def compare(
    every: Images,
    exact: Indices | None,
    models: tuple[Model, Model],
    config: PixelTrainConfig,
    part_name: str,
    qualities: Sequence[float],
) -> list[dict[str, Any]]:
    """A row for the pixel model alone, and for each quality of its underlay.

    ``models`` are the one whose latents are used, and the one from which each training starts.
    """
    model, base = models
    others = {k: v for k, v in model.parts.items() if k != part_name}
    numbers = np.arange(len(every))[:, None, None, None]
    ids = split_images(numbers, config)[1].ravel()
    held_out = every[ids if exact is None else np.intersect1d(ids, exact)][:HELD_OUT]
    rows: list[dict[str, Any]] = []
    for quality in (None, *qualities):
        stored = None if quality is None else round(quality * QUALITY_UNIT)
        part, _ = train_pixel_model(
            every, config, part_name, provenance={}, exact=exact, base=base, underlay=stored
        )
        trained = replace(model, parts={**others, part_name: part})
        codec = Codec(trained, pixel_part=part_name)
        bpp = {}
        for bound in BOUNDS:
            blob = aecodec.encode(held_out, codec=codec, max_error=bound)
            bpp[bound] = metrics.bits_per_pixel(len(blob), held_out.shape)
        print(f"latents {quality}: {bpp}", flush=True)
        rows.append({"latents": quality, "part_nbytes": part.nbytes, "bpp": bpp})
    return rows


def lines(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows as texts."""
    return [
        (
            "alone" if row["latents"] is None else f"on quality {row['latents']:g}",
            *(f"{row['bpp'][bound]:.4f}" for bound in BOUNDS),
        )
        for row in rows
    ]


def starting_models(a: argparse.Namespace) -> tuple[Model, Model]:
    """The model of ``--model``, and the same with the pixel model of ``--base``, or with none."""
    part_name = VARIANTS[a.variant]
    model = aecodec.load_model(a.model)
    start = aecodec.load_model(a.base).parts[part_name] if a.base else None
    if start is not None and UNDERLAY in start.tensors:
        raise SystemExit(f"--base: {part_name} of {a.base} has an underlay already")
    others = {k: v for k, v in model.parts.items() if k != part_name}
    return model, replace(model, parts={**others, **({part_name: start} if start else {})})


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="training images")
    parser.add_argument(
        "--model", default="mnist", help="whose latents: name or file (%(default)s)"
    )
    parser.add_argument("--base", metavar="MODEL", help="go on from this one's pixel model")
    parser.add_argument("--variant", choices=VARIANTS, default="fast", help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of each training (%(default)s)")
    parser.add_argument("--lr-scale", type=float, default=1.0, help="times the learning rates")
    parser.add_argument("--flip", type=float, default=0.0, help="share of images mirrored")
    parser.add_argument(
        "--exact", metavar="NPY", help="indices of the images exact to the last bit"
    )
    parser.add_argument("--qualities", type=float, nargs="+", default=list(QUALITIES), metavar="Q")
    add_result_options(parser, "latents-under-pixels")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    a = parse_arguments(argv)
    every = load_images(a.input)
    exact = np.load(a.exact).astype(np.intp) if a.exact else None
    models = starting_models(a)
    config = PixelTrainConfig(steps=a.steps, flip=a.flip)
    rates = {name: getattr(config, name) * a.lr_scale for name in ("lr_matrices", "lr", "lr_rate")}
    config = replace(config, **rates)
    rows = compare(every, exact, models, config, VARIANTS[a.variant], a.qualities)
    print(format_table(("pixel model", *(f"E = {e}" for e in BOUNDS)), lines(rows)))
    result = {
        **facts(Path(a.input).name, every),
        "model": Path(a.model).stem,
        "base": Path(a.base).stem if a.base else None,
        "variant": a.variant,
        "steps": a.steps,
        "lr_scale": a.lr_scale,
        "flip": a.flip,
        "rows": rows,
    }
    write_result(a.name, result, a.results)


if __name__ == "__main__":
    main()
