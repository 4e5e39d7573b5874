"""Layer L at work: the encoder and the exact decoder of a model, NumPy in and out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from aecodec.arrays import Floats, Images, Symbols
from aecodec.container.parts import LATENT_DECODER, LOW_BELOW
from aecodec.errors import ModelCorruptError, ModelMismatchError
from aecodec.forks import fork_safe
from aecodec.latents.quantizer import gains_at
from aecodec.latents.search import LatentSearch
from aecodec.models.checking import MAX_WIDTH, check_shape, read_config, read_part, take_tensors
from aecodec.models.model import Model, Part
from aecodec.nets.exactness import float_inference, gradients
from aecodec.nets.latent_decoder import AutoencoderConfig, ExactDecoder, layer_shapes
from aecodec.nets.layers import LayerArrays, TensorShapes, layer_tensors
from aecodec.targets import QUALITIES, STORED_MAX, STORED_MIN
from aecodec.twins.autoencoder import Encoder, pad_images

BATCH_IMAGES = 512  # images in the networks at once: their activations stay near the caches
BATCH_NUMBERS = 1 << 21  # that a layer outputs for a batch, at most: a file may have wide ones


class LatentNetworks:
    """Encoder and exact decoder of one model on one device.

    Raises ModelCorruptError, with the layer's name, for a model that lacks a tensor, has one of
    another shape or type, or cannot be proven to decode exactly.
    """

    @fork_safe
    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.model_name = model.name
        self.device = torch.device(device)
        self.config, self._layers, self.gains = read_latent_decoder(model)
        self._decoder = ExactDecoder(self.config, self._layers).to(self.device)
        self._search: LatentSearch | None = None
        self._encoder: Encoder | None = None
        if model.encoder:
            self._encoder = _load_encoder(self.config, model).to(self.device)
            self.log_step = model.encoder["log_step"].astype(np.float32)
            self.mse_p999 = _read_floors(model)

    def require_encoder(self) -> Encoder:
        """The encoder; ModelMismatchError in a model that was embedded in a file."""
        if self._encoder is None:
            raise ModelMismatchError(f"model {self.model_name!r} has no encoder: it only decodes")
        return self._encoder

    @fork_safe
    def analyse(self, images: Images) -> Floats:
        """Images (N, H, W, C) -> latents float32 (N, D), in units of 256 gray levels."""
        encoder = self.require_encoder()
        y = np.empty((len(images), self.config.latents), np.float32)
        with float_inference(self.device):
            for start in range(0, len(images), BATCH_IMAGES):
                x = pad_images(images[start : start + BATCH_IMAGES], self.config)
                y[start : start + len(x)] = encoder(x.to(self.device)).cpu().numpy()
        return y

    @fork_safe
    def search(self) -> LatentSearch:
        """The search, which takes time to find better latents than the encoder's."""
        if self._search is None:
            with gradients():
                self._search = LatentSearch(self.config, self._layers).to(self.device)
        return self._search

    @fork_safe
    def synthesize(self, symbols: Symbols, stored_quality: int) -> Images:
        """Symbols (N, D) of a stored quality -> images (N, H, W, C), by integers alone."""
        c, low = self.config, self.config.is_low(stored_quality)
        x_hat = np.empty((len(symbols), c.height, c.width, c.channels), np.uint8)
        gain = torch.from_numpy(gains_at(self.gains, stored_quality)).to(self.device)
        step = max(1, min(BATCH_IMAGES, BATCH_NUMBERS // c.widest))
        for start in range(0, len(symbols), step):
            batch = torch.from_numpy(symbols[start : start + step]).to(self.device)
            x_hat[start : start + len(batch)] = self._decoder(batch, gain, low=low).cpu().numpy()
        return x_hat


def read_latent_decoder(
    model: Model,
) -> tuple[AutoencoderConfig, dict[str, LayerArrays], npt.NDArray[np.uint16]]:
    """Shapes, layers and gains (9, D) of a model's layer L; ModelCorruptError if one is wrong."""
    c = _read_config(model)
    part = read_part(model, LATENT_DECODER)
    layers = _read_layers(c, part)
    if c.low_below:
        c = replace(c, low_below=int(part.tensors[LOW_BELOW][0]))
        if not STORED_MIN < c.low_below <= STORED_MAX:
            raise ModelCorruptError(
                f"{LATENT_DECODER}: {LOW_BELOW} is {c.low_below}, "
                f"expected {STORED_MIN + 1}..{STORED_MAX}"
            )
    return c, layers, part.tensors["gain"].astype(np.uint16)


def _read_config(model: Model) -> AutoencoderConfig:
    width = model.encoder_config.get("width", 1)
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise ModelCorruptError(f"encoder: width is {width!r}, not 1..{MAX_WIDTH}")
    part = read_part(model, LATENT_DECODER)
    has_low_trunk = LOW_BELOW in part.tensors
    c = read_config(part, AutoencoderConfig, encoder=width, low_below=int(has_low_trunk))
    check_shape(part, model)
    return c


def _read_layers(c: AutoencoderConfig, part: Part) -> dict[str, LayerArrays]:
    wanted: TensorShapes = {"gain": ((QUALITIES, c.latents), np.uint16)}
    for name, shape in layer_shapes(c).items():
        wanted |= layer_tensors(name, shape, np.int16 if name == "dense1" else np.int8)
    if c.low_below:
        wanted[LOW_BELOW] = ((1,), np.uint16)
    tensors = take_tensors(part, wanted)
    return {
        name: LayerArrays(*(tensors[f"{name}.{kind}"] for kind in ("weight", "bias", "shift")))
        for name in layer_shapes(c)
    }


def _read_floors(model: Model) -> Floats:
    """The squared errors (9,) that the guard compares images with."""
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
