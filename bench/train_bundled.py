"""Train a bundled model: layer L in two runs, then both pixel models; each run resumes by itself."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from aecodec.cli import main as aecodec

# Clothes look as good mirrored, digits do not; and clothes are learned by heart more easily.
LATENT_OPTIONS = {"mnist": [], "fashion": ["--flip", "0.15"]}
SECOND_DECAY = {"mnist": "0", "fashion": "0.05"}
SECOND_STEPS, SECOND_LR_SCALE = "18000", "0.4"
PIXEL_STEPS = {"fast": "2500", "small": "3000"}


def runs(name: str, source: str, exact: str | None) -> list[list[str]]:
    """Arguments of ``aecodec train``, run by run, without input, output and base."""
    ending = ["--exact", exact] if exact else []
    latents = LATENT_OPTIONS[name]
    second = ["--steps", SECOND_STEPS, "--lr-scale", SECOND_LR_SCALE]
    return [
        ["--layers", "l", *latents],
        ["--layers", "l", *second, "--weight-decay", SECOND_DECAY[name], *latents],
        *(
            ["--layers", "r", "--variant", variant, "--steps", steps, *ending]
            for variant, steps in PIXEL_STEPS.items()
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(LATENT_OPTIONS))
    parser.add_argument("input", metavar="IN", help="the training images")
    parser.add_argument(
        "--exact", metavar="NPY", help="indices of the images exact to the last bit"
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="where the runs are kept")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args(argv)
    base: Path | None = None
    for number, options in enumerate(runs(a.name, a.input, a.exact), 1):
        output = a.folder / f"{a.name}-{number}.safetensors"
        common = ["--name", a.name, "--device", a.device, "--resume", "-f"]
        start = ["--base", str(base)] if base else []
        status = aecodec(["train", a.input, "-o", str(output), *common, *start, *options])
        if status:
            return status
        base = output
    if base:
        shutil.copyfile(base, a.folder / f"{a.name}.safetensors")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
