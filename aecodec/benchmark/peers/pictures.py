"""Codecs of pictures, by Pillow and by imagecodecs, as far as these are installed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from aecodec.arrays import Images
from aecodec.benchmark.peers.peer import LOSSLESS, LOSSY, Peer, Picture, each, installed, tiled

JPEG_QUALITIES = (1, 4, 8, 14, 20, 28, 38, 50, 62, 75, 85, 91, 95)
WEBP_QUALITIES = (0, 2, 6, 12, 20, 30, 42, 55, 68, 80, 90)
AVIF_QUALITIES = (5, 12, 20, 30, 40, 48, 55, 65, 75, 85)
JXL_DISTANCES = (0.3, 0.6, 1, 1.5, 2.2, 3.2, 4.5, 6.5, 9, 12, 16, 25)
JXL_EFFORTS = (7, 9)


def picture_peers(channels: int) -> Iterator[Peer]:
    """The installed ones that take pictures of this many channels."""
    if installed("PIL"):
        yield from _pillow_peers(channels)
    if installed("imagecodecs") and channels in (1, 3):
        yield from _imagecodecs_peers()


def _pillow_peers(channels: int) -> Iterator[Peer]:
    png = _pillow("PNG", channels, lambda _: {"optimize": True})
    yield Peer("PNG", kind=LOSSLESS, settings=(0,), quick=(0,), **each(png))
    yield Peer("PNG", kind=LOSSLESS, settings=(0,), quick=(0,), **tiled(png))
    if channels not in (1, 3):
        return
    exact = _pillow("WEBP", channels, lambda effort: {"lossless": True, "method": int(effort)})
    yield Peer("WebP lossless", kind=LOSSLESS, settings=(6,), quick=(4,), **each(exact))
    yield Peer("WebP lossless", kind=LOSSLESS, settings=(6,), quick=(), **tiled(exact))
    jpeg = _pillow("JPEG", channels, lambda q: {"quality": int(q), "optimize": True})
    quick: tuple[float, ...] = (4, 20, 50, 85)
    yield Peer("JPEG", kind=LOSSY, settings=JPEG_QUALITIES, quick=quick, **each(jpeg))
    yield Peer("JPEG", kind=LOSSY, settings=JPEG_QUALITIES, quick=quick, **tiled(jpeg))
    webp = _pillow("WEBP", channels, lambda q: {"quality": int(q), "method": 6})
    yield Peer("WebP", kind=LOSSY, settings=WEBP_QUALITIES, quick=(2, 30, 80), **each(webp))
    yield Peer("WebP", kind=LOSSY, settings=WEBP_QUALITIES, quick=(2, 12, 42, 80), **tiled(webp))
    if _writes("AVIF"):
        sampling = "4:0:0" if channels == 1 else "4:4:4"
        avif = _pillow(
            "AVIF", channels, lambda q: {"quality": int(q), "subsampling": sampling, "speed": 6}
        )
        quick = (5, 30, 55, 75)
        yield Peer("AVIF", kind=LOSSY, settings=AVIF_QUALITIES, quick=quick, **tiled(avif))


def _imagecodecs_peers() -> Iterator[Peer]:
    import imagecodecs

    if imagecodecs.JPEGXL.available:
        exact = Picture(
            lambda x, effort: bytes(
                imagecodecs.jpegxl_encode(x, lossless=True, effort=int(effort))
            ),
            imagecodecs.jpegxl_decode,
        )
        settings, quick = JXL_EFFORTS[:1], JXL_EFFORTS[:1]
        yield Peer("JPEG XL lossless", kind=LOSSLESS, settings=settings, quick=(), **each(exact))
        yield Peer(
            "JPEG XL lossless", kind=LOSSLESS, settings=JXL_EFFORTS, quick=quick, **tiled(exact)
        )
        lossy = Picture(
            lambda x, distance: bytes(imagecodecs.jpegxl_encode(x, distance=distance, effort=7)),
            imagecodecs.jpegxl_decode,
        )
        yield Peer("JPEG XL", kind=LOSSY, settings=JXL_DISTANCES, quick=(), **each(lossy))
        yield Peer(
            "JPEG XL", kind=LOSSY, settings=JXL_DISTANCES, quick=(1.5, 4.5, 12), **tiled(lossy)
        )


def _writes(kind: str) -> bool:
    from PIL import Image

    Image.init()
    return kind in Image.SAVE


def _pillow(kind: str, channels: int, options: Callable[[float], dict[str, Any]]) -> Picture:
    from PIL import Image

    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]

    def write(picture: Images, setting: float) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, **options(setting))
        return file.getvalue()

    def read(data: bytes) -> Images:
        with Image.open(io.BytesIO(data)) as decoded:
            return np.asarray(decoded.convert(mode))

    return Picture(write, read)
