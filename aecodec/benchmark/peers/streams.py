"""All pixels in one compressed stream, without loss: no image of it can be read alone."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import zstandard

from aecodec.arrays import Images
from aecodec.benchmark.peers.peer import LOSSLESS, SET, Peer, Shape, installed

ZSTD_LEVELS = (3, 19)
XZ_PRESET = 9 | lzma.PRESET_EXTREME
BROTLI_QUALITY = 11


def stream_peers() -> Iterator[Peer]:
    """raw, gzip, zstd, xz, and brotli if it is installed."""
    yield _stream("raw", bytes, bytes)
    yield _stream("gzip -9", lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress)
    for level in ZSTD_LEVELS:
        pack = zstandard.ZstdCompressor(level=level).compress
        yield _stream(f"zstd -{level}", pack, zstandard.ZstdDecompressor().decompress)
    yield _stream("xz -9e", pack_xz, lzma.decompress)
    if installed("brotli"):
        import brotli

        def pack_brotli(data: bytes) -> bytes:
            return bytes(brotli.compress(data, quality=BROTLI_QUALITY, lgwin=24))

        yield _stream(f"brotli -{BROTLI_QUALITY}", pack_brotli, brotli.decompress, slow=True)


def pack_xz(data: bytes) -> bytes:
    """An .xz stream at the highest preset."""
    return lzma.compress(data, preset=XZ_PRESET)


def _stream(
    name: str, pack: Callable[[bytes], bytes], unpack: Callable[[bytes], Any], *, slow: bool = False
) -> Peer:
    def encode(images: Images, setting: float) -> list[bytes]:
        return [pack(images.tobytes())]

    def decode(files: list[bytes], shape: Shape, setting: float) -> Images:
        return np.frombuffer(unpack(files[0]), np.uint8).reshape(shape)

    return Peer(name, SET, LOSSLESS, (0,), () if slow else (0,), encode, decode)
