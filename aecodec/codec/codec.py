"""A model at work: chunks of images are encoded under a target, and decoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aecodec.arguments import LOADED_MODEL, TEXT, WHOLE, check
from aecodec.arrays import Images
from aecodec.codec.bounds import BoundSearch
from aecodec.codec.by_bound import encode_with_bound
from aecodec.codec.by_psnr import encode_with_psnr, psnr_bounds, squared_error_limit
from aecodec.codec.by_quality import encode_with_quality
from aecodec.codec.by_size import (
    SizeError,
    encode_pixels_within,
    encode_rounded_within,
    encode_within_nbytes,
)
from aecodec.codec.candidates import Rule
from aecodec.codec.networks import Networks
from aecodec.codec.plan import encode_without_model
from aecodec.container import Chunk
from aecodec.container.modes import DEFAULT_CODER
from aecodec.latents.coders import CODERS
from aecodec.latents.symbols import ChunkLatents
from aecodec.limits import DEFAULT_LIMITS
from aecodec.models.model import Model
from aecodec.targets import (
    DEFAULT_EFFORT,
    MAX_ERROR,
    NBYTES,
    PSNR,
    QUALITY,
    Target,
    floor_db,
    mse_at,
)

if TYPE_CHECKING:
    from aecodec.codec.decode import OpenChunk
    from aecodec.pixels.layer import Dequantizer

# steps of the search for better latents, by effort; up to effort 3 there is no search
SEARCH_STEPS = {1: 0, 2: 0, 3: 0, 4: 3, 5: 6, 6: 12, 7: 24, 8: 50, 9: 120}

ENOUGH_DB = 3.0  # over the floor of a quality: such an image keeps its latents, whatever they cost


@dataclass(unsafe_hash=True)
class Codec:
    """A model on a device, or no model: then zstd packs the pixels, exact or rounded to the target.

    ``pixel_part`` names the pixel model to use; None takes the fast one, or the only one there is.
    ``coder`` names the coder of latents, "zstd" or "ans". ``effort``, 1 to 9, is how long encoding
    searches for better latents. ``networks`` are the model's, built when they are first needed.
    Codecs are equal if their models and options are; a copy builds networks of its own.
    """

    model: Model | None
    device: str = "cpu"
    pixel_part: str | None = None
    coder: str = DEFAULT_CODER
    effort: int = DEFAULT_EFFORT
    networks: Networks = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check("model", self.model, LOADED_MODEL.or_none())
        check("device", self.device, TEXT)
        check("pixel_part", self.pixel_part, TEXT.or_none())
        check("coder", self.coder, TEXT)
        check("effort", self.effort, WHOLE)
        if self.coder not in CODERS:
            raise ValueError(f"coder: expected one of {', '.join(CODERS)}, got {self.coder!r}")
        if self.effort not in SEARCH_STEPS:
            raise ValueError(f"effort: expected 1 to {max(SEARCH_STEPS)}, got {self.effort!r}")
        self.networks = Networks(self.model, self.device, self.pixel_part)

    def with_options(self, **options: Any) -> Codec:  # noqa: ANN401  # as the fields are
        """The same model and networks with another ``pixel_part``, ``coder`` or ``effort``.

        ``dataclasses.replace`` builds new networks instead, which another model or device needs.
        """
        if unknown := sorted(set(options) - {"pixel_part", "coder", "effort"}):
            raise TypeError(f"with_options: cannot change {', '.join(unknown)}")
        other = replace(self, **options)
        other.networks = self.networks.with_pixel_part(other.pixel_part)
        return other

    # ------------------------------------------------------------ encoding

    def encode_chunk(
        self, images: Images, target: Target, *, by_pixels: bool = False, nbytes: int | None = None
    ) -> Chunk:
        """Encode images (N, H, W, C), N >= 1, so that they meet a target.

        ``by_pixels`` chooses the layer that reaches a PSNR, and the layer that is tried first for a
        size; other targets do not need it. Under a size, the chunk has ``nbytes`` at most, or N
        times the target if that is not given; ValueError where that is too little.
        """
        if target.kind == NBYTES:
            room = int(target.value * len(images)) if nbytes is None else nbytes
            return self._encode_with_nbytes(images, target.value, room, by_pixels=by_pixels)
        if self.model is None:
            return encode_without_model(images, bound_without_model(images, target))
        if target.kind == MAX_ERROR:
            return encode_with_bound(images, int(target.value), self.networks.refiner())
        if by_pixels and target.kind == PSNR:
            return self.encode_pixels_with_psnr(images, target.value)
        latents = self.chunk_latents(images)
        if target.kind == QUALITY:
            enough = mse_at(floor_db(target.stored) + ENOUGH_DB)
            return self.encode_latents(latents, target.stored, enough)
        limit = squared_error_limit(target.value, images.shape)
        stored_quality = latents.quality_for_error(limit)
        if stored_quality is None:
            return self.encode_pixels_with_psnr(images, target.value)
        return self.encode_latents(latents, stored_quality)

    def chunk_latents(self, images: Images) -> ChunkLatents:
        """The latents of a chunk's images (N, H, W, C), at any quality.

        ModelMismatchError for a model without an encoder.
        """
        networks = self.networks.latents()
        networks.require_encoder()
        coder = CODERS[self.coder].of(self.networks)
        steps, lmbda = SEARCH_STEPS[self.effort], self.networks.lmbda
        return ChunkLatents(images, networks, coder, steps=steps, lmbda=lmbda)

    def encode_latents(
        self, latents: ChunkLatents, stored_quality: int, mse_enough: float = math.inf
    ) -> Chunk:
        """A chunk at a stored quality, by latents of its images.

        Images with a mean squared error over ``mse_enough`` are coded by what costs least.
        """
        pixels = self.networks.refiner if self.networks.can_refine() else None
        networks = self.networks
        rule = Rule(networks.mse_limit(stored_quality), mse_enough, networks.lmbda(stored_quality))
        return encode_with_quality(latents, stored_quality, rule, pixels)

    def encode_pixels_with_psnr(self, images: Images, psnr: float) -> Chunk:
        """A chunk of images (N, H, W, C) that reaches a PSNR in dB, by the pixel model."""
        return encode_with_psnr(images, psnr, self.networks.refiner(), self._dequantizer())

    def latents_within(self, images: Images, nbytes: int) -> Chunk | None:
        """A chunk of at most ``nbytes``, by latents; None if none fits."""
        if not self.networks.can_encode_latents():
            return None
        latents = self.chunk_latents(images)
        stored_quality: int | None = None

        def smallest(share: float) -> Chunk | None:
            nonlocal stored_quality
            stored_quality = latents.quality_for_nbytes(share, stored_quality)
            return None if stored_quality is None else self.encode_latents(latents, stored_quality)

        return encode_within_nbytes(nbytes, smallest)

    def pixels_within(self, images: Images, nbytes: int) -> Chunk | None:
        """A chunk of at most ``nbytes``, by the pixel model; None if none fits."""
        if not self.networks.can_refine():
            return None
        search = BoundSearch(images, self.networks.refiner(), self._dequantizer())
        return encode_within_nbytes(nbytes, lambda share: encode_pixels_within(search, share))

    def _dequantizer(self) -> Dequantizer | None:
        return self.networks.dequantizer() if self.networks.can_dequantize() else None

    def _encode_with_nbytes(
        self, images: Images, target: float, nbytes: int, *, by_pixels: bool
    ) -> Chunk:
        if self.model is None:
            found = encode_rounded_within(images, nbytes)
        else:
            layers = [self.latents_within, self.pixels_within]
            for within in reversed(layers) if by_pixels else layers:
                found = within(images, nbytes)
                if found is not None:
                    break
            if found is None:
                found = encode_rounded_within(images, nbytes)
        if found is None:
            raise SizeError(
                f"target_bytes_per_image is {target:g}, which leaves {max(0, nbytes)} bytes for "
                f"{len(images)} images: no way of coding them takes as little"
            )
        return found

    # ------------------------------------------------------------ decoding

    def decode_chunk(self, chunk: Chunk, shape: tuple[int, int, int], where: str) -> Images:
        """All images of a chunk, (n, H, W, C), checked against the chunk's hash of its pixels."""
        return self.open_chunks([chunk], shape, [where])[0].all()

    def open_chunks(
        self,
        chunks: Sequence[Chunk],
        shape: tuple[int, int, int],
        where: Sequence[str],
        max_memory_nbytes: int = DEFAULT_LIMITS.max_memory_nbytes,
    ) -> list[OpenChunk]:
        """Chunks of one file, opened for random access.

        ``where`` names each chunk for errors. Several chunks are unpacked at once, side by side.
        AezLimitError, then or later, for latents that take more than ``max_memory_nbytes``.
        """
        from aecodec.codec.decode import OpenChunk, unpack_together

        opened = [
            OpenChunk(self.networks, chunk, shape, name, max_memory_nbytes)
            for chunk, name in zip(chunks, where, strict=True)
        ]
        if len(opened) > 1:
            unpack_together(opened)
        return opened


def bound_without_model(images: Images, target: Target) -> int:
    """The error bound to which gray levels are rounded where there is no model."""
    if target.kind == PSNR:
        return int(psnr_bounds(images, target.value).min())
    return int(target.value) if target.kind == MAX_ERROR else 0
