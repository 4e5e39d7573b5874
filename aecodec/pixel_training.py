"""Layer R from images: train a pixel model for all error bounds, export it as a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aecodec._version import __version__
from aecodec.models import PIXEL_FAST, PIXEL_SMALL, Model, Part
from aecodec.nets.pixel_layer import PixelLayer
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.pixel_objective import PixelObjective
from aecodec.refinement import PixelPlan
from aecodec.training import Report, TrainConfig, Trainer, split_images

FEATURES = {PIXEL_FAST: 24, PIXEL_SMALL: 48}  # speed, and size on disk, hang on these
MIXTURES = 5
EVALUATION_BOUNDS = (0, 4, 8, 16, 32)
EVALUATION_IMAGES = 1000


@dataclass(frozen=True)
class PixelTrainConfig(TrainConfig):
    """How a pixel model is trained."""

    steps: int = 6_000
    batch_images: int = 128


def train_pixel_model(
    images: np.ndarray,
    config: PixelTrainConfig,
    part_name: str,
    *,
    provenance: Mapping[str, Any],
    exact: np.ndarray | None = None,
    mixtures: int = MIXTURES,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda step, numbers: None,
) -> tuple[Part, dict[str, Any]]:
    """Train ``part_name`` on uint8 images (N, H, W, C): the part, also when interrupted, and how.

    ``exact`` holds indices of the images that training ends on and that validation is limited to,
    where the others are not exact to the last bit.
    """
    height, width, channels = images.shape[1:]
    c = PixelConfig(height, width, channels, FEATURES[part_name], mixtures)
    numbers = np.arange(len(images))[:, None, None, None]
    training, held_out = (ids.ravel() for ids in split_images(numbers, config))
    final = None
    if exact is not None:
        final = images[np.intersect1d(training, exact)]
        held_out = np.intersect1d(held_out, exact)
    torch.manual_seed(config.seed)
    objective = PixelObjective(c)
    run = f"{provenance.get('data_sha256')} {part_name} {asdict(c)}"
    trainer = Trainer(objective, config, torch.device(device), run)
    if resume and checkpoint and checkpoint.exists():
        trainer.restore(checkpoint)
    trainer.run(images[training], checkpoint, report, final)
    objective.load_state_dict(trainer.averaged)
    part = Part(part_name, c.decoding(), objective.model.cpu().eval().arrays())
    about = {
        "package": __version__,
        "torch": torch.__version__,
        "steps_done": trainer.step,
        "recipe": asdict(config),
        "exact_images": None if exact is None else len(exact),
        **provenance,
        "validation_bpp": validation_bpp(part, images[held_out][:EVALUATION_IMAGES]),
    }
    return part, about


def validation_bpp(part: Part, images: np.ndarray) -> dict[str, float]:
    """Ideal code length in bits per pixel at several error bounds, through the exact network."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    layer = PixelLayer(Model("validation", shape, {part.name: part}), part.name)
    pixels = max(1, len(images)) * shape[0] * shape[1]
    totals = {E: float(PixelPlan(layer, images, E).bits.sum()) for E in EVALUATION_BOUNDS}
    return {str(E): round(total / pixels, 4) for E, total in totals.items()}
