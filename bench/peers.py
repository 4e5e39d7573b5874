"""Other lossy codecs on image sets: each image as a file of its own, or all tiled into a mosaic."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pca_codec import PcaCodec, oriented
from PIL import Image

from aecodec.images import Images
from aecodec.pca import PcaBasis

IMAGE, MOSAIC, SET = "image", "mosaic", "set"  # what a file holds
JPEG_QUALITIES = (1, 4, 8, 14, 20, 28, 38, 50, 62, 75, 85, 91, 95)
WEBP_QUALITIES = (0, 2, 6, 12, 20, 30, 42, 55, 68, 80, 90)
AVIF_QUALITIES = (5, 20, 30, 40, 55, 65, 75, 85)
JXL_DISTANCES = (0.3, 0.6, 1, 1.5, 2.2, 3.2, 4.5, 6.5, 9, 12, 16, 25)
KLT_STEPS = (8, 16, 32, 64, 96, 128, 192, 256)
PCA_COMPONENTS = (16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class Peer:
    """``code`` gives whole files' bytes and what decoding gives, at one setting."""

    name: str
    scope: str
    settings: tuple[float, ...]
    code: Callable[[Images, float], tuple[int, Images]]


def picture_peers() -> Iterator[Peer]:
    """JPEG, WebP and AVIF by Pillow; JPEG XL by imagecodecs where that is installed."""
    jpeg = _pillow("JPEG", lambda q: {"quality": int(q), "optimize": True})
    webp = _pillow("WEBP", lambda q: {"quality": int(q), "method": 6})
    yield Peer("JPEG", IMAGE, JPEG_QUALITIES, _each(jpeg))
    yield Peer("JPEG", MOSAIC, JPEG_QUALITIES, _tiled(jpeg))
    yield Peer("WebP", IMAGE, WEBP_QUALITIES, _each(webp))
    yield Peer("WebP", MOSAIC, WEBP_QUALITIES, _tiled(webp))
    if "AVIF" in Image.SAVE or _registers("AVIF"):
        avif = _pillow("AVIF", lambda q: {"quality": int(q), "subsampling": "4:0:0", "speed": 6})
        yield Peer("AVIF", MOSAIC, AVIF_QUALITIES, _tiled(avif))
    try:
        import imagecodecs
    except ImportError:
        return

    def jxl(picture: np.ndarray, distance: float) -> tuple[int, np.ndarray]:
        data = imagecodecs.jpegxl_encode(picture, distance=distance, effort=7)
        return len(data), imagecodecs.jpegxl_decode(data).reshape(picture.shape)

    yield Peer("JPEG XL", IMAGE, JXL_DISTANCES, _each(jxl))
    yield Peer("JPEG XL", MOSAIC, JXL_DISTANCES, _tiled(jxl))


def pca_peers(basis: PcaBasis) -> Iterator[Peer]:
    """Principal components, quantized, under zstd -19; the basis is not counted."""
    basis = oriented(basis)
    for k in (*PCA_COMPONENTS, len(basis.mean)):
        if k > len(basis.axes):
            continue
        name = "KLT" if k == len(basis.mean) else f"PCA {k}"

        def code(images: Images, step: float, k: int = k) -> tuple[int, Images]:
            shape = (images.shape[1], images.shape[2], images.shape[3])
            codec = PcaCodec(basis.mean, basis.axes[:k], step, shape)
            data = codec.encode(images)
            return len(data), codec.decode(data, len(images))

        yield Peer(f"{name}, zstd -19", SET, KLT_STEPS, code)


Coded = Callable[[np.ndarray, float], tuple[int, np.ndarray]]


def _registers(name: str) -> bool:
    Image.init()
    return name in Image.SAVE


def _pillow(kind: str, options: Callable[[float], dict[str, object]]) -> Coded:
    def code(picture: np.ndarray, setting: float) -> tuple[int, np.ndarray]:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, **options(setting))
        with Image.open(io.BytesIO(file.getvalue())) as decoded:
            mode = "L" if picture.ndim == 2 else "RGB"
            return file.tell(), np.asarray(decoded.convert(mode))

    return code


def _picture(image: np.ndarray) -> np.ndarray:
    """(H, W, C) as pictures are taken: gray has no channel axis."""
    return np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)


def _each(coded: Coded) -> Callable[[Images, float], tuple[int, Images]]:
    def code(images: Images, setting: float) -> tuple[int, Images]:
        nbytes, x_hat = 0, np.empty_like(images)
        for i, image in enumerate(images):
            size, decoded = coded(_picture(image), setting)
            nbytes += size
            x_hat[i] = decoded.reshape(image.shape)
        return nbytes, x_hat

    return code


def _tiled(coded: Coded) -> Callable[[Images, float], tuple[int, Images]]:
    def code(images: Images, setting: float) -> tuple[int, Images]:
        n, height, width, channels = images.shape
        columns = math.isqrt(n - 1) + 1
        rows = -(-n // columns)
        padded = np.zeros((rows * columns, height, width, channels), np.uint8)
        padded[:n] = images
        grid = padded.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
        nbytes, decoded = coded(
            _picture(grid.reshape(rows * height, columns * width, channels)), setting
        )
        apart = decoded.reshape(rows, height, columns, width, channels).transpose(0, 2, 1, 3, 4)
        return nbytes, np.ascontiguousarray(apart.reshape(-1, height, width, channels)[:n])

    return code


def names(peers: Sequence[Peer]) -> list[str]:
    """Each peer once, with what its files hold."""
    return list(dict.fromkeys(f"{peer.name}, {peer.scope}" for peer in peers))
