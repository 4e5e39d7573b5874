"""Layer L put to work: a loaded model's encoder and exact decoder, NumPy in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import torch

from aecodec.errors import ModelCorruptError, ModelMismatchError
from aecodec.models import LATENT_DECODER, Model
from aecodec.nets.autoencoder import (
    QUALITIES,
    AutoencoderConfig,
    Encoder,
    ExactDecoder,
    layer_shapes,
    pad_images,
)
from aecodec.nets.integer import LayerArrays

BATCH_IMAGES = 512  # images in the networks at once: their activations stay near the caches
MAX_WIDTH = 4096  # of any layer: what a config may ask for before weights are looked at


class LatentLayer:
    """Encoder and exact decoder of one model on one device.

    Raises ModelCorruptError, with the layer's name, for a model that lacks a tensor, has one of
    another shape or type, or cannot be proven to decode exactly.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.model_name = model.name
        self.device = torch.device(device)
        self.config = _read_config(model)
        tensors = model.parts[LATENT_DECODER].tensors
        layers = _read_layers(self.config, tensors)
        self.gains: npt.NDArray[np.uint16] = tensors["gain"].astype(np.uint16)
        self._decoder = ExactDecoder(self.config, layers).to(self.device)
        self._encoder = None
        if model.encoder:
            self._encoder = _load_encoder(self.config, model).to(self.device)
            self.log_step = model.encoder["log_step"].astype(np.float32)
            self.mse_p999 = _read_floors(model)

    def analyse(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Images uint8 (N, H, W, C) -> latents float32 (N, D), units of 256 gray levels."""
        if self._encoder is None:
            raise ModelMismatchError(f"model {self.model_name!r} has no encoder: it only decodes")
        y = np.empty((len(images), self.config.latents), np.float32)
        with torch.inference_mode():
            for start in range(0, len(images), BATCH_IMAGES):
                x = pad_images(images[start : start + BATCH_IMAGES], self.config)
                y[start : start + len(x)] = self._encoder(x.to(self.device)).cpu().numpy()
        return y

    def synthesize(
        self, symbols: npt.NDArray[np.int16], gains: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.uint8]:
        """Symbols int16 (N, D) and gains int32 (D,) -> images uint8 (N, H, W, C), exactly."""
        c = self.config
        x_hat = np.empty((len(symbols), c.height, c.width, c.channels), np.uint8)
        gain = torch.from_numpy(gains).to(self.device)
        for start in range(0, len(symbols), BATCH_IMAGES):
            batch = torch.from_numpy(symbols[start : start + BATCH_IMAGES]).to(self.device)
            x_hat[start : start + len(batch)] = self._decoder(batch, gain).cpu().numpy()
        return x_hat


def _read_config(model: Model) -> AutoencoderConfig:
    part = model.parts.get(LATENT_DECODER)
    if part is None:
        raise ModelCorruptError(f"model {model.name!r} has no part {LATENT_DECODER}")
    names = {f.name for f in fields(AutoencoderConfig)} - {"encoder"}
    values = {**part.config}
    if set(values) != names:
        raise ModelCorruptError(
            f"{LATENT_DECODER}: config has {sorted(values)}, not {sorted(names)}"
        )
    for name, value in values.items():
        if type(value) is not int or not 0 <= value <= MAX_WIDTH:
            raise ModelCorruptError(f"{LATENT_DECODER}: {name} is {value!r}, not 0..{MAX_WIDTH}")
    width = model.encoder_config.get("width", 1)
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise ModelCorruptError(f"encoder: width is {width!r}, not 1..{MAX_WIDTH}")
    c = AutoencoderConfig(**values, encoder=width)
    if (c.height, c.width, c.channels) != model.shape or 0 in (*model.shape, c.latents):
        raise ModelCorruptError(f"{LATENT_DECODER}: shape differs from the model's {model.shape}")
    return c


def _read_layers(c: AutoencoderConfig, tensors: Mapping[str, np.ndarray]) -> dict[str, LayerArrays]:
    table = dict(tensors)
    layers = {}
    for name, shape in layer_shapes(c).items():
        weight_type = np.int16 if name == "dense1" else np.int8
        wanted = {
            "weight": (shape, weight_type),
            "bias": (shape[:1], np.int32),
            "shift": (shape[:1], np.uint8),
        }
        own = {k: _take(table, f"{name}.{k}", *expected) for k, expected in wanted.items()}
        layers[name] = LayerArrays(**own)
    _take(table, "gain", (QUALITIES, c.latents), np.uint16)
    if table:
        raise ModelCorruptError(f"{LATENT_DECODER}: unknown tensors {sorted(table)}")
    return layers


def _take(
    table: dict[str, np.ndarray], name: str, shape: tuple[int, ...], kind: type
) -> np.ndarray:
    tensor = table.pop(name, None)
    if tensor is None:
        raise ModelCorruptError(f"{LATENT_DECODER}: tensor {name} is missing")
    if tensor.shape != shape or tensor.dtype != kind:
        raise ModelCorruptError(
            f"{LATENT_DECODER}: tensor {name} is {tensor.dtype} {tensor.shape}, "
            f"expected {np.dtype(kind)} {shape}"
        )
    return tensor


def _read_floors(model: Model) -> npt.NDArray[np.float32]:
    """(9,) squared errors that the guard measures images against."""
    try:
        floors = np.array(model.encoder_config["mse_p999"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelCorruptError(f"encoder: mse_p999 is missing or not numbers: {error}") from error
    if floors.shape != (QUALITIES,) or not (np.isfinite(floors) & (floors >= 0)).all():
        raise ModelCorruptError(f"encoder: mse_p999 is {floors}, expected {QUALITIES} numbers")
    return floors


def _load_encoder(c: AutoencoderConfig, model: Model) -> Encoder:
    encoder = Encoder(c)
    wanted = encoder.state_dict()
    weights = {k: v for k, v in model.encoder.items() if k != "log_step"}
    steps = model.encoder.get("log_step")
    if steps is None or steps.shape != (QUALITIES, c.latents):
        raise ModelCorruptError("encoder: tensor log_step is missing or of another shape")
    if {k: v.shape for k, v in weights.items()} != {k: tuple(v.shape) for k, v in wanted.items()}:
        raise ModelCorruptError("encoder: tensors missing, unknown or of another shape")
    encoder.load_state_dict({k: torch.from_numpy(v.copy()).float() for k, v in weights.items()})
    encoder.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return encoder
