"""PCA as a codec: the linear baseline that a learned latent layer has to beat.

An image minus the mean is projected on k orthonormal components; the coefficients are rounded to
multiples of a step in gray levels, stored component by component, and compressed with zstd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from aecodec.images import Images

MAX_SAMPLES = 4096  # of an image: the covariance holds this many squared
FIT_IMAGES = 4096  # images at once in fitting
ZSTD_LEVEL = 19

Floats = npt.NDArray[np.float32]
Symbols = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Basis:
    """mean (D,) and orthonormal components (D, k), strongest first; D = H * W * C."""

    mean: Floats
    components: Floats

    @property
    def nbytes(self) -> int:
        """What a decoder has to hold, as float32."""
        return self.mean.nbytes + self.components.nbytes

    def first(self, k: int) -> Basis:
        return Basis(self.mean, np.ascontiguousarray(self.components[:, :k]))


def fit_basis(images: Images, k: int) -> Basis:
    """The first k principal components of uint8 (N, H, W, C); fewer where D or N is smaller."""
    samples = math.prod(images.shape[1:])
    if samples > MAX_SAMPLES:
        raise ValueError(f"an image has {samples} samples, PCA here takes at most {MAX_SAMPLES}")
    # sums of integers, exact in float64 below 2^53: the order of adding does not matter
    total = np.zeros(samples)
    products = np.zeros((samples, samples))
    for start in range(0, len(images), FIT_IMAGES):
        x = images[start : start + FIT_IMAGES].reshape(-1, samples).astype(np.float64)
        total += x.sum(axis=0)
        products += x.T @ x
    mean = total / len(images)
    covariance = products / len(images) - np.outer(mean, mean)
    vectors = np.linalg.eigh(covariance).eigenvectors[:, ::-1][:, : min(k, len(images))]
    # an eigenvector's sign is arbitrary, and zstd's size depends on it
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return Basis(mean.astype(np.float32), (vectors * np.sign(peaks)).astype(np.float32))


def quantize(y: Floats, step: float) -> Symbols:
    """Coefficients to the nearest multiples of ``step``; ValueError outside int16."""
    if not step > 0:  # written so that NaN fails too
        raise ValueError(f"step is {step}, expected more than 0")
    symbols = np.rint(y / np.float32(step))
    if symbols.size and not np.abs(symbols).max() <= 32767:
        raise ValueError(
            f"symbols span {symbols.min():g}..{symbols.max():g}, expected -32767..32767"
        )
    return symbols.astype(np.int16)


def pack_symbols(symbols: Symbols) -> bytes:
    """Symbols (N, k) to k bytes that give each component's width, then a zstd frame."""
    parts = [_narrow(component) for component in symbols.T]
    widths = bytes(part.itemsize for part in parts)
    payloads = [part.tobytes() for part in parts]
    # zstd's parse of such data is fickle (up to 8 %): a block for each component wins now and then
    return widths + min(_compress(payloads), _compress_by_blocks(payloads), key=len)


def unpack_symbols(data: bytes, image_count: int, k: int) -> Symbols:
    """The inverse of ``pack_symbols``: (N, k)."""
    widths, frame = data[:k], data[k:]
    raw = zstandard.ZstdDecompressor().decompress(frame, image_count * sum(widths))
    symbols = np.empty((image_count, k), np.int16)
    offset = 0
    for i, width in enumerate(widths):
        symbols[:, i] = np.frombuffer(raw, f"<i{width}", image_count, offset)
        offset += width * image_count
    return symbols


def _narrow(component: Symbols) -> npt.NDArray[np.int8] | npt.NDArray[np.int16]:
    fits = bool((component == component.astype(np.int8)).all())
    return component.astype(np.int8) if fits else component.astype("<i2")


def _compress(payloads: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(b"".join(payloads))


def _compress_by_blocks(payloads: list[bytes]) -> bytes:
    stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    out = []
    for payload in payloads:
        out += [stream.compress(payload), stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join([*out, stream.flush()])


@dataclass(frozen=True)
class PcaCodec:
    """A basis and a step put to work on images of one shape (H, W, C)."""

    basis: Basis
    step: float
    shape: tuple[int, int, int]

    def encode(self, images: Images) -> bytes:
        x = images.reshape(len(images), -1) - self.basis.mean  # (N, D)
        return pack_symbols(quantize(x @ self.basis.components, self.step))

    def decode(self, data: bytes, image_count: int) -> Images:
        """Images (N, H, W, C), rounded and clipped to 0..255."""
        symbols = unpack_symbols(data, image_count, self.basis.components.shape[1])
        y_hat = symbols * np.float32(self.step)
        x_hat = y_hat @ self.basis.components.T + self.basis.mean
        return np.clip(np.rint(x_hat), 0, 255).astype(np.uint8).reshape(image_count, *self.shape)
