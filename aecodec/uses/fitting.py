"""``aecodec train`` with ``--map``, ``--vae`` or ``--denoise``: images in, a model file out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aecodec._version import __version__
from aecodec.files import atomic_path
from aecodec.fitting import configure, load_set, show_training
from aecodec.models import Model, pack_model
from aecodec.nets.use_objectives import BERNOULLI, NOISES
from aecodec.training import Report, TrainConfig, Trainer, split_images
from aecodec.uses.denoising import denoising_gain
from aecodec.uses.generation import evidence
from aecodec.uses.maps import map_error
from aecodec.uses.stored import DENOISE, LATENTS_MAX, MAP, VAE, build, restore, store


@dataclass(frozen=True)
class UseConfig(TrainConfig):
    """How a small network of another use is trained."""

    steps: int = 7_000
    batch_images: int = 96
    weight_decay: float = 0.05


def train_use(
    images: np.ndarray,
    config: UseConfig,
    settings: Mapping[str, Any],
    *,
    name: str,
    provenance: Mapping[str, Any],
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda step, numbers: None,
) -> Model:
    """Train on uint8 images (N, H, W, C) what ``settings`` describe; also when interrupted."""
    training, held_out = split_images(images, config)
    torch.manual_seed(config.seed)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    objective = build(shape, settings, training)
    run = f"{provenance.get('data_sha256')} {json.dumps(settings, sort_keys=True)}"
    trainer = Trainer(objective, config, torch.device(device), run)
    if resume and checkpoint and checkpoint.exists():
        trainer.restore(checkpoint)
    trainer.run(training, checkpoint, report)
    objective.load_state_dict(trainer.averaged)
    about = {
        "package": __version__,
        "torch": torch.__version__,
        "steps_done": trainer.step,
        "recipe": asdict(config),
        **provenance,
    }
    model = store(objective.cpu(), name, shape, settings, about)
    return replace(model, training={**about, **_validate(model, held_out)})


def _validate(model: Model, images: np.ndarray) -> dict[str, float]:
    """What the stored model reaches on images held out from training."""
    objective = restore(model)
    use = model.encoder_config["use"]
    if use == VAE:
        return {"validation_elbo_nats": round(evidence(objective, images, seed=0).elbo_nats, 3)}
    if use == MAP:
        return {"validation_mse_255": round(map_error(objective, images), 2)}
    level = min(0.3, model.encoder_config["sigma"])
    noise = model.encoder_config["noises"][0]
    before, after = denoising_gain(objective, images, noise, level, seed=0)
    return {"validation_gain_db": round(after - before, 3)}


# ---------------------------------------------------------------- the command


def fit_use(a: argparse.Namespace) -> int:
    """Run the command with its parsed options; returns the exit status."""
    output = Path(a.output)
    if output.exists() and not a.force:
        raise FileExistsError(17, "exists", str(output))
    settings = _settings(a)
    images, data = load_set(a.input)
    config = configure(UseConfig(), a)
    with show_training(a, settings["use"], config.steps, ".ckpt") as (checkpoint, report):
        model = train_use(
            images,
            config,
            settings,
            name=a.name or output.stem,
            provenance=data,
            device=a.device,
            checkpoint=checkpoint,
            resume=a.resume,
            report=report,
        )
        with atomic_path(output, force=a.force) as temporary:
            temporary.write_bytes(pack_model(model))
        finished = model.training["steps_done"] >= config.steps
        if finished:
            checkpoint.unlink(missing_ok=True)
    measured = {k: v for k, v in model.training.items() if k.startswith("validation_")}
    if a.json:
        facts = {"output": a.output, "name": model.name, "shape": list(model.shape)}
        print(json.dumps({**facts, **settings, "finished": finished, **measured}))
    elif not a.quiet:
        text = ", ".join(f"{k.replace('_', ' ')} {v:.2f}" for k, v in measured.items())
        print(f"{output}: {text}", file=sys.stderr)
        if not finished:
            done = model.training["steps_done"]
            print(
                f"interrupted after {done} steps; the model is usable, and --resume -f continues",
                file=sys.stderr,
            )
    return 0


def _settings(a: argparse.Namespace) -> dict[str, Any]:
    for option in ("base", "exact"):
        if getattr(a, option):
            raise ValueError(f"--{option}: has no meaning with --map, --vae or --denoise")
    latents = 2 if a.latent_dim is None else a.latent_dim
    if not 1 <= latents <= LATENTS_MAX:
        raise ValueError(f"--latent-dim: expected 1 to {LATENTS_MAX}, got {latents}")
    if a.map:
        return {"use": MAP, "latents": latents}
    if a.vae:
        return {"use": VAE, "latents": latents, "likelihood": a.likelihood or BERNOULLI}
    if not 0 < a.denoise <= 1:
        raise ValueError(f"--denoise: expected 0 to 1, got {a.denoise}")
    noises = (a.noise or ",".join(NOISES)).split(",")
    if not set(noises) <= set(NOISES) or len(set(noises)) < len(noises):
        raise ValueError(f"--noise: expected some of {','.join(NOISES)}, got {a.noise!r}")
    return {"use": DENOISE, "sigma": a.denoise, "noises": noises}
