"""``aecodec train`` with ``--map``, ``--vae`` or ``--denoise``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecodec.cli.progress import steps_bar
from aecodec.cli.train_end import UNFINISHED, end_interrupted, model_name, say_where_it_goes_on
from aecodec.cli.train_input import configure, load_set
from aecodec.io.atomic import atomic_path
from aecodec.io.strict_json import strict_json


def train_use(a: argparse.Namespace, output: Path) -> int:
    """Train the network, write it, and say what it reaches; returns the exit status."""
    from aecodec.models.file import pack_model
    from aecodec.uses.training import UseConfig
    from aecodec.uses.training import train_use as train

    settings = _settings(a)
    name = model_name(a.name, output)
    images, data = load_set(a.input)
    config = configure(UseConfig(), a)
    checkpoint = output.with_name(output.name + ".ckpt")
    if a.resume:
        say_where_it_goes_on(checkpoint, settings["use"], quiet=a.quiet)
    with steps_bar(f"train {settings['use']}", config.steps, off=a.quiet) as report:
        model = train(
            images,
            config,
            settings,
            name=name,
            provenance=data,
            device=a.device,
            checkpoint=checkpoint,
            resume=a.resume,
            report=report,
        )
    finished = model.training["finished"]
    model = model if finished else replace(model, name=name + UNFINISHED)
    with atomic_path(output, force=a.force) as temporary:
        temporary.write_bytes(pack_model(model))
    if finished:
        checkpoint.unlink(missing_ok=True)
    measured = {k: v for k, v in model.training.items() if k.startswith("validation_")}
    if a.json:
        facts = {"output": a.output, "name": model.name, "shape": list(model.the_shape())}
        print(strict_json({**facts, **settings, "finished": finished, **measured}))
    elif not a.quiet:
        text = ", ".join(f"{k.replace('_', ' ')} {v:.2f}" for k, v in measured.items())
        print(f"{output}: {text}", file=sys.stderr)
    return 0 if finished else end_interrupted(output, model.training)


def _settings(a: argparse.Namespace) -> dict[str, Any]:
    """What to train, as a model file holds it; ValueError names an option that is wrong."""
    from aecodec.uses.objectives import BERNOULLI, NOISES
    from aecodec.uses.stored import DENOISE, LATENTS_MAX, MAP, VAE

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
