"""Model files of the other uses: the codec's own kind of file, without a decoding part.

All tensors are ``encoder.NAME``, float16 in the file. No ``.aez`` depends on them, so they have no
fingerprint, and the codec never picks them. The settings' ``use`` says what they are for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from aecodec.errors import ModelCorruptError, ModelMismatchError
from aecodec.models.finding import BUNDLED, load_model
from aecodec.models.model import Model
from aecodec.training.objective import Objective
from aecodec.uses.networks import DenoiserConfig, FloatAutoencoder
from aecodec.uses.objectives import (
    BERNOULLI,
    GAUSSIAN,
    NOISES,
    DenoiseObjective,
    ImageMapObjective,
    VaeObjective,
)

MAP, VAE, DENOISE = "map", "vae", "denoise"
LATENTS_MAX = 256
FOLDER = BUNDLED / "uses"


def build(
    shape: tuple[int, int, int], settings: Mapping[str, Any], images: np.ndarray | None = None
) -> Objective:
    """The untrained objective that ``settings`` describe.

    It starts at the mean of ``images``. ModelCorruptError for settings out of range,
    ModelMismatchError for an unknown use.
    """
    seen = np.zeros((1, *shape), np.uint8) if images is None else images
    use = settings.get("use")
    if use == MAP:
        return ImageMapObjective(FloatAutoencoder(shape, _latents(settings)), seen)
    if use == VAE:
        likelihood = settings.get("likelihood")
        if likelihood not in (BERNOULLI, GAUSSIAN):
            raise ModelCorruptError(f"encoder: likelihood is {likelihood!r}")
        return VaeObjective(FloatAutoencoder(shape, _latents(settings), heads=2), likelihood, seen)
    if use == DENOISE:
        sigma, noises = settings.get("sigma"), settings.get("noises")
        if not isinstance(sigma, int | float) or not 0 < sigma <= 1:
            raise ModelCorruptError(f"encoder: sigma is {sigma!r}, expected 0 to 1")
        if not isinstance(noises, list) or not noises or not set(noises) <= set(NOISES):
            raise ModelCorruptError(f"encoder: noises is {noises!r}, expected some of {NOISES}")
        return DenoiseObjective(DenoiserConfig(shape[2]), float(sigma), tuple(noises))
    raise ModelMismatchError(f"the model's use is {use!r}, expected {MAP}, {VAE} or {DENOISE}")


def _latents(settings: Mapping[str, Any]) -> int:
    latents = settings.get("latents")
    if type(latents) is not int or not 1 <= latents <= LATENTS_MAX:
        raise ModelCorruptError(f"encoder: latents is {latents!r}, expected 1 to {LATENTS_MAX}")
    return latents


def store(
    objective: nn.Module,
    name: str,
    shape: tuple[int, int, int],
    settings: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Model:
    """The model of a trained objective; ValueError if a tensor is not finite."""
    arrays = {k: v.cpu().numpy() for k, v in objective.state_dict().items()}
    with np.errstate(under="ignore", over="ignore"):  # tiny weights become zero; see below
        tensors = {k: v.astype(np.float16) for k, v in arrays.items()}
    for key, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name}: training diverged, tensor {key} is not finite")
    return Model(name, shape, {}, tensors, dict(settings), dict(about))


def load_use(name_or_path: str | os.PathLike[str], use: str) -> Model:
    """A model for ``use`` by its file or name; a bundled one by the name of its data alone.

    Raises ModelMissingError when there is none, ModelMismatchError for one of another use.
    """
    text = os.fspath(name_or_path)
    bundled = {path.stem: path for path in FOLDER.glob("*.safetensors")}
    path = bundled.get(text) or bundled.get(f"{text}-{use}") or text
    model = load_model(path)
    found = model.encoder_config.get("use", "coding")
    if found != use:
        raise ModelMismatchError(f"model {model.name!r} is for {found}, expected one for {use}")
    return model


def restore(model: Model) -> Any:  # noqa: ANN401  # its class depends on the model's use
    """The trained objective of a loaded model, ready to use; ModelCorruptError if it is damaged."""
    objective = build(model.the_shape(), model.encoder_config)
    wanted = {k: tuple(v.shape) for k, v in objective.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in model.encoder.items()}
    if wanted != found:
        odd = min(set(wanted.items()) ^ set(found.items()))[0]
        raise ModelCorruptError(f"model {model.name!r}: tensor {odd} is missing or of other shape")
    if not all(t.dtype.kind == "f" and np.isfinite(t).all() for t in model.encoder.values()):
        raise ModelCorruptError(f"model {model.name!r}: tensors are not finite floats")
    objective.load_state_dict(
        {k: torch.from_numpy(v.astype(np.float32)) for k, v in model.encoder.items()}
    )
    return objective.eval()
