"""``aecodec demo``: the packaged images through every codec at hand, one table, one picture."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aecodec.archive.compress import encode
from aecodec.archive.decompress import decode
from aecodec.arrays import Images
from aecodec.benchmark.peers.pca_codec import code_pca
from aecodec.codec.codec import Codec
from aecodec.container.modes import LATENTS_ANS
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST
from aecodec.demo import MODEL, load_sample
from aecodec.entropy.zstd import compress_bytes
from aecodec.measures import metrics
from aecodec.measures.pca import fit_pca
from aecodec.models.finding import load_model

if TYPE_CHECKING:
    from types import ModuleType


PICTURE_IMAGES = 16


ENLARGE = 3


@dataclass(frozen=True)
class Row:
    """One codec on the sample; psnr_db is inf when lossless, images_per_s None when not timed."""

    name: str
    nbytes: int
    psnr_db: float
    images_per_s: float | None


def run_demo(quality: float, picture: Path | None) -> tuple[list[str], list[Row]]:
    """Code the sample; return the lines to print and the rows. Writes ``picture`` if Pillow is here."""
    images = load_sample()
    codec = Codec(load_model(MODEL))
    decode(encode(images[:64], codec=codec, quality=quality), codec=codec)  # build, warm up
    start = time.perf_counter()
    blob = encode(images, codec=codec, quality=quality)
    encode_s = time.perf_counter() - start
    start = time.perf_counter()
    decoded = decode(blob, codec=codec)
    decode_s = time.perf_counter() - start
    again = decode(blob, codec=codec)
    if not np.array_equal(decoded, again):
        raise RuntimeError("two decodings of the same file differ: this machine cannot be trusted")
    pillow = _pillow()
    rows = [
        Row("raw", images.nbytes, math.inf, None),
        _timed("zstd -19, one stream", images, lambda: len(compress_bytes(images.tobytes()))),
    ]
    if pillow is not None:
        rows.append(_timed("PNG, a file each", images, lambda: _png_nbytes(pillow, images)))
    rows.append(_pca_row(images, len(blob)))
    psnr = _psnr(images, decoded)
    rows.append(Row(f"aecodec -q {quality:g}, encoding", len(blob), psnr, len(images) / encode_s))
    rows.append(Row(f"aecodec -q {quality:g}, decoding", len(blob), psnr, len(images) / decode_s))
    smaller = codec.with_options(coder=LATENTS_ANS.coder)
    encode(images[:64], codec=smaller, quality=quality)  # warm up
    start = time.perf_counter()
    blob = encode(images, codec=smaller, quality=quality)
    ans_s = time.perf_counter() - start
    if not np.array_equal(decode(blob, codec=smaller), decoded):
        raise RuntimeError("the coders of latents differ: this machine cannot be trusted")
    rows.append(Row("... with --coder ans, encoding", len(blob), psnr, len(images) / ans_s))
    encode(images[:64], codec=codec, lossless=True)  # warm up
    rows.append(
        _timed(
            "aecodec --lossless, encoding",
            images,
            lambda: len(encode(images, codec=codec, lossless=True)),
        )
    )
    lines = [
        f"{len(images)} Fashion-MNIST test images, 28x28, model {MODEL}",
        *_table(rows, images),
    ]
    parts = codec.model.parts if codec.model else {}
    sizes = ", ".join(f"{parts[p].nbytes:,}" for p in (LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST))
    lines.append(f"The decoders ({sizes} bytes, installed with aecodec) are not counted.")
    lines.append("PCA is fitted on these very images, and its basis is not counted.")
    if picture is not None:
        if pillow is None:
            lines.append("No picture: it needs Pillow (pip install 'aecodec[png]').")
        else:
            _sheet(pillow, images, decoded).save(picture)
            lines.append(f"Originals over reconstructions: {picture}")
    return lines, rows


def _timed(name: str, images: Images, run: Any) -> Row:  # noqa: ANN401  # () -> int
    start = time.perf_counter()
    nbytes = int(run())
    return Row(name, nbytes, math.inf, len(images) / (time.perf_counter() - start))


def _psnr(images: Images, decoded: Images) -> float:
    x, x_hat = images[..., None], decoded[..., None]
    return metrics.psnr_db(int(metrics.squared_error(x, x_hat).sum()), images.size)


def _pca_row(images: Images, budget: int) -> Row:
    """The best PCA that takes no more bytes than ``budget``."""
    basis = fit_pca(images, 64)
    best: Row | None = None
    for components in (4, 8, 12, 16, 24, 32, 48, 64):
        for step in (64, 96, 128, 192, 256, 384, 512):
            nbytes, decoded = code_pca(images, basis, components, step)
            psnr = _psnr(images, decoded)
            if nbytes <= budget and (best is None or psnr > best.psnr_db):
                best = Row(f"PCA, {components} components", nbytes, psnr, None)
    return best or Row("PCA: none so small", 0, math.nan, None)


def _table(rows: list[Row], images: Images) -> list[str]:
    lines = [f"{'codec':32}{'bytes/image':>12}{'bpp':>8}{'PSNR dB':>10}{'images/s':>11}"]
    for row in rows:
        each = row.nbytes / len(images)
        psnr = "lossless" if math.isinf(row.psnr_db) else f"{row.psnr_db:.2f}"
        speed = "" if row.images_per_s is None else f"{row.images_per_s:,.0f}"
        bpp = 8 * row.nbytes / images.size
        lines.append(f"{row.name:32}{each:12.1f}{bpp:8.3f}{psnr:>10}{speed:>11}")
    return lines


def _pillow() -> ModuleType | None:
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


def _sheet(pillow: ModuleType, images: Images, decoded: Images) -> Any:  # noqa: ANN401
    """Originals over reconstructions, enlarged, with a gap between the rows."""
    top = np.concatenate(list(images[:PICTURE_IMAGES]), axis=1)
    bottom = np.concatenate(list(decoded[:PICTURE_IMAGES]), axis=1)
    gap = np.full((4, top.shape[1]), 128, np.uint8)
    sheet = np.concatenate([top, gap, bottom])
    return pillow.fromarray(sheet.repeat(ENLARGE, axis=0).repeat(ENLARGE, axis=1))
