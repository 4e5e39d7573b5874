"""Latents read from an ``.aez``, without decoding the pixels of the images that have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec import latent_coding
from aecodec.archive import Archive
from aecodec.codec import Codec
from aecodec.container import MODE_LATENTS_ZSTD, SubPayload
from aecodec.decoding import LATENT_MODES, OpenChunk
from aecodec.entropy import zstd
from aecodec.models import LATENT_DECODER, installed_models
from aecodec.nets.autoencoder import LATENT_BITS
from aecodec.nets.latent_layer import LatentLayer
from aecodec.quantizer import gains_at

Floats = npt.NDArray[np.float32]


def has_latents(archive: Archive) -> bool:
    """Whether the file has layer L."""
    return any(part.name == LATENT_DECODER for part in archive.reader.parts)


def read_latents(archive: Archive) -> Floats:
    """Dequantized latents (N, D) of every image, in units of 256 gray levels.

    The few images that the guard sent another way have none in the file: they are decoded, and
    encoded by the file's model (ModelMismatchError when its encoder is not on this machine).
    """
    codec = archive._the_codec()
    layer = codec.latent_layer()
    y = np.empty((len(archive), layer.config.latents), np.float32)
    start = 0
    for i in range(archive.reader.chunk_count):
        chunk = archive.reader.read_chunk(i)
        where = f"{archive.name}: chunk {i}"
        assignment = np.frombuffer(chunk.assignment, np.uint8)
        here = y[start : start + len(assignment)]
        for index, sub in enumerate(chunk.sub_payloads):
            places = np.flatnonzero(assignment == index)
            if sub.mode not in LATENT_MODES:
                opened = OpenChunk(codec, chunk, archive.image_shape, where)
                here[places] = _with_encoder(layer, codec).analyse(opened.take(places))
                continue
            symbols = unpack_symbols(codec, sub, len(places), where)
            gains = gains_at(layer.gains, sub.parameter)
            here[places] = symbols.astype(np.float32) * gains.astype(np.float32)
            here[places] /= 1 << LATENT_BITS
        start += len(assignment)
    return y


def _with_encoder(layer: LatentLayer, codec: Codec) -> LatentLayer:
    """The same layer L with its encoder, which decoding does not need, if a model here has it."""
    if codec.model is None or codec.model.encoder:
        return layer
    wanted = codec.model.parts[LATENT_DECODER].fingerprint()
    for model in installed_models():
        part = model.parts.get(LATENT_DECODER)
        if model.encoder and part is not None and part.fingerprint() == wanted:
            return LatentLayer(model)
    return layer


def unpack_symbols(codec: Codec, sub: SubPayload, count: int, where: str) -> npt.NDArray[np.int16]:
    """Symbols (count, D) of a sub-payload of one of LATENT_MODES."""
    if sub.mode == MODE_LATENTS_ZSTD:
        return zstd.unpack_symbols(sub.data, count, codec.latent_layer().config.latents, where)
    (symbols,) = latent_coding.unpack_latents(
        codec.latent_prior(), [sub.data], [count], sub.parameter, [where]
    )
    return symbols
