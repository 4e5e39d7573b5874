"""Train a bundled model: layer by layer, in several runs. A run that was interrupted resumes."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from aecodec.cli import main as aecodec

# Mirrored clothes are still clothes, mirrored digits are not; and clothes overfit more easily.
LATENT_OPTIONS = {"mnist": [], "fashion": ["--flip", "0.15"]}
LATER_DECAY = {"mnist": "0", "fashion": "0.05"}
LATER_LATENTS = (  # further runs; in the last two a batch has more images of each quality
    ("--steps", "18000", "--lr-scale", "0.4"),
    ("--steps", "15000", "--lr-scale", "0.3"),
    ("--steps", "8000", "--lr-scale", "0.3", "--batch", "288"),
    ("--steps", "5000", "--lr-scale", "0.2", "--batch", "288"),
)
PRIOR_STEPS = "3500"
LATER = ["--lr-scale", "0.4", "--weight-decay"]
SMALL = (["--steps", "3000"], ["--steps", "3000", *LATER, "0.1"])
# Saturated strokes of digits have levels 252 to 255, by row and column of their resampling.
TONES = ["--tones", "--lr-scale", "0.7", "--weight-decay", "0.1"]
# The planes decoded so far do not tell enough about clothes; a few latents add to them.
FLIPPED = ["--steps", "4000", "--flip", "0.15", *LATER]
UNDERLAY = ["--underlay", "2", *FLIPPED]
PIXEL_RUNS = {
    "mnist": {
        "fast": (["--steps", "2500"], ["--steps", "5000", *TONES, "--shift", "0.25"]),
        "small": (
            *SMALL,
            ["--steps", "5000", *LATER, "0.05"],
            ["--steps", "9000", *TONES, "--shift", "0.5"],
        ),
    },
    "fashion": {
        "fast": (["--steps", "2500"], [*FLIPPED, "0.05"], [*UNDERLAY, "0.05"]),
        "small": (*SMALL, [*FLIPPED, "0.1"], [*UNDERLAY, "0.1"]),
    },
}


def runs(name: str, exact: str | None) -> list[list[str]]:
    """Arguments of ``aecodec train``, run by run, without input, output and base."""
    ending = ["--exact", exact] if exact else []
    latents = LATENT_OPTIONS[name]
    decay = ["--weight-decay", LATER_DECAY[name]]
    return [
        ["--layers", "l", *latents],
        *(["--layers", "l", *options, *decay, *latents] for options in LATER_LATENTS),
        ["--layers", "p", "--steps", PRIOR_STEPS],
        *(
            ["--layers", "r", "--variant", variant, *options, *ending]
            for variant, each in PIXEL_RUNS[name].items()
            for options in each
        ),
        ["--layers", "d", *ending],
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Train all runs of a model; returns the exit status of the first that fails, or 0."""
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
    for number, options in enumerate(runs(a.name, a.exact), 1):
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
