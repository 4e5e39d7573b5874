"""The latent prior from images and a model with layer L, as a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aecodec._version import __version__
from aecodec.container.parts import LATENT_PRIOR
from aecodec.latents.coders import AnsCoder
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.prior import PriorNetwork
from aecodec.latents.quantizer import quantize
from aecodec.models.model import Model, Part
from aecodec.nets.latent_prior import PriorConfig
from aecodec.training.loop import Report, TrainConfig, Trainer, split_images
from aecodec.training.prior_objective import PriorObjective

GROUPS = 16
FEATURES = 80
EVALUATION_IMAGES = 2000


@dataclass(frozen=True)
class PriorTrainConfig(TrainConfig):
    """How a latent prior is trained."""

    steps: int = 6_000
    batch_images: int = 288
    weight_decay: float = 0.1


def train_prior(
    images: np.ndarray,
    config: PriorTrainConfig,
    model: Model,
    *,
    provenance: Mapping[str, Any],
    features: int = FEATURES,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda step, numbers: None,
) -> tuple[Part, dict[str, Any]]:
    """Train the prior of ``model``'s latents on uint8 images (N, H, W, C).

    Returns the part, also when interrupted, and how it was made. Images are not mirrored.
    """
    config = replace(config, flip=0.0, shift=0.0)
    layer = LatentNetworks(model, device)
    y = layer.analyse(images)
    training, held_out = split_images(y, config)
    latents = layer.config.latents
    c = PriorConfig(latents, -(-latents // GROUPS), features)
    torch.manual_seed(config.seed)
    pixels = images.shape[1] * images.shape[2]
    objective = PriorObjective(c, training, layer.log_step, layer.gains, pixels)
    decoder = model.fingerprint().hex()
    trainer = Trainer(
        objective,
        config,
        torch.device(device),
        f"{provenance.get('data_sha256')} {LATENT_PRIOR} {asdict(c)} {decoder}",
    )
    if resume and checkpoint and checkpoint.exists():
        trainer.restore(checkpoint)
    trainer.run(training, checkpoint, report)
    objective.load_state_dict(trainer.averaged)
    tensors = objective.model.cpu().eval().arrays(objective.order, objective.unit)
    part = Part(LATENT_PRIOR, c.decoding(), tensors)
    about = {
        "package": __version__,
        "torch": torch.__version__,
        "steps_done": trainer.step,
        "recipe": asdict(config),
        **provenance,
        "validation_bpp": validation_bpp(part, layer, held_out[:EVALUATION_IMAGES], pixels),
    }
    return part, about


def validation_bpp(
    part: Part, layer: LatentNetworks, y: np.ndarray, pixels: int
) -> dict[str, float]:
    """Bits per pixel of the latents' payload at each quality, through the exact prior."""
    model = Model("validation", (1, 1, 1), {part.name: part})
    coder = AnsCoder(PriorNetwork(model, layer.gains))
    bpp = {}
    for quality in range(1, 10):
        symbols, _ = quantize(y, layer.log_step, 256 * quality)
        symbols = symbols[coder.fits(symbols)]
        nbytes = len(coder.pack(symbols, 256 * quality)) if len(symbols) else 0
        bpp[str(quality)] = round(8 * nbytes / (max(1, len(symbols)) * pixels), 4)
    return bpp
