"""``aecodec train``: an image set in, a model file out."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.files import atomic_path
from aecodec.images import ImageSetError, open_images
from aecodec.models import pack_model, shape_text

SIDE_MIN, SIDE_MAX = 8, 64
QUALITIES = 9


def fit_model(a: argparse.Namespace) -> int:
    """Run the command with its parsed options; returns the exit status."""
    output = Path(a.output)
    if output.exists() and not a.force:
        raise FileExistsError(17, "exists", str(output))
    images, about = _load_set(a.input)
    from tqdm import tqdm

    from aecodec.training import TrainConfig, train_autoencoder

    chosen = {
        "steps": a.steps,
        "batch_images": a.batch,
        "seed": a.seed,
        "validation": a.validation,
    }
    config = replace(TrainConfig(), **{k: v for k, v in chosen.items() if v is not None})
    _check_config(config)
    checkpoint = output.with_name(output.name + ".ckpt")
    with tqdm(total=config.steps, unit=" steps", disable=a.quiet, desc="train") as bar:
        shown: dict[str, float] = {}

        def report(step: int, numbers: dict[str, float]) -> None:
            for key, value in numbers.items():
                shown[key] = shown.get(key, value) * 0.98 + value * 0.02
            bar.update(step - bar.n)
            if step % 20 == 0:
                bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()}, refresh=False)

        model = train_autoencoder(
            images,
            config,
            name=a.name or output.stem,
            provenance=about,
            device=a.device,
            checkpoint=checkpoint,
            resume=a.resume,
            report=report,
        )
    with atomic_path(output, force=a.force) as temporary:
        temporary.write_bytes(pack_model(model))
    finished = model.training["steps_done"] == config.steps
    if finished:
        checkpoint.unlink(missing_ok=True)
    _tell(a, output, model, finished=finished)
    return 0


def _tell(a: argparse.Namespace, output: Path, model: Any, *, finished: bool) -> None:  # noqa: ANN401
    facts = {
        "output": str(output),
        "name": model.name,
        "shape": list(model.shape),
        "steps_done": model.training["steps_done"],
        "finished": finished,
        "validation_psnr_db": model.training["validation_psnr_db"],
        "decoder_nbytes": sum(part.nbytes for part in model.parts.values()),
    }
    if a.json:
        print(json.dumps(facts))
    elif not a.quiet:
        psnr = " ".join(f"{v:.2f}" for v in facts["validation_psnr_db"])
        print(f"{output}: {shape_text(model.shape)}, validation PSNR at quality 1 to 9: {psnr}")
        if not finished:
            print(
                f"interrupted after {facts['steps_done']} steps; the model is usable, and "
                "--resume -f continues",
                file=sys.stderr,
            )


def _load_set(path: str) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    with open_images(sys.stdin.buffer if path == "-" else path) as source:
        height, width, _ = source.shape
        if not all(SIDE_MIN <= side <= SIDE_MAX for side in (height, width)):
            raise ImageSetError(
                f"{path}: images are {height}x{width}, sides {SIDE_MIN} to {SIDE_MAX} can be trained"
            )
        batches = list(source.batches(4096))
    if not batches:
        raise ImageSetError(f"{path}: the set is empty, nothing to train on")
    images = np.concatenate(batches)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    name = Path(path).name if path != "-" else "standard input"
    return images, {"data": name, "data_sha256": digest, "images": len(images)}


def _check_config(config: Any) -> None:  # noqa: ANN401
    if config.steps < 1:
        raise ValueError(f"--steps: expected 1 or more, got {config.steps}")
    if config.batch_images < QUALITIES or config.batch_images % QUALITIES:
        raise ValueError(f"--batch: expected a multiple of nine, got {config.batch_images}")
    if not 0 <= config.validation < 1:
        raise ValueError(f"--validation: expected 0 to 1, got {config.validation}")
