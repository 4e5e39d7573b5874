"""The layers of a model, trained one after the other: ``l``, ``p``, ``r`` and ``d``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aecodec.arrays import Images, Indices
from aecodec.container.parts import (
    DEQUANTIZER,
    LATENT_DECODER,
    LATENT_PRIOR,
    PIXEL_FAST,
    UNDERLAY,
)
from aecodec.models.model import Model, Part
from aecodec.training.latents import LatentConfig, train_autoencoder
from aecodec.training.loop import Report, TrainConfig
from aecodec.training.pixels import (
    DEQUANTIZER_STEPS,
    PixelTrainConfig,
    train_dequantizer,
    train_pixel_model,
)
from aecodec.training.prior import PriorTrainConfig, train_prior


@dataclass(frozen=True, eq=False)
class Setup:
    """What all layers of a model are trained on, and what the user decided about them."""

    images: Images
    provenance: Mapping[str, Any]  # for the model file; data_sha256 identifies the images
    base: Model | None = None  # training continues from its weights
    pixel_part: str = PIXEL_FAST  # the pixel model to train
    tones: bool = False  # it has a table of gray levels
    underlay: int | None = None  # stored quality of the latents that are its underlay
    exact: Indices | None = None  # of images that are exact to the last bit, if not all are
    device: str = "cpu"
    resume: bool = False  # continue from checkpoints


@dataclass(frozen=True)
class Layer:
    """One layer: its default configuration, its part, and what validation measures."""

    config: TrainConfig
    part: str | None  # None for the pixel model, whose part depends on the variant
    measured: str  # key of the figures in what the model file says about the training

    def part_of(self, setup: Setup) -> str:
        """The name of the part that the layer is stored in."""
        return self.part or setup.pixel_part

    def training_of(self, model: Model, setup: Setup) -> Mapping[str, Any]:
        """What the model says about the training of the layer; empty if it has no such layer."""
        part = self.part_of(setup)
        if part == LATENT_DECODER:
            return model.training if model.encoder else {}
        about: Mapping[str, Any] = model.training.get(part, {}) if part in model.parts else {}
        return about

    def is_done(self, model: Model, setup: Setup, steps: int) -> bool:
        """Whether the model has the layer, trained on the same images for so many steps."""
        about = self.training_of(model, setup)
        same_data = about.get("data_sha256") == setup.provenance["data_sha256"]
        return same_data and bool(about.get("steps_done", 0) >= steps)


LAYERS: Final = {  # in the order of training
    "l": Layer(LatentConfig(), LATENT_DECODER, "validation_psnr_db"),
    "p": Layer(PriorTrainConfig(), LATENT_PRIOR, "validation_bpp"),
    "r": Layer(PixelTrainConfig(), None, "validation_bpp"),
    "d": Layer(PixelTrainConfig(steps=DEQUANTIZER_STEPS), DEQUANTIZER, "validation_gain_db"),
}


def train_layer(
    layer: str,
    setup: Setup,
    config: TrainConfig,
    model: Model,
    *,
    checkpoint: Path,
    report: Report,
) -> Model:
    """``model`` with one layer trained, also when interrupted.

    Raises ValueError if ``model`` lacks the layers that this one needs, ModelMismatchError if the
    layer to continue from has other widths.
    """
    options = {
        "provenance": setup.provenance,
        "device": setup.device,
        "checkpoint": checkpoint,
        "resume": setup.resume,
        "report": report,
    }
    if layer == "l":
        return _with_latents(setup, config, model, options)
    part, about = _TRAIN[layer](setup, config, model, options)
    return replace(
        model,
        parts={**model.parts, part.name: part},
        training={**model.training, part.name: about},
    )


def trained_for_other_latents(model: Model | None, layers: list[str], setup: Setup) -> list[str]:
    """Parts that depend on the model's latents, if training changes these and not the parts."""
    if model is None or "l" not in layers:
        return []
    trained = {LAYERS[layer].part_of(setup) for layer in layers}
    dependent = {name for name, part in model.parts.items() if UNDERLAY in part.tensors}
    dependent |= {LATENT_PRIOR} & set(model.parts)
    return sorted(dependent - trained)


def _with_latents(
    setup: Setup, config: TrainConfig, model: Model, options: Mapping[str, Any]
) -> Model:
    """``model`` with layer L trained; its other parts stay."""
    if not isinstance(config, LatentConfig):
        raise TypeError(f"config: expected LatentConfig for layer l, got {type(config).__name__}")
    trained = train_autoencoder(setup.images, config, name=model.name, base=setup.base, **options)
    others = {name: part for name, part in model.parts.items() if name != LATENT_DECODER}
    training = {name: model.training[name] for name in others if name in model.training}
    return replace(
        trained, parts={**others, **trained.parts}, training={**trained.training, **training}
    )


Trained = tuple[Part, dict[str, Any]]


def _train_prior(
    setup: Setup, config: TrainConfig, model: Model, options: Mapping[str, Any]
) -> Trained:
    if not model.encoder:
        raise ValueError("layers: the latents' prior needs layer l in the model")
    return train_prior(setup.images, config, model, **options)


def _train_pixels(
    setup: Setup, config: TrainConfig, model: Model, options: Mapping[str, Any]
) -> Trained:
    return train_pixel_model(
        setup.images,
        config,
        setup.pixel_part,
        base=_with_pixel_model_of(setup.base, model, setup.pixel_part),
        tones=setup.tones,
        underlay=setup.underlay,
        exact=setup.exact,
        **options,
    )


def _train_dequantizer(
    setup: Setup, config: TrainConfig, model: Model, options: Mapping[str, Any]
) -> Trained:
    del model
    return train_dequantizer(setup.images, config, exact=setup.exact, **options)


_TRAIN: Final[dict[str, Callable[[Setup, TrainConfig, Model, Mapping[str, Any]], Trained]]] = {
    "p": _train_prior,
    "r": _train_pixels,
    "d": _train_dequantizer,
}


def _with_pixel_model_of(base: Model | None, model: Model, name: str) -> Model:
    """``model`` with the pixel model of ``base``, or with none.

    A pixel model that ``model`` has itself was interrupted: its checkpoint continues it.
    """
    parts = {k: v for k, v in model.parts.items() if k != name}
    training = {k: v for k, v in model.training.items() if k != name}
    if base is not None and name in base.parts:
        parts[name] = base.parts[name]
    if base is not None and name in base.training:
        training[name] = base.training[name]
    return replace(model, parts=parts, training=training)
