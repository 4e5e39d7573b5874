"""Images <-> chunks: plan, encode, guard, decode. Integers alone cross from nets to container."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec import metrics
from aecodec.container import (
    MODE_LATENTS_ZSTD,
    MODE_STORED,
    MODE_ZSTD,
    Chunk,
    SubPayload,
)
from aecodec.entropy import zstd
from aecodec.errors import AezCorruptError, ModelMissingError
from aecodec.models import Model
from aecodec.quantizer import (
    QUALITY_MAX,
    QUALITY_UNIT,
    gains_at,
    in_range,
    interpolate,
    quality_to_stored,
)

if TYPE_CHECKING:
    from aecodec.nets.latent_layer import LatentLayer

Images = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]

CHUNK_IMAGES = 16_384  # zstd's tables want many symbols; decoding a chunk's symbols is cheap
CHUNK_NBYTES = 16 << 20  # ... and memory is bounded by the chunk
GUARD_FACTOR = 1.5  # an image may be this much worse than the training set's 99.9th percentile
GUARD_STEPS = (2.0, 4.0)  # finer qualities tried for images that are worse, then the finest


def default_chunk_images(shape: tuple[int, int, int]) -> int:
    """Images per chunk for shape (H, W, C): 16,384, or fewer where that is over 16 MiB."""
    return max(1, min(CHUNK_IMAGES, CHUNK_NBYTES // math.prod(shape)))


@dataclass
class Codec:
    """A model put to work on a device, or no model: then chunks are stored under zstd.

    Building the networks is left until they are needed.
    """

    model: Model | None
    device: str = "cpu"
    _layer: LatentLayer | None = field(default=None, repr=False)

    @property
    def layer(self) -> LatentLayer:
        """Layer L's networks; ModelMissingError when there is no model."""
        if self._layer is None:
            if self.model is None:
                raise ModelMissingError("a model is needed to decode latents, none was given")
            from aecodec.nets.latent_layer import LatentLayer

            self._layer = LatentLayer(self.model, self.device)
        return self._layer

    # ------------------------------------------------------------ encoding

    def encode_chunk(self, images: Images, quality: float) -> Chunk:
        """Encode uint8 (N, H, W, C), N >= 1, and check every image by decoding it."""
        if self.model is None:
            return _assemble(images, images, [_code_pixels(images)], bytes(len(images)))
        stored = quality_to_stored(quality)
        y = self.layer.analyse(images)
        plan = _Plan(images, y, self.layer, self.mse_limit(stored))
        everyone = np.arange(len(images))
        plan.try_quality(everyone, stored)
        if plan.whole_set_is_smaller_under_zstd():
            return _assemble(images, images, [_code_pixels(images)], bytes(len(images)))
        for finer in _finer_qualities(stored):
            plan.rescue(finer)
        plan.store_the_rest()
        return _assemble(images, plan.x_hat, *plan.sub_payloads())

    def mse_limit(self, stored_quality: int) -> float:
        """The guard's floor at a stored quality: squared error per sample, gray levels squared."""
        limits = np.log(np.maximum(self.layer.mse_p999, 1e-3))[:, None]
        return GUARD_FACTOR * float(np.exp(interpolate(limits, stored_quality)[0]))

    # ------------------------------------------------------------ decoding

    def decode_chunk(self, chunk: Chunk, shape: tuple[int, int, int], where: str) -> Images:
        """All images of a chunk, (n, H, W, C), checked against the chunk's hash of its pixels."""
        images = self.open_chunk(chunk, shape, where).take(np.arange(chunk.image_count))
        digest = hashlib.sha256(images.data).digest()
        if digest != chunk.pixels_sha256:
            raise AezCorruptError(
                f"{where}: decoded pixels have sha256 {digest.hex()}, "
                f"expected {chunk.pixels_sha256.hex()}"
            )
        return images

    def open_chunk(self, chunk: Chunk, shape: tuple[int, int, int], where: str) -> OpenChunk:
        """A chunk whose symbols are unpacked when asked for, image by image."""
        return OpenChunk(self, chunk, shape, where)


def _finer_qualities(stored: int) -> list[int]:
    finest = QUALITY_MAX * QUALITY_UNIT
    ladder = [stored + round(step * QUALITY_UNIT) for step in GUARD_STEPS]
    return [q for q in (*ladder, finest) if stored < q <= finest]


class _Plan:
    """The guard at work: which images of a chunk are coded how."""

    def __init__(
        self, images: Images, y: npt.NDArray[np.float32], layer: LatentLayer, mse_limit: float
    ) -> None:
        self.images, self.y, self.layer, self.mse_limit = images, y, layer, mse_limit
        self.x_hat = images.copy()
        self.choice = np.full(len(images), -1)  # index into coded; -1: not well enough yet
        self.coded: list[SubPayload] = []

    def try_quality(self, indices: npt.NDArray[np.intp], stored: int) -> None:
        """Code those of ``indices`` that come back well enough at this quality."""
        good, symbols, x_hat = self._good_enough(indices, stored)
        if len(good):
            payload = zstd.pack_symbols(symbols)
            self._accept(good, x_hat, SubPayload(MODE_LATENTS_ZSTD, stored, payload))

    def rescue(self, stored: int) -> None:
        """Code at a finer quality what is left and fits, where that is smaller than zstd."""
        bad = np.flatnonzero(self.choice < 0)
        if not len(bad):
            return
        good, symbols, x_hat = self._good_enough(bad, stored)
        if not len(good):
            return
        payload = zstd.pack_symbols(symbols)
        if len(payload) < len(_code_pixels(self.images[good]).data):
            self._accept(good, x_hat, SubPayload(MODE_LATENTS_ZSTD, stored, payload))

    def _good_enough(
        self, indices: npt.NDArray[np.intp], stored: int
    ) -> tuple[npt.NDArray[np.intp], Symbols, Images]:
        layer = self.layer
        scaled = self.y[indices] * np.exp(-interpolate(layer.log_step, stored))
        fits = in_range(scaled)
        indices = indices[fits]
        symbols = np.floor(scaled[fits] + np.float32(0.5)).astype(np.int16)
        x_hat = layer.synthesize(symbols, gains_at(layer.gains, stored))
        samples = math.prod(self.images.shape[1:])
        errors = metrics.squared_error(self.images[indices], x_hat) / samples
        good = errors <= self.mse_limit  # of the quality asked for, at every step tried
        return indices[good], symbols[good], x_hat[good]

    def _accept(self, indices: npt.NDArray[np.intp], x_hat: Images, sub: SubPayload) -> None:
        self.choice[indices] = len(self.coded)
        self.x_hat[indices] = x_hat
        self.coded.append(sub)

    def whole_set_is_smaller_under_zstd(self) -> bool:
        """Whether plain zstd (at a fast level) beats the latents: blank or repeated images."""
        coded = sum(len(sub.data) for sub in self.coded)
        return zstd.fast_nbytes(self.images.tobytes()) <= coded

    def store_the_rest(self) -> None:
        bad = np.flatnonzero(self.choice < 0)
        if len(bad):
            self._accept(bad, self.images[bad], _code_pixels(self.images[bad]))

    def sub_payloads(self) -> tuple[list[SubPayload], bytes]:
        """Sub-payloads in order of first use, and each image's index (aez.md 5)."""
        used, first = np.unique(self.choice, return_index=True)
        order = used[np.argsort(first)]
        rank = np.zeros(len(self.coded), np.uint8)
        rank[order] = np.arange(len(order))
        return [self.coded[i] for i in order], rank[self.choice].tobytes()


def _code_pixels(images: Images) -> SubPayload:
    """Pixels under zstd, or as they are where that is no larger."""
    raw = images.tobytes()
    packed = zstd.compress_bytes(raw)
    if len(packed) < len(raw):
        return SubPayload(MODE_ZSTD, 0, packed)
    return SubPayload(MODE_STORED, 0, raw)


def _assemble(
    images: Images, x_hat: Images, sub_payloads: list[SubPayload], assignment: bytes
) -> Chunk:
    return Chunk(
        len(images),
        tuple(sub_payloads),
        assignment,
        int(metrics.max_error(images, x_hat).max()),
        int(metrics.squared_error(images, x_hat).sum()),
        hashlib.sha256(np.ascontiguousarray(x_hat).data).digest(),
    )


# ---------------------------------------------------------------- decoding


class OpenChunk:
    """Random access within one chunk: symbols unpacked once, networks run only as asked."""

    def __init__(self, codec: Codec, chunk: Chunk, shape: tuple[int, int, int], where: str) -> None:
        self.codec, self.chunk, self.shape, self.where = codec, chunk, shape, where
        assignment = np.frombuffer(chunk.assignment, np.uint8)
        self._assignment = assignment
        # position of each image among those of its sub-payload
        self._position = np.empty(len(assignment), np.int64)
        for index in range(len(chunk.sub_payloads)):
            mine = assignment == index
            self._position[mine] = np.arange(int(mine.sum()))
        self._unpacked: dict[int, Images | Symbols] = {}

    def take(self, indices: npt.NDArray[np.intp]) -> Images:
        """Images (len(indices), H, W, C), indices within the chunk."""
        out = np.empty((len(indices), *self.shape), np.uint8)
        which = self._assignment[indices]
        for index in np.unique(which):
            here = which == index
            out[here] = self._decode(int(index), self._position[indices[here]])
        return out

    def _decode(self, index: int, positions: npt.NDArray[np.int64]) -> Images:
        sub = self.chunk.sub_payloads[index]
        if index not in self._unpacked:
            count = int((self._assignment == index).sum())
            self._unpacked[index] = self._unpack(sub, count)
        unpacked = self._unpacked[index][positions]
        if sub.mode != MODE_LATENTS_ZSTD:
            return unpacked  # type: ignore[return-value]
        layer = self.codec.layer
        return layer.synthesize(unpacked, gains_at(layer.gains, sub.parameter))  # type: ignore[arg-type]

    def _unpack(self, sub: SubPayload, count: int) -> Images | Symbols:
        if sub.mode == MODE_LATENTS_ZSTD:
            latents = self.codec.layer.config.latents
            return zstd.unpack_symbols(sub.data, count, latents, self.where)
        nbytes = count * math.prod(self.shape)
        raw = sub.data
        if sub.mode == MODE_ZSTD:
            raw = zstd.decompress_bytes(raw, nbytes, self.where)
        if len(raw) != nbytes:
            raise AezCorruptError(f"{self.where}: {len(raw)} bytes stored, expected {nbytes}")
        return np.frombuffer(raw, np.uint8).reshape(count, *self.shape)


def symbol_entropy_bits(images: Images, codec: Codec, quality: float) -> tuple[float, int]:
    """Order-0 entropy of each latent's symbols, summed, and the bits zstd took for them.

    For the bench: all images as one chunk, the guard left aside.
    """
    layer, stored = codec.layer, quality_to_stored(quality)
    scaled = layer.analyse(images) * np.exp(-interpolate(layer.log_step, stored))
    symbols = np.floor(scaled + np.float32(0.5)).astype(np.int16)
    entropy = 0.0
    for column in symbols.T:
        counts = np.unique(column, return_counts=True)[1]
        entropy -= float((counts * np.log2(counts / len(column))).sum())
    return entropy, 8 * len(zstd.pack_symbols(symbols))
