"""What ``aecodec demo`` measures: one sample of images through several codecs, and a picture."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from aecodec.archive.compress import encode
from aecodec.archive.decompress import decode
from aecodec.arrays import Images
from aecodec.benchmark.peers.pca_codec import code_pca
from aecodec.codec.codec import Codec
from aecodec.container.modes import LATENTS_ANS
from aecodec.entropy.zstd import compress_bytes
from aecodec.measures import metrics
from aecodec.measures.pca import fit_pca

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

WARM_UP_IMAGES = 64
PICTURE_IMAGES = 16
ENLARGE = 3
COMPONENTS = (4, 8, 12, 16, 24, 32, 48, 64)  # of PCA
STEPS = (64, 96, 128, 192, 256, 384, 512)  # of its quantizer


@dataclass(frozen=True)
class Row:
    """One codec on the sample; psnr_db is inf when lossless, images_per_s None when not timed."""

    name: str
    nbytes: int
    psnr_db: float
    images_per_s: float | None


def measure_sample(images: Images, codec: Codec, quality: float) -> tuple[list[Row], Images]:
    """Code uint8 (N, H, W) by every codec; the rows, and the images decoded again.

    RuntimeError if this machine decodes a file differently in two ways or at two times.
    """
    ours, decoded = _our_rows(images, codec, quality)
    rows = [
        Row("raw", images.nbytes, math.inf, None),
        _timed("zstd -19, one stream", images, lambda: len(compress_bytes(images.tobytes()))),
    ]
    if pillow := find_pillow():
        rows.append(_timed("PNG, a file each", images, lambda: _png_nbytes(pillow, images)))
    rows.append(_pca_row(images, ours[0].nbytes))
    return [*rows, *ours], decoded


def _our_rows(images: Images, codec: Codec, quality: float) -> tuple[list[Row], Images]:
    """aecodec with both coders and without loss, and the images decoded from the first."""
    few = images[:WARM_UP_IMAGES]
    decode(encode(few, codec=codec, quality=quality), codec=codec)  # build, warm up
    blob, encode_s = _with_time(lambda: encode(images, codec=codec, quality=quality))
    decoded, decode_s = _with_time(lambda: decode(blob, codec=codec))
    if not np.array_equal(decoded, decode(blob, codec=codec)):
        raise RuntimeError("two decodings of the same file differ: this machine cannot be trusted")
    smaller = codec.with_options(coder=LATENTS_ANS.coder)
    encode(few, codec=smaller, quality=quality)  # warm up
    ans_blob, ans_s = _with_time(lambda: encode(images, codec=smaller, quality=quality))
    ans_psnr = _psnr(images, decode(ans_blob, codec=smaller))
    encode(few, codec=codec, lossless=True)  # warm up
    exact, exact_s = _with_time(lambda: encode(images, codec=codec, lossless=True))
    if not np.array_equal(decode(exact, codec=codec), images):
        raise RuntimeError("lossless files decode to other images: this machine is not sound")
    psnr, name, count = _psnr(images, decoded), f"aecodec -q {quality:g}", len(images)
    rows = [
        Row(f"{name}, encoding", len(blob), psnr, count / encode_s),
        Row(f"{name}, decoding", len(blob), psnr, count / decode_s),
        Row("... with --coder ans, encoding", len(ans_blob), ans_psnr, count / ans_s),
        Row("aecodec --lossless, encoding", len(exact), math.inf, count / exact_s),
    ]
    return rows, decoded


def _with_time(run: Callable[[], T]) -> tuple[T, float]:
    """What ``run`` returns, and the seconds that it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def _timed(name: str, images: Images, run: Callable[[], int]) -> Row:
    """The row of a codec without loss, whose ``run`` returns a number of bytes."""
    nbytes, seconds = _with_time(run)
    return Row(name, nbytes, math.inf, len(images) / seconds)


def _psnr(images: Images, decoded: Images) -> float:
    x, x_hat = images[..., None], decoded[..., None]
    return metrics.psnr_db(int(metrics.squared_error(x, x_hat).sum()), images.size)


def _pca_row(images: Images, budget: int) -> Row:
    """The best PCA that takes no more bytes than ``budget``."""
    basis = fit_pca(images, max(COMPONENTS))
    best: Row | None = None
    for components in COMPONENTS:
        for step in STEPS:
            nbytes, decoded = code_pca(images, basis, components, step)
            psnr = _psnr(images, decoded)
            if nbytes <= budget and (best is None or psnr > best.psnr_db):
                best = Row(f"PCA, {components} components", nbytes, psnr, None)
    return best or Row("PCA: none so small", 0, math.nan, None)


def find_pillow() -> ModuleType | None:
    """PIL.Image; None if it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def _png_nbytes(pillow: ModuleType, images: Images) -> int:
    total = 0
    for image in images:
        out = io.BytesIO()
        pillow.fromarray(image).save(out, "PNG", optimize=True)
        total += out.tell()
    return total


def picture(pillow: ModuleType, images: Images, decoded: Images) -> bytes:
    """A PNG of originals over reconstructions, enlarged, with a gap between the rows."""
    top = np.concatenate(list(images[:PICTURE_IMAGES]), axis=1)
    bottom = np.concatenate(list(decoded[:PICTURE_IMAGES]), axis=1)
    gap = np.full((4, top.shape[1]), 128, np.uint8)
    sheet = np.concatenate([top, gap, bottom])
    out = io.BytesIO()
    pillow.fromarray(sheet.repeat(ENLARGE, axis=0).repeat(ENLARGE, axis=1)).save(out, "PNG")
    return out.getvalue()
