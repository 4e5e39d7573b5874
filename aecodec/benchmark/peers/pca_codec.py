"""PCA as a whole codec: the classical transform codec that layer L has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from aecodec.arrays import Floats, Images, Symbols
from aecodec.entropy.zstd import compress_bytes
from aecodec.measures.pca import PcaBasis

ZSTD_LEVEL = 19
SYMBOL_MAX = 32767


@dataclass(frozen=True, eq=False)
class PcaCodec:
    """The first k axes of a basis and a step in gray levels, for images of one shape."""

    mean: Floats  # (P,), P samples an image
    axes: Floats  # (k, P), orthonormal
    step: float
    shape: tuple[int, ...]  # of an image, (H, W, C) or (H, W)

    @property
    def basis_nbytes(self) -> int:
        """The size of the mean and the axes, which a decoder needs."""
        return self.mean.nbytes + self.axes.nbytes

    def encode(self, images: Images) -> bytes:
        """The file of images (N, *shape); ValueError where a symbol is out of range."""
        return pack_symbols(self.analyse(images))

    def decode(self, data: bytes, image_count: int) -> Images:
        """Images (N, *shape) of a file."""
        return self.synthesize(unpack_symbols(data, image_count, len(self.axes)))

    def analyse(self, images: Images) -> Symbols:
        """Images (N, *shape) -> symbols (N, k); ValueError where one is out of range."""
        x = images.reshape(len(images), -1).astype(np.float32) - self.mean  # (N, P)
        y = (x @ self.axes.T).astype(np.float32, copy=False)  # (N, k)
        return quantize(y, self.step)

    def synthesize(self, symbols: Symbols) -> Images:
        """Symbols (N, k) -> images (N, *shape), rounded and clipped to 0..255."""
        x_hat = (symbols * np.float32(self.step)) @ self.axes + self.mean
        return np.clip(np.rint(x_hat), 0, 255).astype(np.uint8).reshape(len(symbols), *self.shape)


def code_pca(images: Images, basis: PcaBasis, components: int, step: float) -> tuple[int, Images]:
    """(bytes, decoded images) with the first ``components`` axes, as ``aecodec demo`` counts them.

    The payload is ``pack_bare``'s: its bytes differ from those of a file by ``PcaCodec.encode``.
    """
    codec = PcaCodec(basis.mean, basis.axes[:components], step, images.shape[1:])
    symbols = codec.analyse(images)
    return len(pack_bare(symbols)), codec.synthesize(symbols)


def quantize(y: Floats, step: float) -> Symbols:
    """Coefficients (N, k) in multiples of ``step``, rounded; ValueError for one out of range."""
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
    """Symbols (N, k) as a file: k bytes, the width of each component, then a zstd frame."""
    parts = [_narrow(component) for component in symbols.T]
    widths = bytes(part.itemsize for part in parts)
    payloads = [part.tobytes() for part in parts]
    # zstd's size of such data jumps by up to 12 %, so a block for each component may be smaller
    return widths + min(_one_run(payloads), _block_for_each(payloads), key=len)


def pack_bare(symbols: Symbols) -> bytes:
    """Symbols (N, k) of one width, component by component, in one zstd frame without its header.

    The width would have to be stored beside it.
    """
    return compress_bytes(_narrow(np.ascontiguousarray(symbols.T)).tobytes())


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


def _narrow(symbols: Symbols) -> npt.NDArray[np.int8] | npt.NDArray[np.int16]:
    """The symbols as int8 where all fit, else as little-endian int16."""
    fits = symbols.min(initial=0) >= -128 and symbols.max(initial=0) <= 127
    return symbols.astype(np.int8) if fits else symbols.astype("<i2")


def _one_run(payloads: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(b"".join(payloads))


def _block_for_each(payloads: list[bytes]) -> bytes:
    nbytes = sum(map(len, payloads))
    stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(size=nbytes)
    frame = bytearray()
    for payload in payloads:
        frame += stream.compress(payload) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return bytes(frame + stream.flush())
