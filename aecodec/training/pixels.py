"""Layer R from images: train a pixel model or a dequantizer for all error bounds, as a part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aecodec._version import __version__
from aecodec.container.parts import DEQUANTIZER, PIXEL_FAST, PIXEL_SMALL, UNDERLAY, UNDERLAY_PARTS
from aecodec.errors import ModelMismatchError
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.prior import PriorNetwork
from aecodec.models.model import Model, Part
from aecodec.nets.dequantizer import DequantizerConfig
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid
from aecodec.pixels.layer import Dequantizer, PixelNetworks, read_pixel_model
from aecodec.pixels.levels import to_levels, to_symbols
from aecodec.pixels.payloads import PixelPlan, Refiner
from aecodec.pixels.planes import split
from aecodec.pixels.underlay import Underlay
from aecodec.targets import QUALITY_UNIT
from aecodec.training.loop import Report, TrainConfig, Trainer, split_images
from aecodec.training.pixel_objective import DequantizerObjective, PixelObjective
from aecodec.twins.pixel_model import equalized, with_tones, with_underlay

FEATURES = {PIXEL_FAST: 24, PIXEL_SMALL: 48}  # speed, and size on disk, hang on these
MIXTURES = 5
DEQUANTIZER_FEATURES = 64
DEQUANTIZER_STEPS = 5_000
EVALUATION_BOUNDS = (0, 4, 8, 16, 32, 48)
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
    base: Model | None = None,
    mixtures: int = MIXTURES,
    tones: bool = False,
    underlay: int | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda step, numbers: None,
) -> tuple[Part, dict[str, Any]]:
    """Train ``part_name`` on uint8 images (N, H, W, C): the part, also when interrupted, and how.

    ``exact`` holds indices of the images that training ends on and that validation is limited to,
    where the others are not exact to the last bit. Training goes on from the weights of ``base``
    where that has the part. With ``tones`` it gets a table of gray levels, if it has none yet, and
    with ``underlay`` it will stand on latents of ``base`` of that stored quality.
    """
    grid, stored = PlaneGrid.of(images), None
    if base is not None and part_name in base.parts:
        _, stored, tensors = read_pixel_model(base, part_name)
        tones = tones or stored.toned
        if stored.underlaid:
            underlay = _of_same_quality(int(tensors[UNDERLAY][0]), underlay)
    underlaid = underlay is not None
    c = PixelConfig(grid.channels, FEATURES[part_name], mixtures, tones, underlaid)
    training, final, held_out = _split(images, config, exact)
    torch.manual_seed(config.seed)
    under = None if underlay is None else _underlay(base, underlay, device)
    objective = PixelObjective(c, grid, under.rebuild if under else None)
    run = f"{provenance.get('data_sha256')} {part_name} {asdict(grid)} {asdict(c)} {underlay}"
    earlier = None
    if base is not None and stored is not None:
        if replace(stored, toned=tones, underlaid=underlaid) != c:
            raise ModelMismatchError(
                f"model {base.name!r}: its {part_name} is {stored}, expected {c}"
            )
        if c.toned and not stored.toned:
            tensors = with_tones(stored, tensors, training)
        if underlaid and not stored.underlaid:
            tensors = with_underlay(replace(stored, toned=c.toned), tensors)
        objective.model.load(tensors)
        earlier = base.training.get(part_name)
        run += base.parts[part_name].fingerprint().hex()
    elif c.toned:
        objective.model.start_tones(equalized(training))
    trainer = _run(
        objective, config, run, training, final, device, checkpoint, report, resume=resume
    )
    tensors = objective.model.cpu().eval().arrays()
    if underlay is not None:
        tensors[UNDERLAY] = np.array([underlay], np.uint16)
    part = Part(part_name, c.decoding(grid), tensors)
    about = {
        **_about(trainer, exact, provenance),
        **({"earlier": earlier} if earlier else {}),
        "validation_bpp": validation_bpp(part, held_out[:EVALUATION_IMAGES], under),
    }
    return part, about


def _of_same_quality(stored: int, wanted: int | None) -> int:
    """The quality of latents that the pixel model stands on for good."""
    if wanted not in (None, stored):
        raise ValueError(
            f"--underlay: the pixel model of --base stands on quality {stored / QUALITY_UNIT:g} "
            f"already, expected that or none, got {wanted / QUALITY_UNIT:g}"
        )
    return stored


def _underlay(base: Model | None, quality: int, device: str) -> Underlay:
    """What the pixel model will stand on, of the model that has it."""
    if base is None or not base.encoder or not set(UNDERLAY_PARTS) <= set(base.parts):
        raise ValueError(
            "--underlay: latents need layers l and p, trained with the pixel model or in --base"
        )
    latents = LatentNetworks(base, device)
    return Underlay(latents, PriorNetwork(base, latents.gains, device), quality)


def train_dequantizer(
    images: np.ndarray,
    config: PixelTrainConfig,
    *,
    provenance: Mapping[str, Any],
    exact: np.ndarray | None = None,
    features: int = DEQUANTIZER_FEATURES,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda step, numbers: None,
) -> tuple[Part, dict[str, Any]]:
    """Train the dequantizer on uint8 images (N, H, W, C): as :func:`train_pixel_model`."""
    grid = PlaneGrid.of(images)
    c = DequantizerConfig(grid.channels, features)
    training, final, held_out = _split(images, config, exact)
    torch.manual_seed(config.seed)
    objective = DequantizerObjective(c, grid)
    run = f"{provenance.get('data_sha256')} {DEQUANTIZER} {asdict(grid)} {asdict(c)}"
    trainer = _run(
        objective, config, run, training, final, device, checkpoint, report, resume=resume
    )
    part = Part(DEQUANTIZER, c.decoding(grid), objective.model.cpu().eval().arrays())
    gain = validation_gain_db(part, held_out[:EVALUATION_IMAGES])
    return part, {**_about(trainer, exact, provenance), "validation_gain_db": gain}


def _split(
    images: np.ndarray, config: TrainConfig, exact: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Images to train on, those to end on (None: the same), and those to validate with."""
    numbers = np.arange(len(images))[:, None, None, None]
    training, held_out = (ids.ravel() for ids in split_images(numbers, config))
    if exact is None:
        return images[training], None, images[held_out]
    final = images[np.intersect1d(training, exact)]
    return images[training], final, images[np.intersect1d(held_out, exact)]


def _run(
    objective: nn.Module,
    config: TrainConfig,
    run: str,
    training: np.ndarray,
    final: np.ndarray | None,
    device: str,
    checkpoint: Path | None,
    report: Report,
    *,
    resume: bool,
) -> Trainer:
    """Train, and leave the averaged weights in the objective."""
    trainer = Trainer(objective, config, torch.device(device), run)
    if resume and checkpoint and checkpoint.exists():
        trainer.restore(checkpoint)
    trainer.run(training, checkpoint, report, final)
    objective.load_state_dict(trainer.averaged)
    return trainer


def _about(
    trainer: Trainer, exact: np.ndarray | None, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "package": __version__,
        "torch": torch.__version__,
        "steps_done": trainer.step,
        "recipe": asdict(trainer.config),
        "exact_images": None if exact is None else len(exact),
        **provenance,
    }


def validation_bpp(
    part: Part, images: np.ndarray, underlay: Underlay | None = None
) -> dict[str, float]:
    """Ideal code length in bits per pixel at several error bounds, through the exact network."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    layer = PixelNetworks(Model("validation", shape, {part.name: part}), part.name)
    refiner = Refiner(layer, underlay)
    pixels = max(1, len(images)) * shape[0] * shape[1]
    totals = {E: float(PixelPlan(refiner, images, E).bits.sum()) for E in EVALUATION_BOUNDS}
    return {str(E): round(total / pixels, 4) for E, total in totals.items()}


def validation_gain_db(part: Part, images: np.ndarray) -> dict[str, float]:
    """What the dequantizer adds to the PSNR at several error bounds, in dB."""
    dequantizer = Dequantizer(Model("validation", images.shape[1:], {part.name: part}))
    planes, inside = split(images), split(np.ones_like(images[:1]))
    gains = {}
    for bound in EVALUATION_BOUNDS[1:]:
        known = to_levels(to_symbols(planes, bound), bound)
        before, after = (
            float((((decoded.astype(int) - planes) * inside) ** 2).sum())
            for decoded in (known, dequantizer.move(known, bound))
        )
        gains[str(bound)] = round(10 * math.log10(max(before, 1) / max(after, 1)), 3)
    return gains
