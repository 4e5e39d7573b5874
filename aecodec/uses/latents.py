"""The latents in an ``.aez``, read without decoding the pixels."""

from __future__ import annotations

import numpy as np

from aecodec.archive.array import Archive
from aecodec.arrays import Floats, Symbols
from aecodec.codec.decode import OpenChunk, require_memory, symbols_nbytes
from aecodec.codec.networks import Networks
from aecodec.container import MODES, SubPayload
from aecodec.container.parts import LATENT_DECODER
from aecodec.errors import AezLimitError
from aecodec.held_rows import Rows, hold
from aecodec.latents.coders import CODERS_BY_MODE
from aecodec.latents.layer import LatentNetworks
from aecodec.latents.quantizer import gains_at
from aecodec.models.finding import installed_models
from aecodec.nets.latent_decoder import LATENT_BITS
from aecodec.uses.inputs import require_held

BATCH_IMAGES = 4096
FLOAT32_NBYTES = 4
CHUNK_NBYTES = 6  # of a latent, its symbol besides, while its chunk is read


def has_latents(archive: Archive) -> bool:
    """Whether the file has layer L."""
    return any(part.name == LATENT_DECODER for part in archive.reader.parts)


def read_latents(archive: Archive) -> Rows:
    """Dequantized latents float32 (N, D) of every image, in units of 256 gray levels.

    Images that the guard coded without latents are decoded, and encoded by the file's model;
    ModelMismatchError if its encoder is not on this machine. AezLimitError if they take more than
    16 times ``max_memory_nbytes`` in a temporary file, or those of a chunk more than one time.
    """
    width = archive.require_codec().networks.latents().config.latents
    require_held(archive, FLOAT32_NBYTES * width, "latents")
    numbers = range(archive.reader.chunk_count)
    batches = (_latents_of_chunk(archive, i) for i in numbers)
    return hold(batches, (width,), np.float32)


def _latents_of_chunk(archive: Archive, number: int) -> Floats:
    """Dequantized latents (n, D) of a chunk."""
    networks, most = archive.require_codec().networks, archive.limits.max_memory_nbytes
    latents = networks.latents()
    chunk, where = archive.reader.read_chunk(number), f"{archive.name}: chunk {number}"
    assignment = np.frombuffer(chunk.assignment, np.uint8)
    needed = len(assignment) * latents.config.latents * CHUNK_NBYTES
    if needed > most:
        raise AezLimitError(f"{where}: {needed} bytes of latents, max_memory_nbytes allows {most}")
    y = np.empty((len(assignment), latents.config.latents), np.float32)
    for index, sub in enumerate(chunk.sub_payloads):
        places = np.flatnonzero(assignment == index)
        if not MODES[sub.mode].holds_latents:
            opened = OpenChunk(networks, chunk, archive.image_shape, where, most)
            y[places] = _with_encoder(networks).analyse(opened.take(places))
            continue
        symbols = unpack_symbols(archive, sub, len(places), where)
        gains = gains_at(latents.gains, sub.parameter).astype(np.float32)
        for start in range(0, len(places), BATCH_IMAGES):
            some = slice(start, start + BATCH_IMAGES)
            y[places[some]] = symbols[some].astype(np.float32) * gains / (1 << LATENT_BITS)
    return y


def make_latents(networks: LatentNetworks, images: Rows) -> Rows:
    """Latents float32 (N, D) of images (N, H, W, C), by the encoder."""
    starts = range(0, len(images), BATCH_IMAGES // 8)
    batches = (networks.analyse(images[start : start + BATCH_IMAGES // 8]) for start in starts)
    return hold(batches, (networks.config.latents,), np.float32)


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
