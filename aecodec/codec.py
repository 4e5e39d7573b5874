"""A model put to work: chunks of images encoded under a target, and decoded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec import encoding, latent_coding
from aecodec.container import Chunk
from aecodec.errors import AezCorruptError, ModelMissingError
from aecodec.latent_coding import ANS, CODERS, ZSTD
from aecodec.models import DEQUANTIZER, LATENT_DECODER, LATENT_PRIOR, PIXEL_MODELS, Model
from aecodec.quantizer import interpolate
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target

if TYPE_CHECKING:
    from aecodec.decoding import OpenChunk
    from aecodec.nets.latent_layer import LatentLayer
    from aecodec.nets.pixel_layer import Dequantizer, PixelLayer
    from aecodec.nets.prior_layer import PriorLayer

Images = npt.NDArray[np.uint8]

GUARD_FACTOR = 1.5  # an image may be this much worse than the training set's 99.9th percentile
LATENT_CHUNK_IMAGES = 16_384  # zstd's tables want many symbols; decoding a chunk of them is cheap
ANS_CHUNK_IMAGES = 2048  # of latents: what a chunk has besides its payload is lost among them
PIXEL_CHUNK_IMAGES = 256
CHUNK_NBYTES = 16 << 20  # memory is bounded by the chunk
VARIANTS = {part.removeprefix("pixel_"): part for part in PIXEL_MODELS}


def default_chunk_images(
    shape: tuple[int, int, int], *, by_pixels: bool = False, coder: str = ZSTD
) -> int:
    """Images (H, W, C) per chunk: 16,384 for latents (2,048 under ANS), 256 for layer R; <= 16 MiB."""
    latents = ANS_CHUNK_IMAGES if coder == ANS else LATENT_CHUNK_IMAGES
    wanted = PIXEL_CHUNK_IMAGES if by_pixels else latents
    return max(1, min(wanted, CHUNK_NBYTES // math.prod(shape)))


@dataclass
class Codec:
    """A model on a device, or no model: then chunks are stored under zstd.

    ``pixel_part`` names the pixel model to use; None takes the fast one, or the only one there.
    ``coder`` is what packs latents: "zstd" or "ans". Building the networks is left until they are needed.
    """

    model: Model | None
    device: str = "cpu"
    pixel_part: str | None = None
    coder: str = ZSTD
    _layers: dict[str, Any] = field(default_factory=dict, repr=False)  # built, by part

    def latent_layer(self) -> LatentLayer:
        """Layer L's networks; ModelMissingError when there is no model."""
        if LATENT_DECODER not in self._layers:
            if self.model is None:
                raise ModelMissingError("a model is needed to decode latents, none was given")
            from aecodec.nets.latent_layer import LatentLayer

            self._layers[LATENT_DECODER] = LatentLayer(self.model, self.device)
        layer: LatentLayer = self._layers[LATENT_DECODER]
        return layer

    def latent_prior(self) -> PriorLayer:
        """The prior of layer L's latents; ModelMissingError when there is none."""
        if self.model is None or LATENT_PRIOR not in self.model.parts:
            owner = f"model {self.model.name!r}" if self.model else "no model"
            raise ModelMissingError(
                f"{owner} has no part {LATENT_PRIOR}, which latents under ANS need: train one "
                "with 'aecodec train --layers p', or use --coder zstd"
            )
        if LATENT_PRIOR not in self._layers:
            from aecodec.nets.prior_layer import PriorLayer

            gains = self.latent_layer().gains
            self._layers[LATENT_PRIOR] = PriorLayer(self.model, gains, self.device)
        layer: PriorLayer = self._layers[LATENT_PRIOR]
        return layer

    def pixel_layer(self) -> PixelLayer:
        """Layer R's network; ModelMissingError when the model has none, or not the one named."""
        name = self.pixel_model_name()
        if self.model is None or name is None or name not in self.model.parts:
            owner = f"model {self.model.name!r}" if self.model else "no model"
            raise ModelMissingError(
                f"{owner} has no part {name or PIXEL_MODELS[0]}, which bounded errors need: "
                "train one with 'aecodec train --layers r', or use --model none"
            )
        if name not in self._layers:
            from aecodec.nets.pixel_layer import PixelLayer

            self._layers[name] = PixelLayer(self.model, name, self.device)
        layer: PixelLayer = self._layers[name]
        return layer

    def dequantizer(self) -> Dequantizer:
        """Layer R's dequantizer; ModelMissingError when there is none."""
        if self.model is None or DEQUANTIZER not in self.model.parts:
            raise ModelMissingError(f"the model has no part {DEQUANTIZER}, which the file needs")
        if DEQUANTIZER not in self._layers:
            from aecodec.nets.pixel_layer import Dequantizer

            self._layers[DEQUANTIZER] = Dequantizer(self.model, self.device)
        layer: Dequantizer = self._layers[DEQUANTIZER]
        return layer

    def can_dequantize(self) -> bool:
        """Whether the model has a dequantizer."""
        return self.model is not None and DEQUANTIZER in self.model.parts

    def pixel_model_name(self) -> str | None:
        """The pixel model's part that this codec uses; None when its model has none."""
        if self.pixel_part is not None:
            return self.pixel_part
        parts = self.model.parts if self.model else {}
        return next((name for name in PIXEL_MODELS if name in parts), None)

    def with_pixel_part(self, name: str | None) -> Codec:
        """The same model and networks, with another pixel model chosen."""
        if name == self.pixel_part:
            return self
        return replace(self, pixel_part=name)

    def prove(self) -> None:
        """Build every network of the model now; ModelCorruptError names what cannot be proven."""
        for part in self.model.parts if self.model else ():
            if part == LATENT_DECODER:
                self.latent_layer()
            elif part in PIXEL_MODELS:
                self.with_pixel_part(part).pixel_layer()
            elif part == DEQUANTIZER:
                self.dequantizer()
            elif part == LATENT_PRIOR:
                self.latent_prior()

    def __post_init__(self) -> None:
        if self.coder not in CODERS:
            raise ValueError(f"coder: expected one of {', '.join(CODERS)}, got {self.coder!r}")

    # ------------------------------------------------------------ encoding

    def can_refine(self) -> bool:
        """Whether the model has the pixel model that this codec would use."""
        return self.model is not None and self.pixel_model_name() in self.model.parts

    def encode_chunk(self, images: Images, target: Target, *, by_pixels: bool = False) -> Chunk:
        """Encode uint8 (N, H, W, C), N >= 1, so that every image meets its target.

        ``by_pixels`` says which layer reaches a PSNR; the other targets know their own.
        """
        if self.model is None:
            return encoding.encode_without_model(images, _bound_without_model(images, target))
        if target.kind == MAX_ERROR:
            return encoding.encode_with_bound(images, int(target.value), self.pixel_layer())
        if target.kind == QUALITY:
            return self._encode_with_quality(images, target.stored)
        if not by_pixels:
            stored = encoding.quality_for_psnr(images, target.value, self.latent_layer())
            if stored is not None:
                return self._encode_with_quality(images, stored)
        return self._encode_pixels_with_psnr(images, target.value)

    def _encode_with_quality(self, images: Images, stored: int) -> Chunk:
        self.latent_layer().require_encoder()
        pixels = self.pixel_layer if self.can_refine() else None
        limit = self.mse_limit(stored)
        coder = self._latent_coder()
        return encoding.encode_with_quality(
            images, stored, self.latent_layer(), coder, limit, pixels
        )

    def _latent_coder(self) -> latent_coding.LatentCoder:
        if self.coder == ANS:
            return latent_coding.AnsCoder(self.latent_prior())
        return latent_coding.ZstdCoder()

    def _encode_pixels_with_psnr(self, images: Images, psnr: float) -> Chunk:
        dequantizer = self.dequantizer() if self.can_dequantize() else None
        return encoding.encode_with_psnr(images, psnr, self.pixel_layer(), dequantizer)

    def mse_limit(self, stored_quality: int) -> float:
        """The guard's floor at a stored quality: squared error per sample, gray levels squared."""
        limits = np.log(np.maximum(self.latent_layer().mse_p999, 1e-3))[:, None]
        return GUARD_FACTOR * float(np.exp(interpolate(limits, stored_quality)[0]))

    def goes_by_pixels(self, target: Target, sample: Images) -> bool:
        """Whether layer R codes a set under a target, its size on a sample deciding for a PSNR."""
        if self.model is None or target.kind == QUALITY:
            return False
        if target.kind == MAX_ERROR or not self.model.encoder or not len(sample):
            return True
        if not self.can_refine():
            return False
        stored = encoding.quality_for_psnr(sample, target.value, self.latent_layer())
        if stored is None:
            return True
        few = sample[:: max(1, len(sample) // (4 * PIXEL_CHUNK_IMAGES))]
        pixels = self._encode_pixels_with_psnr(few, target.value)
        latents = self._encode_with_quality(sample, stored)
        return _payload_nbytes(pixels) * len(sample) < _payload_nbytes(latents) * len(few)

    # ------------------------------------------------------------ decoding

    def decode_chunk(self, chunk: Chunk, shape: tuple[int, int, int], where: str) -> Images:
        """All images of a chunk, (n, H, W, C), checked against the chunk's hash of its pixels."""
        return decode_whole(self.open_chunks([chunk], shape, [where])[0])

    def open_chunks(
        self, chunks: Sequence[Chunk], shape: tuple[int, int, int], where: Sequence[str]
    ) -> list[OpenChunk]:
        """Chunks of one file, whose payloads are unpacked when asked for, or side by side here."""
        from aecodec.decoding import OpenChunk, unpack_together

        opened = [
            OpenChunk(self, chunk, shape, name) for chunk, name in zip(chunks, where, strict=True)
        ]
        if len(opened) > 1:
            unpack_together(opened)
        return opened


def decode_whole(opened: OpenChunk) -> Images:
    """All images of an open chunk, checked against its hash of the pixels."""
    chunk = opened.chunk
    images = opened.take(np.arange(chunk.image_count))
    digest = hashlib.sha256(images.data).digest()
    if digest != chunk.pixels_sha256:
        raise AezCorruptError(
            f"{opened.where}: decoded pixels have sha256 {digest.hex()}, "
            f"expected {chunk.pixels_sha256.hex()}"
        )
    return images


def _bound_without_model(images: Images, target: Target) -> int:
    if target.kind == PSNR:
        return int(encoding.psnr_bounds(images, target.value).min())
    return int(target.value) if target.kind == MAX_ERROR else 0


def _payload_nbytes(chunk: Chunk) -> int:
    return sum(len(sub.data) for sub in chunk.sub_payloads)
