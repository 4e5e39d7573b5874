"""Which model encodes a set, and which of its layers; a sample of the images decides both."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from aecodec.advice import Advice, advised
from aecodec.arrays import Images, evenly
from aecodec.codec.by_psnr import squared_error_limit
from aecodec.codec.codec import Codec
from aecodec.container import Chunk, SubPayload
from aecodec.container.modes import (
    LATENTS_ANS,
    MODE_OF_CODER,
    MODES,
    PIXELS_ANS,
    PIXELS_DEQUANTIZED,
    Mode,
)
from aecodec.errors import ModelMissingError
from aecodec.latents.coders import CODERS
from aecodec.measures.metrics import bits_per_pixel
from aecodec.models.finding import installed_models, load_model
from aecodec.models.model import Model, shape_text
from aecodec.targets import DEFAULT_QUALITY, MAX_ERROR, NBYTES, PSNR, QUALITY, Target

TO_HAVE_MODEL: Final = Advice(
    python="make one with 'aecodec train', give one as model, or do without by model=\"none\"",
    command="make one with 'aecodec train', name one with --model, or do without: --model none",
)

ModelLike: TypeAlias = Model | str | os.PathLike[str] | None
NO_MODEL = "none"
MODEL_SAMPLE_IMAGES = 256  # by which a model is chosen
LAYER_SAMPLE_IMAGES = 1024  # by which a layer is chosen
SAMPLE_ROOM = 0.9  # share of a size that a sample gets: chunks differ, and have bytes of their own
PIXEL_CHUNK_IMAGES = 256
CHUNK_NBYTES = 16 << 20  # of images in a chunk at most: memory is bounded by the chunk


@dataclass(frozen=True)
class SetEncoder:
    """A codec that encodes a whole set under one target, by the layer that was chosen for it.

    ``by_pixels`` is whether that is layer R; otherwise it is layer L.
    """

    codec: Codec
    target: Target
    by_pixels: bool

    def modes(self, chunk: Chunk | None = None) -> set[Mode]:
        """The modes that any chunk of the set may have, or those of one ``chunk``.

        The latents of an underlay are coded as ``LATENTS_ANS`` codes them, so that mode goes with
        those of a pixel model with an underlay.
        """
        if chunk is None:
            modes = self._possible_modes()
        else:
            modes = {MODES[sub.mode] for sub in chunk.sub_payloads}
        if any(mode.is_bounded for mode in modes) and self.codec.networks.has_underlay():
            modes.add(LATENTS_ANS)
        return modes

    def _possible_modes(self) -> set[Mode]:
        networks, kind = self.codec.networks, self.target.kind
        if self.codec.model is None:
            return set()
        modes = set()
        # Under a size, a chunk may be coded by the other layer where this one is too large.
        if networks.can_encode_latents() if kind == NBYTES else not self.by_pixels:
            modes.add(MODE_OF_CODER[self.codec.coder])
        if networks.can_refine():
            modes.add(PIXELS_ANS)
            if kind in (PSNR, NBYTES) and networks.can_dequantize():
                modes.add(PIXELS_DEQUANTIZED)
        return modes

    def is_usual(self, sub: SubPayload) -> bool:
        """Whether images like those that the model was made for are coded as this sub-payload is.

        At a quality they are latents of that very quality; else any part of the model codes them.
        """
        mode = MODES[sub.mode]
        if self.target.kind == QUALITY:
            return mode.holds_latents and sub.parameter == self.target.stored
        return bool(mode.parts)

    def without_loss(self) -> list[SetEncoder]:
        """What may be smaller than this encoder: zstd alone, and at a quality no loss at all.

        Zstd alone keeps the target too.
        """
        plain = SetEncoder(Codec(None), self.target, by_pixels=False)
        if self.target.kind != QUALITY or not self.codec.networks.can_refine():
            return [plain]
        return [plain, SetEncoder(self.codec, Target(MAX_ERROR, 0), by_pixels=True)]

    def encode_chunk(self, images: Images, nbytes: int | None = None) -> Chunk:
        """A chunk of images (N, H, W, C), N >= 1; under a size, of at most ``nbytes``."""
        codec, target = self.codec, self.target
        return codec.encode_chunk(images, target, by_pixels=self.by_pixels, nbytes=nbytes)

    def chunk_images(self, shape: tuple[int, int, int]) -> int:
        """How many images (H, W, C) a chunk has by default."""
        if self.by_pixels:
            return chunk_images_within(PIXEL_CHUNK_IMAGES, shape)
        return chunk_images_within(CODERS[self.codec.coder].chunk_images, shape)


def most_chunk_images(shape: tuple[int, int, int]) -> int:
    """How many images (H, W, C) a chunk has by default, at most."""
    return chunk_images_within(max(coder.chunk_images for coder in CODERS.values()), shape)


def chunk_images_within(wanted: int, shape: tuple[int, int, int]) -> int:
    """``wanted``, or as many images (H, W, C) as take 16 MiB if those are fewer; at least one."""
    return max(1, min(wanted, CHUNK_NBYTES // math.prod(shape)))


# ---------------------------------------------------------------- which model


def choose_codec(
    wanted: ModelLike, sample: Images, target: Target, codec_of: Callable[[Model | None], Codec]
) -> Codec:
    """A codec with the model that is wanted, or with the best installed one for the sample.

    ``codec_of`` makes the codec of a model. At a quality, the best model has the least rate plus
    lmbda times distortion on 256 images of the sample (n, H, W, C), with the lmbda that it was
    trained with. Under a size it is the best one at quality 5; under other targets it is the one
    that writes the fewest bytes.

    ModelMissingError when there is no such model.
    """
    if isinstance(wanted, Model):
        return codec_of(wanted)
    if wanted is not None:
        return codec_of(None if os.fspath(wanted) == NO_MODEL else load_model(wanted))
    shape = (sample.shape[1], sample.shape[2], sample.shape[3])
    codecs = [codec_of(model) for model in installed_models() if model.fits(shape)]
    codecs = [codec for codec in codecs if _has_coder(codec)]
    if target.kind == NBYTES:
        target = Target(QUALITY, DEFAULT_QUALITY)  # the better one at one size is better at others
    if target.kind == QUALITY:
        fitting = [codec for codec in codecs if codec.networks.can_encode_latents()]
    else:
        fitting = [codec for codec in codecs if codec.networks.can_refine()]
    if not fitting:
        has = "" if target.kind == QUALITY else " and has the pixel model"
        text = f"no installed model is for {shape_text(shape)} images{has}"
        raise advised(ModelMissingError(text), TO_HAVE_MODEL)
    if len(fitting) == 1 or not len(sample):
        return fitting[0]
    few = sample[evenly(len(sample), MODEL_SAMPLE_IMAGES)]
    return min(fitting, key=lambda codec: _cost(codec.with_options(effort=1), few, target))


def _has_coder(codec: Codec) -> bool:
    """Whether the model has what the codec's coder needs beside layer L itself."""
    first, *others = MODE_OF_CODER[codec.coder].parts
    del first  # layer L, which error bounds do without
    return all(any(codec.networks.has(name) for name in names) for names in others)


def _cost(codec: Codec, sample: Images, target: Target) -> float:
    if target.kind == QUALITY:
        # Every image takes what costs least: a model that rebuilds none well must not win.
        latents = codec.chunk_latents(sample)
        chunk = codec.encode_latents(latents, target.stored, mse_enough=0.0)
        distortion = codec.networks.lmbda(target.stored) * chunk.sum_squared_error / sample.size
        return bits_per_pixel(_payload_nbytes(chunk), sample.shape) + distortion
    by_pixels = target.kind == PSNR and goes_by_pixels(codec, target, sample)
    chunk = codec.encode_chunk(sample, target, by_pixels=by_pixels)
    return bits_per_pixel(_payload_nbytes(chunk), sample.shape)


# ---------------------------------------------------------------- which layer


def encoder_for(codec: Codec, target: Target, sample: Images) -> SetEncoder:
    """The codec with the layer that codes a set best under a target, by a sample of the set."""
    return SetEncoder(codec, target, goes_by_pixels(codec, target, sample))


def goes_by_pixels(codec: Codec, target: Target, sample: Images) -> bool:
    """Whether layer R codes a set under a target better than layer L.

    Under a PSNR or a size, both layers code 1,024 images of the sample (n, H, W, C).
    """
    networks = codec.networks
    if codec.model is None or target.kind == QUALITY:
        return False
    if target.kind == MAX_ERROR or not networks.can_encode_latents() or not len(sample):
        return True
    if not networks.can_refine():
        return False
    few = sample[evenly(len(sample), LAYER_SAMPLE_IMAGES)]
    if target.kind == NBYTES:
        return _pixels_err_less(codec, few, target)
    limit = squared_error_limit(target.value, few.shape)
    stored_quality = codec.chunk_latents(few).quality_for_error(limit)
    if stored_quality is None:
        return True
    pixels = codec.encode_pixels_with_psnr(few, target.value)
    return _payload_nbytes(pixels) < _latents_nbytes(codec, sample, few, stored_quality)


def _pixels_err_less(codec: Codec, few: Images, target: Target) -> bool:
    """Whether layer R errs less than layer L in as many bytes."""
    room = int(SAMPLE_ROOM * target.value * len(few))
    by_pixels, by_latents = codec.pixels_within(few, room), codec.latents_within(few, room)
    if by_pixels is None or by_latents is None:
        return by_latents is None
    return by_pixels.sum_squared_error < by_latents.sum_squared_error


def _latents_nbytes(codec: Codec, sample: Images, few: Images, stored_quality: int) -> float:
    """Payload bytes of the latents of ``few`` images, if they are coded with the whole sample."""

    def nbytes(of: Codec, images: Images) -> int:
        return _payload_nbytes(of.encode_latents(of.chunk_latents(images), stored_quality))

    found = nbytes(codec, few)
    if not CODERS[codec.coder].shares_tables or len(few) == len(sample):
        return found
    plain = codec.with_options(effort=1)
    gain = found / max(1, nbytes(plain, few))  # of the search for better latents
    return nbytes(plain, sample) * gain * len(few) / len(sample)


def _payload_nbytes(chunk: Chunk) -> int:
    return sum(len(sub.data) for sub in chunk.sub_payloads)
