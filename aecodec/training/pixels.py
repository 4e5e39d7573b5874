"""Layer R from images: train a pixel model or a dequantizer for all error bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aecodec.arrays import Images, Indices
from aecodec.container.parts import (
    DEQUANTIZER,
    LATENT_DECODER,
    PIXEL_FAST,
    PIXEL_SMALL,
    UNDERLAY,
    UNDERLAY_PARTS,
)
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
from aecodec.training.loop import (
    Report,
    TrainConfig,
    Trainer,
    no_report,
    split_images,
    train_objective,
)
from aecodec.training.pixel_objective import DequantizerObjective, PixelObjective
from aecodec.training.surroundings import undisturbed
from aecodec.twins.pixel_model import equalized, with_tones, with_underlay
from aecodec.twins.starting import seeded

FEATURES = {PIXEL_FAST: 24, PIXEL_SMALL: 48}  # they determine speed and size on disk
MIXTURES = 5
DEQUANTIZER_FEATURES = 64
DEQUANTIZER_STEPS = 5_000
EVALUATION_BOUNDS = (0, 4, 8, 16, 32, 48)
EVALUATION_IMAGES = 1000


@dataclass(frozen=True)
class PixelTrainConfig(TrainConfig):
    """How a pixel model or a dequantizer is trained."""

    steps: int = 6_000
    batch_images: int = 128


@undisturbed
def train_pixel_model(
    images: Images,
    config: TrainConfig,
    part_name: str,
    *,
    provenance: Mapping[str, Any],
    exact: Indices | None = None,
    base: Model | None = None,
    mixtures: int = MIXTURES,
    tones: bool = False,
    underlay: int | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = no_report,
) -> tuple[Part, dict[str, Any]]:
    """Train ``part_name`` on uint8 images (N, H, W, C).

    Returns the part, also when interrupted, and how it was made. ``exact`` holds indices of images
    that are exact to the last bit, for a set with others: training ends on these, and validation
    takes these alone. Training continues from the weights of ``base`` if it has the part. With
    ``tones`` the part has a table of gray levels. ``underlay`` is the stored quality of the latents
    of ``base`` that the part has as its underlay.

    Raises ValueError if ``base`` lacks these latents or its part has an underlay of another
    quality, ModelMismatchError if its part has other widths.
    """
    stored = _Stored.of(base, part_name)
    if stored is not None:
        tones = tones or stored.config.toned
        underlay = stored.same_underlay(underlay)
    grid = PlaneGrid.of(images)
    c = PixelConfig(grid.channels, FEATURES[part_name], mixtures, tones, underlay is not None)
    training, final, held_out = _split(images, config, exact)
    with seeded(config.seed):  # building the underlay's encoder draws numbers too
        under = None if underlay is None else _underlay(base, underlay, device)
        objective = PixelObjective(c, grid, under.rebuild if under else None)
    run = f"{provenance.get('data_sha256')} {part_name} {asdict(grid)} {asdict(c)} {underlay}"
    if under is not None and base is not None:
        run += base.parts[LATENT_DECODER].fingerprint().hex()
    if stored is not None:
        objective.model.load(stored.grown(c, training))
        run += stored.fingerprint
    elif c.toned:
        objective.model.start_tones(equalized(training))
    trainer = train_objective(
        objective,
        config,
        training,
        run=run,
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
        final=final,
    )
    tensors = objective.model.cpu().eval().arrays()
    if underlay is not None:
        tensors[UNDERLAY] = np.array([underlay], np.uint16)
    part = Part(part_name, c.decoding(grid), tensors)
    about = _about(trainer, exact, provenance)
    if stored is not None and stored.training:
        about["earlier"] = stored.training
    about["validation_bpp"] = validation_bpp(part, held_out[:EVALUATION_IMAGES], under)
    return part, about


@dataclass(frozen=True, eq=False)
class _Stored:
    """The pixel model that training continues from."""

    model: str  # its model's name, for messages
    name: str
    config: PixelConfig
    tensors: dict[str, np.ndarray]
    fingerprint: str
    training: Any  # how it was trained, None if its model does not say

    @classmethod
    def of(cls, base: Model | None, name: str) -> _Stored | None:
        """The part of ``base``; None if it has none of this name."""
        if base is None or name not in base.parts:
            return None
        _, config, tensors = read_pixel_model(base, name)
        fingerprint = base.parts[name].fingerprint().hex()
        return cls(base.name, name, config, tensors, fingerprint, base.training.get(name))

    def same_underlay(self, wanted: int | None) -> int | None:
        """The stored quality of its underlay, which cannot change; ``wanted`` if it has none."""
        if not self.config.underlaid:
            return wanted
        stored_quality = int(self.tensors[UNDERLAY][0])
        if wanted not in (None, stored_quality):
            raise ValueError(
                "underlay: the pixel model of the base has an underlay of quality "
                f"{stored_quality / QUALITY_UNIT:g} already, expected that or none, "
                f"got {wanted / QUALITY_UNIT:g}"
            )
        return stored_quality

    def grown(self, c: PixelConfig, images: Images) -> dict[str, np.ndarray]:
        """Its tensors in the form ``c``, which may add a table of gray levels and an underlay."""
        if replace(self.config, toned=c.toned, underlaid=c.underlaid) != c:
            raise ModelMismatchError(
                f"model {self.model!r}: its {self.name} is {self.config}, expected {c}"
            )
        tensors = self.tensors
        if c.toned and not self.config.toned:
            tensors = with_tones(self.config, tensors, images)
        if c.underlaid and not self.config.underlaid:
            tensors = with_underlay(replace(self.config, toned=c.toned), tensors)
        return tensors


def _underlay(base: Model | None, stored_quality: int, device: str) -> Underlay:
    """The networks that decode the underlay, from the model that has them."""
    if base is None or not base.encoder or not set(UNDERLAY_PARTS) <= set(base.parts):
        raise ValueError(
            "underlay: latents need layers l and p, trained with the pixel model or in the base"
        )
    latents = LatentNetworks(base, device)
    return Underlay(latents, PriorNetwork(base, latents.gains, device), stored_quality)


@undisturbed
def train_dequantizer(
    images: Images,
    config: TrainConfig,
    *,
    provenance: Mapping[str, Any],
    exact: Indices | None = None,
    features: int = DEQUANTIZER_FEATURES,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = no_report,
) -> tuple[Part, dict[str, Any]]:
    """Train the dequantizer on uint8 images (N, H, W, C): as :func:`train_pixel_model`."""
    grid = PlaneGrid.of(images)
    c = DequantizerConfig(grid.channels, features)
    training, final, held_out = _split(images, config, exact)
    with seeded(config.seed):
        objective = DequantizerObjective(c, grid)
    trainer = train_objective(
        objective,
        config,
        training,
        run=f"{provenance.get('data_sha256')} {DEQUANTIZER} {asdict(grid)} {asdict(c)}",
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
        final=final,
    )
    part = Part(DEQUANTIZER, c.decoding(grid), objective.model.cpu().eval().arrays())
    gain = validation_gain_db(part, held_out[:EVALUATION_IMAGES])
    return part, {**_about(trainer, exact, provenance), "validation_gain_db": gain}


def _split(
    images: Images, config: TrainConfig, exact: Indices | None
) -> tuple[Images, Images | None, Images]:
    """Images to train on, those to end on (None: the same), and those to validate with."""
    numbers = np.arange(len(images))[:, None, None, None]
    training, held_out = (ids.ravel() for ids in split_images(numbers, config))
    if exact is None:
        return images[training], None, images[held_out]
    final = images[np.intersect1d(training, exact)]
    return images[training], final, images[np.intersect1d(held_out, exact)]


def _about(
    trainer: Trainer, exact: Indices | None, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """How a part was made, for the model file."""
    exact_images = None if exact is None else len(exact)
    return {**trainer.about(), "exact_images": exact_images, **provenance}


def validation_bpp(
    part: Part, images: Images, underlay: Underlay | None = None
) -> dict[str, float]:
    """Ideal code length in bits per pixel at several error bounds, by the exact network."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    networks = PixelNetworks(Model("validation", shape, {part.name: part}), part.name)
    refiner = Refiner(networks, underlay)
    pixels = max(1, len(images)) * shape[0] * shape[1]
    totals = {E: float(PixelPlan(refiner, images, E).bits.sum()) for E in EVALUATION_BOUNDS}
    return {str(E): round(total / pixels, 4) for E, total in totals.items()}


def validation_gain_db(part: Part, images: Images) -> dict[str, float]:
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
