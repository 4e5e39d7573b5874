"""The latent prior, a part of a model, from images and a model with layer L."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aecodec.arrays import Images
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR
from aecodec.latents.coders import AnsCoder
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.prior import PriorNetwork
from aecodec.latents.quantizer import quantize
from aecodec.models.model import Model, Part
from aecodec.nets.latent_prior import PriorConfig
from aecodec.targets import QUALITIES, QUALITY_UNIT
from aecodec.training.loop import Report, TrainConfig, no_report, split_images, train_objective
from aecodec.training.prior_objective import PriorObjective
from aecodec.training.surroundings import undisturbed
from aecodec.twins.starting import seeded

GROUPS = 16
FEATURES = 80
EVALUATION_IMAGES = 2000


@dataclass(frozen=True)
class PriorTrainConfig(TrainConfig):
    """How a latent prior is trained."""

    steps: int = 6_000
    batch_images: int = 288
    weight_decay: float = 0.1


@undisturbed
def train_prior(
    images: Images,
    config: TrainConfig,
    model: Model,
    *,
    provenance: Mapping[str, Any],
    features: int = FEATURES,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = no_report,
) -> tuple[Part, dict[str, Any]]:
    """Train the prior of ``model``'s latents on uint8 images (N, H, W, C).

    Returns the part, also when interrupted, and how it was made. Images are neither mirrored nor
    shifted.
    """
    config = replace(config, flip=0.0, shift=0.0)
    networks = LatentNetworks(model, device)
    training, held_out = split_images(networks.analyse(images), config)
    latents = networks.config.latents
    c = PriorConfig(latents, -(-latents // GROUPS), features)
    pixels = images.shape[1] * images.shape[2]
    with seeded(config.seed):
        objective = PriorObjective(c, training, networks.log_step, networks.gains, pixels)
    decoder = model.parts[LATENT_DECODER].fingerprint().hex()  # a prior it has may be unfinished
    trainer = train_objective(
        objective,
        config,
        training,
        run=f"{provenance.get('data_sha256')} {LATENT_PRIOR} {asdict(c)} {decoder}",
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
    )
    tensors = objective.model.cpu().eval().arrays(objective.order, objective.unit)
    part = Part(LATENT_PRIOR, c.decoding(), tensors)
    bpp = validation_bpp(part, networks, held_out[:EVALUATION_IMAGES], pixels)
    return part, {**trainer.about(), **provenance, "validation_bpp": bpp}


def validation_bpp(
    part: Part, networks: LatentNetworks, y: np.ndarray, pixels: int
) -> dict[str, float]:
    """Bits per pixel of the payload of latents ``y`` (N, D) at each quality, by the exact prior.

    ``pixels`` is the number of pixels of an image.
    """
    model = Model("validation", (1, 1, 1), {part.name: part})
    coder = AnsCoder(PriorNetwork(model, networks.gains))
    bpp = {}
    for quality in range(1, QUALITIES + 1):
        stored_quality = QUALITY_UNIT * quality
        symbols, _ = quantize(y, networks.log_step, stored_quality)
        symbols = symbols[coder.fits(symbols)]
        nbytes = len(coder.pack(symbols, stored_quality)) if len(symbols) else 0
        bpp[str(quality)] = round(8 * nbytes / (max(1, len(symbols)) * pixels), 4)
    return bpp
