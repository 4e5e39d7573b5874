"""Which model encodes a set: the one named, or the best installed one."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aecodec import models
from aecodec.codec import DEFAULT_EFFORT, Codec
from aecodec.errors import ModelMissingError
from aecodec.latent_coding import ANS, ZSTD
from aecodec.metrics import bits_per_pixel
from aecodec.targets import DEFAULT_QUALITY, NBYTES, PSNR, QUALITY, Target

Images = npt.NDArray[np.uint8]
ModelLike = models.Model | str | os.PathLike[str] | None
NO_MODEL = "none"
SAMPLE_IMAGES = 256  # that a model is chosen by


def choose_codec(
    wanted: ModelLike,
    sample: Images,
    target: Target,
    pixel_part: str | None = None,
    coder: str = ZSTD,
    effort: int = DEFAULT_EFFORT,
) -> Codec:
    """A codec with the model named, or with the best installed one that fits the sample.

    sample uint8 (n, H, W, C); 256 of its images are encoded. Best is, at a quality, the lowest
    rate plus lmbda times distortion, lmbda as the model was trained with; under a size, the same at
    quality 5; else the fewest bytes.
    """
    if isinstance(wanted, models.Model):
        return Codec(wanted, pixel_part=pixel_part, coder=coder, effort=effort)
    if wanted is not None:
        named = None if os.fspath(wanted) == NO_MODEL else models.load_model(wanted)
        return Codec(named, pixel_part=pixel_part, coder=coder, effort=effort)
    shape = (sample.shape[1], sample.shape[2], sample.shape[3])
    codecs = [
        Codec(m, pixel_part=pixel_part, coder=coder, effort=effort)
        for m in models.installed_models()
        if m.shape == shape and (coder != ANS or models.LATENT_PRIOR in m.parts)
    ]
    if target.kind == NBYTES:
        target = Target(QUALITY, DEFAULT_QUALITY)  # the better of two at one size is so at others
    if target.kind == QUALITY:
        fitting = [codec for codec in codecs if codec.model and codec.model.encoder]
    else:
        fitting = [codec for codec in codecs if codec.can_refine()]
    if not fitting:
        raise ModelMissingError(
            f"no installed model is for {models.shape_text(shape)} images"
            f"{'' if target.kind == QUALITY else ' and has the pixel model'}: make one with "
            "'aecodec train', name one with --model, or store them with --model none"
        )
    if len(fitting) == 1 or not len(sample):
        return fitting[0]
    sample = sample[:: max(1, len(sample) // SAMPLE_IMAGES)][:SAMPLE_IMAGES]
    return min(fitting, key=lambda codec: _cost(replace(codec, effort=1), sample, target))


def _cost(codec: Codec, sample: Images, target: Target) -> float:
    by_pixels = target.kind == PSNR and codec.goes_by_pixels(target, sample)
    chunk = codec.encode_chunk(sample, target, by_pixels=by_pixels)
    rate = bits_per_pixel(sum(len(sub.data) for sub in chunk.sub_payloads), sample.shape)
    if target.kind != QUALITY or codec.model is None:
        return rate
    return rate + codec.lmbda(target.stored) * chunk.sum_squared_error / sample.size
