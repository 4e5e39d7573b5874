"""The small networks of the other uses, map, generate and denoise, from images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aecodec.arrays import Images
from aecodec.models.model import Model
from aecodec.training.loop import Report, TrainConfig, no_report, split_images, train_objective
from aecodec.training.surroundings import undisturbed
from aecodec.twins.starting import seeded
from aecodec.uses.denoising import denoising_gain
from aecodec.uses.generation import evidence
from aecodec.uses.maps import map_error
from aecodec.uses.stored import MAP, VAE, build, restore, store


@dataclass(frozen=True)
class UseConfig(TrainConfig):
    """How a small network of another use is trained."""

    steps: int = 7_000
    batch_images: int = 96
    weight_decay: float = 0.05


@undisturbed
def train_use(
    images: Images,
    config: UseConfig,
    settings: Mapping[str, Any],
    *,
    name: str,
    provenance: Mapping[str, Any],
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = no_report,
) -> Model:
    """Train the network that ``settings`` describe on uint8 images (N, H, W, C).

    Returns its model, also when interrupted. ValueError if training diverged.
    """
    training, held_out = split_images(images, config)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    with seeded(config.seed):
        objective = build(shape, settings, training)
    trainer = train_objective(
        objective,
        config,
        training,
        run=f"{provenance.get('data_sha256')} {json.dumps(settings, sort_keys=True)}",
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
    )
    about = {**trainer.about(), **provenance}
    model = store(objective.cpu(), name, shape, settings, about)
    return replace(model, training={**about, **_validate(model, held_out)})


def _validate(model: Model, images: Images) -> dict[str, float]:
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
