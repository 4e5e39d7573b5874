"""The latents in an ``.aez``, read without decoding the pixels."""

from __future__ import annotations

import numpy as np

from aecodec.archive.array import Archive
from aecodec.arrays import Floats, Symbols
from aecodec.codec.decode import OpenChunk, require_memory, symbols_nbytes
from aecodec.codec.networks import Networks
from aecodec.container import MODES, SubPayload
from aecodec.container.parts import LATENT_DECODER
from aecodec.latents.coders import CODERS_BY_MODE
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.quantizer import gains_at
from aecodec.models.finding import installed_models
from aecodec.nets.latent_decoder import LATENT_BITS


def has_latents(archive: Archive) -> bool:
    """Whether the file has layer L."""
    return any(part.name == LATENT_DECODER for part in archive.reader.parts)


def read_latents(archive: Archive) -> Floats:
    """Dequantized latents (N, D) of every image, in units of 256 gray levels.

    Images that the guard coded without latents are decoded, and encoded by the file's model;
    ModelMismatchError if its encoder is not on this machine.
    """
    networks, most = archive.require_codec().networks, archive.limits.max_memory_nbytes
    latents = networks.latents()
    y = np.empty((len(archive), latents.config.latents), np.float32)
    start = 0
    for i in range(archive.reader.chunk_count):
        chunk = archive.reader.read_chunk(i)
        where = f"{archive.name}: chunk {i}"
        assignment = np.frombuffer(chunk.assignment, np.uint8)
        here = y[start : start + len(assignment)]
        for index, sub in enumerate(chunk.sub_payloads):
            places = np.flatnonzero(assignment == index)
            if not MODES[sub.mode].holds_latents:
                opened = OpenChunk(networks, chunk, archive.image_shape, where, most)
                here[places] = _with_encoder(networks).analyse(opened.take(places))
                continue
            symbols = unpack_symbols(archive, sub, len(places), where)
            gains = gains_at(latents.gains, sub.parameter)
            here[places] = symbols.astype(np.float32) * gains.astype(np.float32)
            here[places] /= 1 << LATENT_BITS
        start += len(assignment)
    return y


def _with_encoder(networks: Networks) -> LatentNetworks:
    """The file's layer L, with the encoder of an installed model if the file has none."""
    if networks.model is not None and not networks.can_encode_latents():
        wanted = networks.model.parts[LATENT_DECODER].fingerprint()
        for model in installed_models():
            part = model.parts.get(LATENT_DECODER)
            if model.encoder and part is not None and part.fingerprint() == wanted:
                return LatentNetworks(model)
    return networks.latents()


def unpack_symbols(archive: Archive, sub: SubPayload, count: int, where: str) -> Symbols:
    """Symbols (count, D) of a sub-payload of an archive, whose mode holds latents."""
    networks = archive.require_codec().networks
    nbytes = symbols_nbytes(networks, MODES[sub.mode], count)
    require_memory(nbytes, archive.limits.max_memory_nbytes, where)
    coder = CODERS_BY_MODE[sub.mode].of(networks)
    (rows,) = coder.unpack([sub.data], [count], sub.parameter, [where])
    return rows.take(np.arange(count))
