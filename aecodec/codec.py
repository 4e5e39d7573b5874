"""A model put to work: chunks of images encoded under a target, and decoded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec import encoding, latent_coding, targeting
from aecodec.bound_search import BoundSearch
from aecodec.container import Chunk
from aecodec.errors import AezCorruptError, ModelMissingError
from aecodec.latent_coding import ANS, CODERS, ZSTD
from aecodec.latent_symbols import ChunkLatents
from aecodec.models import (
    DEQUANTIZER,
    LATENT_DECODER,
    LATENT_PRIOR,
    PIXEL_MODELS,
    UNDERLAY,
    UNDERLAY_PARTS,
    Model,
)
from aecodec.quantizer import interpolate
from aecodec.refinement import Refiner
from aecodec.targets import MAX_ERROR, NBYTES, PSNR, QUALITY, QUALITY_UNIT, Target
from aecodec.underlay import Underlay

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
# steps of the search for better latents at each effort; up to 3 there is none
SEARCH_STEPS = {1: 0, 2: 0, 3: 0, 4: 3, 5: 6, 6: 12, 7: 24, 8: 50, 9: 120}
DEFAULT_EFFORT = 3
SAMPLE_IMAGES = 1024  # of a set, to see which layer is smaller or better
SAMPLE_ROOM = 0.9  # of a size: chunks differ, and have bytes of their own
LMBDAS = (3.5e-5, 4e-2)  # of qualities 1 and 9, where a model does not tell its own
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
    ``coder`` is what packs latents: "zstd" or "ans"; ``effort`` (1 to 9) how long better ones are
    searched for. Building the networks is left until they are needed.
    """

    model: Model | None
    device: str = "cpu"
    pixel_part: str | None = None
    coder: str = ZSTD
    effort: int = DEFAULT_EFFORT
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

    def refiner(self) -> Refiner:
        """Layer R, with what its pixel model stands on; ModelMissingError when a part is missing."""
        pixels = self.pixel_layer()
        if pixels.underlay is None:
            return Refiner(pixels)
        there = self.model.parts if self.model else {}
        if missing := sorted(set(UNDERLAY_PARTS) - set(there)):
            raise ModelMissingError(
                f"the model has no part {missing[0]}, on which its {self.pixel_model_name()} stands"
            )
        latents, prior, steps = self.latent_layer(), self.latent_prior(), SEARCH_STEPS[self.effort]
        quality = pixels.underlay
        return Refiner(pixels, Underlay(latents, prior, quality, steps=steps, lmbda=self.lmbda))

    def require_refiner(self) -> Refiner:
        """Layer R that encodes too; ModelMismatchError where what it stands on only decodes."""
        refiner = self.refiner()
        if refiner.underlay:
            self.latent_layer().require_encoder()
        return refiner

    def stands_on_latents(self) -> bool:
        """Whether the pixel model that this codec uses needs layer L and its prior."""
        part = self.model.parts.get(self.pixel_model_name() or "") if self.model else None
        return part is not None and UNDERLAY in part.tensors

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
                self.with_pixel_part(part).refiner()
            elif part == DEQUANTIZER:
                self.dequantizer()
            elif part == LATENT_PRIOR:
                self.latent_prior()

    def __post_init__(self) -> None:
        if self.coder not in CODERS:
            raise ValueError(f"coder: expected one of {', '.join(CODERS)}, got {self.coder!r}")
        if self.effort not in SEARCH_STEPS:
            raise ValueError(f"effort: expected 1 to {max(SEARCH_STEPS)}, got {self.effort!r}")

    # ------------------------------------------------------------ encoding

    def can_refine(self) -> bool:
        """Whether the model has the pixel model that this codec would use, and what it stands on."""
        if self.model is None or self.pixel_model_name() not in self.model.parts:
            return False
        grounded = bool(self.model.encoder) and set(UNDERLAY_PARTS) <= set(self.model.parts)
        return grounded or not self.stands_on_latents()

    def encode_chunk(
        self, images: Images, target: Target, *, by_pixels: bool = False, nbytes: int | None = None
    ) -> Chunk:
        """Encode uint8 (N, H, W, C), N >= 1, so that every image meets its target.

        ``by_pixels`` says which layer reaches a PSNR, and which is tried first for a size; the
        other targets know their own. ``nbytes`` is what the chunk may take of a file under a size,
        N times the target if not given; ValueError where that is too little.
        """
        if target.kind == NBYTES:
            room = int(target.value * len(images)) if nbytes is None else nbytes
            return self._encode_with_nbytes(images, target.value, room, by_pixels=by_pixels)
        if self.model is None:
            return encoding.encode_without_model(images, _bound_without_model(images, target))
        if target.kind == MAX_ERROR:
            return encoding.encode_with_bound(images, int(target.value), self.refiner())
        if by_pixels and target.kind == PSNR:
            return self._encode_pixels_with_psnr(images, target.value)
        latents = self._latents(images)
        if target.kind == QUALITY:
            return self._encode_with_quality(latents, target.stored)
        limit = targeting.squared_error_limit(target.value, images.shape)
        stored = latents.quality_for_error(limit)
        if stored is None:
            return self._encode_pixels_with_psnr(images, target.value)
        return self._encode_with_quality(latents, stored)

    def _latents(self, images: Images) -> ChunkLatents:
        layer = self.latent_layer()
        layer.require_encoder()
        steps = SEARCH_STEPS[self.effort]
        return ChunkLatents(images, layer, self._latent_coder(), steps=steps, lmbda=self.lmbda)

    def _encode_with_quality(self, latents: ChunkLatents, stored: int) -> Chunk:
        pixels = self.refiner if self.can_refine() else None
        return encoding.encode_with_quality(latents, stored, self.mse_limit(stored), pixels)

    def _latent_coder(self) -> latent_coding.LatentCoder:
        if self.coder == ANS:
            return latent_coding.AnsCoder(self.latent_prior())
        return latent_coding.ZstdCoder(self.device)

    def _encode_pixels_with_psnr(self, images: Images, psnr: float) -> Chunk:
        return targeting.encode_with_psnr(images, psnr, self.refiner(), self._mover())

    def _mover(self) -> Dequantizer | None:
        return self.dequantizer() if self.can_dequantize() else None

    def _encode_with_nbytes(
        self, images: Images, target: float, nbytes: int, *, by_pixels: bool
    ) -> Chunk:
        if self.model is None:
            found = targeting.encode_rounded_within(images, nbytes)
        else:
            ways = [self._latents_within, self._pixels_within]
            for within in reversed(ways) if by_pixels else ways:
                found = within(images, nbytes)
                if found is not None:
                    break
        if found is None:
            raise ValueError(
                f"target_bytes_per_image is {target:g}, which leaves {max(0, nbytes)} bytes for "
                f"{len(images)} images: no way of coding them takes as little"
            )
        return found

    def _latents_within(self, images: Images, nbytes: int) -> Chunk | None:
        if self.model is None or not self.model.encoder:
            return None
        latents = self._latents(images)
        stored: int | None = None

        def smallest(share: float) -> Chunk | None:
            nonlocal stored
            stored = latents.quality_for_nbytes(share, stored)
            return None if stored is None else self._encode_with_quality(latents, stored)

        return targeting.encode_within_nbytes(nbytes, smallest)

    def _pixels_within(self, images: Images, nbytes: int) -> Chunk | None:
        if not self.can_refine():
            return None
        search = BoundSearch(images, self.refiner(), self._mover())
        return targeting.encode_within_nbytes(
            nbytes, lambda share: targeting.encode_pixels_within(search, share)
        )

    def lmbda(self, stored_quality: int) -> float:
        """The weight of squared error, gray levels squared, against bpp that training gave it."""
        recipe = self.model.training.get("recipe", {}) if self.model else {}
        low = float(recipe.get("lmbda_min", LMBDAS[0]))
        high = float(recipe.get("lmbda_max", LMBDAS[1]))
        return float(low * (high / low) ** ((stored_quality / QUALITY_UNIT - 1) / 8))

    def mse_limit(self, stored_quality: int) -> float:
        """The guard's floor at a stored quality: squared error per sample, gray levels squared."""
        limits = np.log(np.maximum(self.latent_layer().mse_p999, 1e-3))[:, None]
        return GUARD_FACTOR * float(np.exp(interpolate(limits, stored_quality)[0]))

    def goes_by_pixels(self, target: Target, sample: Images) -> bool:
        """Whether layer R codes a set under a target: as a sample shows, for a PSNR and a size."""
        if self.model is None or target.kind == QUALITY:
            return False
        if target.kind == MAX_ERROR or not self.model.encoder or not len(sample):
            return True
        if not self.can_refine():
            return False
        few = sample[:: max(1, len(sample) // SAMPLE_IMAGES)]
        if target.kind == NBYTES:
            return self._pixels_are_better(few, target)
        limit = targeting.squared_error_limit(target.value, few.shape)
        stored = self._latents(few).quality_for_error(limit)
        if stored is None:
            return True
        pixels = self._encode_pixels_with_psnr(few, target.value)
        return _payload_nbytes(pixels) < self._latents_nbytes(sample, few, stored)

    def _pixels_are_better(self, few: Images, target: Target) -> bool:
        room = int(SAMPLE_ROOM * target.value * len(few))
        by_pixels, by_latents = self._pixels_within(few, room), self._latents_within(few, room)
        if by_pixels is None or by_latents is None:
            return by_latents is None
        return by_pixels.sum_squared_error < by_latents.sum_squared_error

    def _latents_nbytes(self, sample: Images, few: Images, stored: int) -> float:
        """What latents of ``few`` images take, of a sample they are drawn from and coded with."""
        found = self._encode_with_quality(self._latents(few), stored)
        if self.coder == ANS or len(few) == len(sample):
            return _payload_nbytes(found)
        plain = replace(self, effort=1)
        many = plain._encode_with_quality(plain._latents(sample), stored)
        alone = plain._encode_with_quality(plain._latents(few), stored)
        gain = _payload_nbytes(found) / max(1, _payload_nbytes(alone))  # of the search
        return _payload_nbytes(many) * gain * len(few) / len(sample)

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
        return int(targeting.psnr_bounds(images, target.value).min())
    return int(target.value) if target.kind == MAX_ERROR else 0


def _payload_nbytes(chunk: Chunk) -> int:
    return sum(len(sub.data) for sub in chunk.sub_payloads)
