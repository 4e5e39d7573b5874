"""PCA as a whole codec, files and decoder too: what a learned latent layer has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from aecodec.arrays import Floats, Images, Symbols
from aecodec.measures.pca import PcaBasis

ZSTD_LEVEL = 19
SYMBOL_MAX = 32767


@dataclass(frozen=True)
class PcaCodec:
    """The first k axes of a basis and a step in gray levels, for images of one shape (H, W, C)."""

    mean: Floats  # (P,), P = H * W * C
    axes: Floats  # (k, P), orthonormal
    step: float
    shape: tuple[int, int, int]

    @property
    def basis_nbytes(self) -> int:
        """What a decoder has to hold."""
        return self.mean.nbytes + self.axes.nbytes

    def encode(self, images: Images) -> bytes:
        x = images.reshape(len(images), -1).astype(np.float32) - self.mean  # (N, P)
        y = (x @ self.axes.T).astype(np.float32, copy=False)  # (N, k)
        return pack_symbols(quantize(y, self.step))

    def decode(self, data: bytes, image_count: int) -> Images:
        """Images (N, H, W, C), rounded and clipped to 0..255."""
        symbols = unpack_symbols(data, image_count, len(self.axes))
        x_hat = (symbols * np.float32(self.step)) @ self.axes + self.mean
        return np.clip(np.rint(x_hat), 0, 255).astype(np.uint8).reshape(image_count, *self.shape)


def oriented(basis: PcaBasis) -> PcaBasis:
    """The basis with each axis's largest entry positive.

    The sign of an axis is arbitrary and differs between machines, and the size under zstd with it.
    """
    peaks = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=1)[:, None], axis=1)
    return PcaBasis(basis.mean, basis.axes * np.where(peaks < 0, np.float32(-1), np.float32(1)))


def quantize(y: Floats, step: float) -> Symbols:
    """Coefficients to the nearest multiples of ``step``; ValueError outside the symbols' range."""
    if not step > 0:  # written so that NaN fails too
        raise ValueError(f"step is {step}, expected more than 0")
    symbols: Floats = np.rint(y / np.float32(step))
    if not np.abs(symbols).max(initial=0) <= SYMBOL_MAX:
        raise ValueError(
            f"symbols span {symbols.min():g}..{symbols.max():g}, "
            f"expected {-SYMBOL_MAX}..{SYMBOL_MAX}"
        )
    return symbols.astype(np.int16)


def pack_symbols(symbols: Symbols) -> bytes:
    """Symbols (N, k), component by component: k bytes with the components' widths, a zstd frame."""
    parts = [_narrow(component) for component in symbols.T]
    widths = bytes(part.itemsize for part in parts)
    payloads = [part.tobytes() for part in parts]
    # zstd's size of such data jumps by up to 12 %: a block for each component wins now and then
    return widths + min(_one_run(payloads), _block_for_each(payloads), key=len)


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
    """The component as int8 where it fits, else as little-endian int16."""
    fits = component.min(initial=0) >= -128 and component.max(initial=0) <= 127
    return component.astype(np.int8) if fits else component.astype("<i2")


def _one_run(payloads: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(b"".join(payloads))


def _block_for_each(payloads: list[bytes]) -> bytes:
    nbytes = sum(map(len, payloads))
    stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(size=nbytes)
    frame = bytearray()
    for payload in payloads:
        frame += stream.compress(payload) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return bytes(frame + stream.flush())
