"""Does a trained linear map equal PCA, and how much better is a nonlinear one? Facts, as JSON.

usage: python bench/maps.py IN --labels FILE --model mnist [--steps 5000]

The linear map is trained on IN itself; the nonlinear one is the model's, trained on other images,
while PCA is always fitted to IN. Accuracy is that of 5 nearest neighbours, each point left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import add_result_options, facts, load_images, write_result

from aecodec.uses import maps
from aecodec.uses.inputs import read_labels
from aecodec.uses.stored import MAP, load_use, restore


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--labels", required=True, metavar="FILE")
    parser.add_argument("--model", required=True, help="trained for map")
    parser.add_argument(
        "--steps", type=int, default=maps.MapConfig().steps, help="of the linear map"
    )
    add_result_options(parser, "maps")
    a = parser.parse_args(argv)
    images = load_images(Path(a.input))
    labels = read_labels(a.labels, len(images))
    rows = images.reshape(len(images), -1).astype(np.float32)
    pca, basis = maps.map_pca(rows, 2)
    linear, plane = maps.fit_linear(rows, 2, replace(maps.MapConfig(), steps=a.steps))
    angles = maps.principal_angles(plane, basis.axes.T)
    nonlinear = maps.map_images(restore(load_use(a.model, MAP)), images)
    found = {
        **facts(Path(a.input).name, images),
        "model": a.model,
        "linear": {
            **maps.facts_of(linear, pca, labels),
            "steps": a.steps,
            "angles_degrees": [round(float(v), 4) for v in angles],
            "excess_error": linear.mse / pca.mse - 1,
        },
        "nonlinear": {**maps.facts_of(nonlinear, pca, labels)},
    }
    for name in ("linear", "nonlinear"):
        print(name, found[name])
    write_result(a.name, found, a.results)


if __name__ == "__main__":
    main()
