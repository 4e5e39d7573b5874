"""``aecodec map``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.cli.files import name_of, refuse_existing, whole_source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.map_input import (
    MapInput,
    labels_within,
    read_input,
    require_memory_to_map,
    takes_bundled,
)
from aecodec.cli.options import SETS_OR_AEZ, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.progress import steps_bar
from aecodec.cli.terminal import shown
from aecodec.cli.use_outputs import require_suffix, say

if TYPE_CHECKING:
    import numpy.typing as npt

    from aecodec.arrays import Floats
    from aecodec.held_rows import Rows
    from aecodec.measures.pca import PcaBasis
    from aecodec.training.loop import Report
    from aecodec.uses.maps import Map, MapConfig

SUFFIXES = (".png", ".html", ".npy")
PCA_SHARE = 5  # eighths of the memory for the square matrices of PCA
IMAGES_A_STEP = 96  # rows of a table are smaller, and a step takes more of them


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument(
        "input",
        type=InputPath,
        metavar="IN",
        help=f"a table (.npy, .csv), or images: {SETS_OR_AEZ}",
    )
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="MAP",
        required=True,
        help=".png, .html, or .npy of the points",
    )
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--linear", action="store_true", help="without activations: finds what PCA finds"
    )
    how.add_argument("--nonlinear", action="store_true", help="the default")
    sub.add_argument("--dims", type=int, choices=[2, 3], default=2, help="of the map (2)")
    sub.add_argument(
        "--labels", type=InputPath, metavar="FILE", help="IDX, .npy, or a text of one a line"
    )
    sub.add_argument(
        "--model",
        type=ModelPath,
        metavar="NAME|FILE",
        help="trained for map, or a codec's; default: the bundled map that knows the images, or "
        "else one is trained, which takes a minute or more",
    )
    sub.add_argument(
        "--steps", type=int, help="train a map on these very images, in so many steps (5000)"
    )
    sub.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    add_force(sub)
    add_talk(sub)
    add_limit_options(sub)


def run(a: argparse.Namespace) -> int:
    """Draw a map; returns the exit status."""
    from aecodec.uses import maps
    from aecodec.uses.inputs import is_aez, read_labels

    refuse_existing(a.output, force=a.force)
    require_suffix(a.output, SUFFIXES)
    if a.steps is not None and a.steps < 1:
        raise ValueError(f"--steps: expected 1 or more, got {a.steps}")
    config = maps.MapConfig(seed=a.seed)
    config = config if a.steps is None else replace(config, steps=a.steps)
    source = whole_source_of(a.input)
    found = read_input(a, source)
    flat, count = found.flat, len(found.flat)
    if is_aez(source):
        require_memory_to_map(a, found)
    labels = labels_within(a, source)
    if a.labels:
        labels = read_labels(a.labels, count, found.names, found.skipped)
    if flat.size // count < a.dims:
        raise ValueError(f"--dims: {a.input} has {flat.size // count} columns, fewer than {a.dims}")
    most = PCA_SHARE * limits_of(a).max_memory_nbytes // 8
    pca, basis = maps.map_pca(flat, a.dims, most)
    made, angles = _made(a, found, config, basis)
    facts: dict[str, Any] = {"output": a.output, "input": found.source, **angles}
    facts |= {"method": "linear" if a.linear else "nonlinear", **maps.facts_of(made, pca, labels)}
    note = _note(facts, found.unit)
    _write(a, made.points, labels, found.images, note)
    say(a, facts, f"{a.output}: {count:,} points of {found.source}; {note}")
    return 0


def _made(
    a: argparse.Namespace, found: MapInput, config: MapConfig, basis: PcaBasis
) -> tuple[Map, dict[str, list[float]]]:
    """The map, and for a linear one its angles to PCA's plane."""
    from aecodec.held_rows import flattened
    from aecodec.uses import maps

    off = a.quiet or not sys.stderr.isatty()
    with steps_bar("train map", config.steps, off=off, delay=1) as show:

        def report(step: int, numbers: dict[str, float]) -> None:
            del numbers
            show(step, {})

        if a.linear:
            made, plane = maps.fit_linear(flattened(found.flat), a.dims, config, report)
            angles = maps.principal_angles(plane, basis.axes.T)
            return made, {"angles_degrees": [round(float(v), 4) for v in angles]}
        if found.rows is not None:
            _tell_training(a, config, f"{len(found.rows):,} rows of {found.source}")
            return maps.fit_dense(found.rows, a.dims, config, report), {}
        return _map_images(a, found.flat, config, report), {}


def _map_images(a: argparse.Namespace, images: Rows, config: MapConfig, report: Report) -> Map:
    from aecodec.uses import maps
    from aecodec.uses.knowing import bundled_map_for, knows_by_map
    from aecodec.uses.stored import MAP, load_use, restore

    model = bundled_map_for(images, a.dims) if takes_bundled(a) else None
    if model is not None:
        _tell(a, f"by the bundled model {model.name!r}; --steps trains one on these images")
        return maps.map_images(restore(model), images)
    if not a.model:
        config = replace(config, batch_images=IMAGES_A_STEP)
        _tell_training(a, config, f"{len(images):,} images")
        return maps.fit_images(images, a.dims, config, report)
    model = load_use(a.model, MAP)
    model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    if model.encoder_config["latents"] != a.dims:
        latents = model.encoder_config["latents"]
        raise ValueError(f"--dims: model {model.name!r} has {latents}, asked for {a.dims}")
    made = maps.map_images(restore(model), images)
    if not knows_by_map(model, made.mse):
        _tell(a, f"model {model.name!r} does not know these images; --steps trains one on them")
    return made


def _tell(a: argparse.Namespace, text: str) -> None:
    if not a.quiet:
        print(f"{shown(name_of(a.input))}: {text}", file=sys.stderr)


def _tell_training(a: argparse.Namespace, config: MapConfig, what: str) -> None:
    _tell(a, f"training a map on {what} in {config.steps:,} steps; fewer --steps take less time")


def _note(facts: Mapping[str, Any], unit: str) -> str:
    note = f"mean squared error {facts['mse']:.4g} ({unit} squared), PCA {facts['pca_mse']:.4g}"
    if facts["accuracy"] is not None:
        note += (
            f"; 5 nearest neighbours {100 * facts['accuracy']:.1f} %, "
            f"PCA {100 * facts['pca_accuracy']:.1f} %"
        )
    if "angles_degrees" in facts:
        note += f"; at most {max(facts['angles_degrees']):.2f}° from PCA"
    return note


def _write(
    a: argparse.Namespace,
    points: Floats,
    labels: npt.NDArray[Any] | None,
    images: Rows | None,
    note: str,
) -> None:
    """Write the map as a picture, a page or an array of points."""
    import numpy as np

    from aecodec.io.atomic import atomic_path
    from aecodec.uses import drawing
    from aecodec.uses.page import map_page_pieces

    title = f"{name_of(a.input)}: {'linear' if a.linear else 'nonlinear'} map"
    output = Path(a.output)
    if output.suffix.lower() == ".png":
        drawing.write_figure(drawing.scatter(points, labels, title, note), output, force=a.force)
        return
    with atomic_path(output, force=a.force) as temporary:
        if output.suffix.lower() == ".html":
            with open(temporary, "w", encoding="utf-8") as file:
                file.writelines(map_page_pieces(points, labels, images, title, note))
        else:
            with open(temporary, "wb") as binary:
                np.save(binary, points)
