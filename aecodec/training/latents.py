"""Layer L from images: train the autoencoder, and export it as a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aecodec.arrays import Images
from aecodec.container.parts import LATENT_DECODER, LOW_BELOW
from aecodec.errors import ModelMismatchError
from aecodec.latents.layer import read_latent_decoder
from aecodec.models.model import Model, Part
from aecodec.nets.latent_decoder import LATENT_BITS, AutoencoderConfig, ExactDecoder
from aecodec.nets.layers import LayerArrays
from aecodec.targets import PEAK_SQUARED, QUALITIES, QUALITY_UNIT
from aecodec.training.growing import can_grow, grow
from aecodec.training.latent_objective import LatentObjective
from aecodec.training.loop import Report, TrainConfig, no_report, split_images, train_objective
from aecodec.training.surroundings import undisturbed
from aecodec.twins.autoencoder import Autoencoder, pad_images
from aecodec.twins.starting import seeded

EVALUATION_IMAGES = 1000  # images at once in validation


@dataclass(frozen=True)
class LatentConfig(TrainConfig):
    """How layer L is trained; ``lmbda`` weighs distortion: loss = lmbda * mse_255 + bpp."""

    steps: int = 32_000
    batch_images: int = 144  # a multiple of the nine qualities
    lmbda_min: float = 3.5e-5  # quality 1
    lmbda_max: float = 4e-2  # quality 9
    weight_decay: float = 0.1
    sharpness: float = 6.0  # of the soft rounding before the rate, at its full value

    def lmbdas(self) -> np.ndarray:
        """(9,) lmbda of each quality, a geometric series."""
        return np.geomspace(self.lmbda_min, self.lmbda_max, QUALITIES)


@undisturbed
def train_autoencoder(
    images: Images,
    config: LatentConfig,
    *,
    name: str,
    provenance: Mapping[str, Any],
    base: Model | None = None,
    low_trunk: bool = True,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = no_report,
) -> Model:
    """Train layer L on uint8 images (N, H, W, C); return the model, also when interrupted.

    Training continues from the weights of ``base`` if it has layer L with its encoder;
    ModelMismatchError if that has other widths. Without ``low_trunk`` all qualities share one
    trunk. ``provenance`` goes into the model file; its ``data_sha256`` identifies the images.
    """
    c = AutoencoderConfig.for_shape(*images.shape[1:])
    c = c if low_trunk else replace(c, low_below=0)
    training, held_out = split_images(images, config)
    with seeded(config.seed):
        objective = LatentObjective(training, c, config.lmbdas(), config.sharpness)
        earlier = _start_from(objective, base, training)
    run = f"{provenance.get('data_sha256')} {asdict(c)}"
    trainer = train_objective(
        objective,
        config,
        training,
        run=run if earlier is None or base is None else run + base.fingerprint().hex(),
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
    )
    about = {**trainer.about(), **({"earlier": earlier} if earlier else {}), **provenance}
    return export_autoencoder(objective.model.cpu().eval(), name, training, held_out, about)


def _start_from(
    objective: LatentObjective, base: Model | None, images: Images
) -> dict[str, Any] | None:
    """Load the weights of ``base``; how those were trained, None if it has no layer L."""
    if base is None or not base.encoder:
        return None
    stored, layers, gains = read_latent_decoder(base)
    c = objective.model.config
    if not can_grow(stored, c):
        raise ModelMismatchError(f"model {base.name!r}: its layer L is {stored}, expected {c}")
    objective.start_from(images, base.encoder, grow(layers, stored, c), gains)
    return {k: v for k, v in base.training.items() if k not in base.parts}


@undisturbed
@torch.no_grad()
def export_autoencoder(
    model: Autoencoder,
    name: str,
    training: Images,
    held_out: Images,
    about: Mapping[str, Any],
) -> Model:
    """The trained network as a model, with its PSNR on the images that were held out.

    ``mse_p999`` (9 values) is the 99.9th percentile of the training images' squared error at each
    quality, gray levels squared: the encoder compares the error of an image with it.
    """
    c = model.config
    layers = model.decoder.arrays()
    gains = (model.gains() * (1 << LATENT_BITS)).round().to(torch.int32).numpy().astype(np.uint16)
    exact = ExactDecoder(c, layers)
    seen = _mean_squared_errors(model, exact, gains, training[: 20 * EVALUATION_IMAGES])
    unseen = _mean_squared_errors(model, exact, gains, held_out)
    encoder = {k: v.numpy().copy() for k, v in model.encoder.state_dict().items()}
    encoder["log_step"] = model.log_step.numpy().copy()
    psnr = 10 * np.log10(PEAK_SQUARED / np.maximum(unseen.mean(axis=1), 1e-9))
    part = Part(LATENT_DECODER, c.decoding(), _tensors(c, layers, gains))
    return Model(
        name,
        (c.height, c.width, c.channels),
        {LATENT_DECODER: part},
        encoder,
        {"width": c.encoder, "mse_p999": [float(v) for v in np.quantile(seen, 0.999, axis=1)]},
        {**about, "validation_psnr_db": [round(float(v), 3) for v in psnr]},
    )


def _tensors(
    c: AutoencoderConfig, layers: Mapping[str, LayerArrays], gains: np.ndarray
) -> dict[str, np.ndarray]:
    """The tensors of part ``latent_decoder``."""
    tensors = {
        f"{layer}.{kind}": getattr(arrays, kind)
        for layer, arrays in layers.items()
        for kind in ("weight", "bias", "shift")
    }
    if c.low_below:
        tensors[LOW_BELOW] = np.array([c.low_below], np.uint16)
    return {"gain": gains, **tensors}


def _mean_squared_errors(
    model: Autoencoder, exact: ExactDecoder, gains: np.ndarray, images: Images
) -> np.ndarray:
    """(9, N) squared error per pixel of each image at each quality, through the exact decoder."""
    errors = np.zeros((QUALITIES, len(images)))
    steps = torch.exp(-model.log_step)
    for start in range(0, len(images), EVALUATION_IMAGES):
        batch = images[start : start + EVALUATION_IMAGES]
        y = model.encoder(pad_images(batch, model.config))
        for quality in range(QUALITIES):
            symbols = torch.floor(y * steps[quality] + 0.5)
            low = model.config.is_low(QUALITY_UNIT * (1 + quality))
            gain = torch.from_numpy(gains[quality].astype(np.int32))
            x_hat = exact(symbols, gain, low=low).numpy()
            difference = (x_hat.astype(np.float32) - batch).reshape(len(batch), -1)
            errors[quality, start : start + len(batch)] = (difference**2).mean(axis=1)
    return errors
