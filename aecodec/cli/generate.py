"""``aecodec generate``."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aecodec.cli.files import name_of, refuse_existing, whole_source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import SETS_OR_AEZ, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.terminal import shown
from aecodec.cli.use_outputs import require_suffix, say, write_set

if TYPE_CHECKING:
    from aecodec.arrays import Floats
    from aecodec.models.model import Model
    from aecodec.uses.objectives import VaeObjective

SUFFIXES = (".png", ".npy")
STRIP_IMAGES = 16  # in a row of an interpolation


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument(
        "--model",
        type=ModelPath,
        metavar="NAME|FILE",
        required=True,
        help="mnist, fashion, or one of train --vae",
    )
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="OUT",
        help=".png of a grid, or .npy of the images",
    )
    sub.add_argument("-n", type=int, default=64, metavar="N", help="how many images (64)")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--manifold", action="store_true", help="the plane of a 2-D latent")
    what.add_argument(
        "--interpolate",
        nargs=2,
        type=int,
        metavar=("A", "B"),
        help="from image A to image B of --from; without that, from one sample to another",
    )
    sub.add_argument(
        "--from",
        type=InputPath,
        dest="source",
        metavar="IN",
        help=f"images to go between: {SETS_OR_AEZ}",
    )
    sub.add_argument("--seed", type=int, default=0, help="of the samples (0)")
    sub.add_argument(
        "--elbo",
        type=InputPath,
        metavar="IN",
        help=f"tell the evidence bound on a set: {SETS_OR_AEZ}",
    )
    add_force(sub)
    add_talk(sub)
    add_limit_options(sub)


class _Picked(NamedTuple):
    """Latents to decode, and how the images are drawn."""

    y: Floats  # (N, D)
    title: str
    columns: int = 0  # of the grid; 0 for a plane


def run(a: argparse.Namespace) -> int:
    """Make images, measure the evidence bound, or both; returns the exit status."""
    from aecodec.uses.stored import VAE, load_use, restore

    refuse_existing(a.output, force=a.force)
    require_suffix(a.output, SUFFIXES)
    if not a.output and not a.elbo:
        raise ValueError("nothing to do: name an output with -o, or a set with --elbo")
    if a.n < 1:
        raise ValueError(f"-n: expected 1 or more, got {a.n}")
    model = load_use(a.model, VAE)
    objective = restore(model)
    facts: dict[str, Any] = {"output": a.output, "model": model.name, "seed": a.seed}
    texts = []
    if a.elbo:
        found, text = _evidence(a, model, objective)
        facts |= found
        texts.append(text)
    if a.output:
        facts["generated"] = count = _generate(a, model, objective)
        texts.append(f"{a.output}: {count} images by model {model.name}")
    say(a, facts, "\n".join(texts))
    return 0


def _evidence(
    a: argparse.Namespace, model: Model, objective: VaeObjective
) -> tuple[dict[str, Any], str]:
    """The evidence bound on a set, as facts and as text."""
    from aecodec.uses import generation
    from aecodec.uses.inputs import load_image_set

    found = load_image_set(whole_source_of(a.elbo), limits_of(a), with_names=False)
    images = found.images
    model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    bound = generation.evidence(objective, images, a.seed)
    _tell_if_unknown(a, a.elbo, model, bound.elbo_nats)
    return asdict(bound), (
        f"{a.elbo}: ELBO {bound.elbo_nats:.2f} nats an image ({bound.nll_nats:.2f} for pixels, "
        f"{bound.kl_nats:.2f} for latents), {bound.bits_per_dim:.4f} bits per dimension; "
        f"{bound.convention}"
    )


def _tell_if_unknown(a: argparse.Namespace, path: str, model: Model, elbo_nats: float) -> None:
    from aecodec.uses.knowing import knows_by_elbo

    if not a.quiet and not knows_by_elbo(model, elbo_nats):
        text = f"model {model.name!r} does not know these images; 'aecodec train --vae' makes one"
        print(f"{shown(name_of(path))}: {text}", file=sys.stderr)


def _generate(a: argparse.Namespace, model: Model, objective: VaeObjective) -> int:
    """Write the images asked for, as a picture or a set; returns how many."""
    from aecodec.uses import drawing, generation

    picked = _picked(a, model, objective)
    images = generation.images_of(objective, picked.y)
    output = Path(a.output)
    if output.suffix.lower() != ".png":
        write_set(images, "npy", output, force=a.force)
    elif picked.columns:
        figure = drawing.grid_figure(images, picked.columns, picked.title)
        drawing.write_figure(figure, output, force=a.force)
    else:
        figure = drawing.plane_figure(images, math.isqrt(a.n), picked.title)
        drawing.write_figure(figure, output, force=a.force)
    return len(images)


def _picked(a: argparse.Namespace, model: Model, objective: VaeObjective) -> _Picked:
    """Latents on a plane, between two images, or of samples."""
    from aecodec.uses import generation

    name = model.name
    latents, side = objective.model.config.latents, math.isqrt(a.n)
    if a.manifold:
        if latents != 2:
            raise ValueError(f"--manifold: needs 2 latents, model {name!r} has {latents}")
        if side * side != a.n:
            raise ValueError(f"-n: a plane needs a square number of images, got {a.n}")
        y = generation.manifold_latents(side)
        return _Picked(y, f"{name}: the plane of its two latents")
    if a.interpolate:
        first, last = _ends(a, model, objective, latents)
        y = generation.interpolated_latents(first, last, a.n)
        title = f"{name}: from {a.interpolate[0]} to {a.interpolate[1]}"
        return _Picked(y, title, min(a.n, STRIP_IMAGES))
    y = generation.sample_latents(a.n, latents, a.seed)
    return _Picked(y, f"{name}: {a.n} samples, seed {a.seed}", math.ceil(math.sqrt(a.n)))


def _ends(
    a: argparse.Namespace, model: Model, objective: VaeObjective, latents: int
) -> tuple[Floats, Floats]:
    """Latents of the two ends of an interpolation."""
    import numpy as np

    from aecodec.arrays import evenly
    from aecodec.uses import generation
    from aecodec.uses.inputs import load_image_set
    from aecodec.uses.knowing import SAMPLE_IMAGES

    first, last = a.interpolate
    if min(first, last) < 0:
        raise ValueError(f"--interpolate: expected numbers from 0 on, got {first} {last}")
    if not a.source:
        y = generation.sample_latents(max(first, last) + 1, latents, a.seed)
        return y[first], y[last]
    found = load_image_set(whole_source_of(a.source), limits_of(a), with_names=False)
    images = found.images
    model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    if max(first, last) >= len(images):
        raise ValueError(f"--interpolate: {a.source} has images 0 to {len(images) - 1}")
    some = images[evenly(len(images), SAMPLE_IMAGES)]
    _tell_if_unknown(a, a.source, model, generation.evidence(objective, some, a.seed).elbo_nats)
    ends = generation.latents_of(objective, images[np.array([first, last])])
    return ends[0], ends[1]
