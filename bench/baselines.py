"""How small, how good, how fast: aecodec beside raw, zstd, xz, PNG and PCA on the same images."""

from __future__ import annotations

import argparse
import io
import lzma
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from common import (
    add_result_options,
    facts,
    format_markdown,
    format_table,
    load_images,
    measure,
    pooled_psnr_db,
    require_equal,
    require_shape,
    rounded,
    write_result,
)
from PIL import Image

import aecodec
from aecodec.arrays import Images
from aecodec.benchmark.peers.pca_codec import PcaCodec
from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER
from aecodec.entropy.packed_symbols import pack_symbols
from aecodec.latents.quantizer import quantize
from aecodec.measures import metrics
from aecodec.measures.pca import PcaBasis, fit_pca, oriented
from aecodec.models.model import shape_text
from aecodec.targets import QUALITY, Target

ZSTD_LEVELS = (3, 19)
XZ_PRESET = 9 | lzma.PRESET_EXTREME
PCA_COMPONENTS = (4, 8, 16, 32, 64, 128)
PCA_STEPS = (16, 32, 64, 128, 256)  # gray levels
PCA_SAMPLES = 4096  # of an image: fitting needs a matrix of this squared
QUALITIES = range(1, 10)
ITSELF = "the set itself"
ON_ITSELF = " (fitted on itself)"
HEAD = ("coder", "bytes", "bpp", "PSNR dB", "max err", "enc img/s", "dec img/s", "over H0")


@dataclass(frozen=True)
class Coder:
    """One row to be: images to files and back, each verified before it is timed."""

    name: str
    family: str
    encode: Callable[[Images], list[bytes]]
    decode: Callable[[list[bytes]], Images]
    lossless: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A measured coder; ``nbytes`` is whole files, without basis or decoder (those in facts)."""

    coder: str
    family: str
    nbytes: int
    bpp: float
    psnr_db: float | None  # None without error
    max_error: int
    encode: dict[str, Any]
    decode: dict[str, Any]
    facts: dict[str, Any]

    def cells(self) -> tuple[str, ...]:
        """The row's texts under HEAD."""
        waste = self.facts.get("zstd_over_entropy")
        return (
            self.coder,
            f"{self.nbytes:,}",
            f"{self.bpp:.4f}",
            "lossless" if self.psnr_db is None else f"{self.psnr_db:.2f}",
            str(self.max_error),
            rounded(self.encode["images_per_s"]),
            rounded(self.decode["images_per_s"]),
            "" if waste is None else f"{waste:+.1%}",
        )


def run(coder: Coder, images: Images) -> Row:
    """Verify a coder on the images, then time it both ways."""
    files = coder.encode(images)
    x_hat = coder.decode(files)
    require_shape(coder.name, images, x_hat)
    if coder.lossless:
        require_equal(coder.name, images, x_hat)
    nbytes = sum(map(len, files))
    encoding = measure(
        lambda: coder.encode(images),
        lambda again: require_equal(coder.name, x_hat, coder.decode(again)),
    )
    decoding = measure(
        lambda: coder.decode(files), lambda again: require_equal(coder.name, x_hat, again)
    )
    psnr = pooled_psnr_db(images, x_hat)
    return Row(
        coder.name,
        coder.family,
        nbytes,
        metrics.bits_per_pixel(nbytes, images.shape),
        psnr if math.isfinite(psnr) else None,
        int(metrics.max_error(images, x_hat).max()),
        encoding.report(len(images)),
        decoding.report(len(images)),
        coder.facts,
    )


# ---------------------------------------------------------------- one stream, no loss


def stream_coders(shape: tuple[int, ...]) -> Iterator[Coder]:
    """All pixels as they are and in one compressed stream: no image can be read alone."""

    def unpacked_by(unpack: Callable[[bytes], bytes]) -> Callable[[list[bytes]], Images]:
        return lambda files: np.frombuffer(unpack(files[0]), np.uint8).reshape(shape)

    yield Coder("raw", "raw", lambda x: [x.tobytes()], unpacked_by(bytes))
    for level in ZSTD_LEVELS:
        compressor = zstandard.ZstdCompressor(level=level)
        unpack = unpacked_by(zstandard.ZstdDecompressor().decompress)
        yield Coder(f"zstd -{level}", "zstd", _packed_by(compressor.compress), unpack)
    xz = _packed_by(lambda data: lzma.compress(data, preset=XZ_PRESET))
    yield Coder("xz -9e", "xz", xz, unpacked_by(lzma.decompress))


def _packed_by(pack: Callable[[bytes], bytes]) -> Callable[[Images], list[bytes]]:
    return lambda images: [pack(images.tobytes())]


# ---------------------------------------------------------------- a file for each image


def png_coder(shape: tuple[int, ...], *, optimize: bool = True) -> Coder:
    """Pillow's PNG, one file for each image (N, H, W, C)."""

    def encode(images: Images) -> list[bytes]:
        return [_write_png(image, optimize=optimize) for image in images]

    def decode(files: list[bytes]) -> Images:
        return np.stack([_read_png(file) for file in files]).reshape(shape)

    name = "PNG per image, optimized" if optimize else "PNG per image"
    return Coder(name, "png", encode, decode)


def _write_png(image: Images, *, optimize: bool) -> bytes:
    gray = image.shape[2] == 1
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if gray else image).save(file, "PNG", optimize=optimize)
    return file.getvalue()


def _read_png(data: bytes) -> Images:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


# ---------------------------------------------------------------- PCA and aecodec


def pca_coders(basis: PcaBasis, shape: tuple[int, ...], fitted_on: str) -> Iterator[Coder]:
    """The grid of components and steps, up to what the basis holds."""
    count, height, width, channels = shape
    for k, step in product(PCA_COMPONENTS, PCA_STEPS):
        if k > len(basis.axes):
            return
        codec = PcaCodec(basis.mean, basis.axes[:k], step, (height, width, channels))
        yield Coder(
            f"PCA {k}, step {step}" + (ON_ITSELF if fitted_on == ITSELF else ""),
            "pca",
            _encoded_by(codec.encode),
            _decoded_by(codec, count),
            lossless=False,
            facts={
                "k": k,
                "step": step,
                "fitted_on": fitted_on,
                "basis_nbytes": codec.basis_nbytes,
            },
        )


def _encoded_by(encode: Callable[[Images], bytes]) -> Callable[[Images], list[bytes]]:
    return lambda images: [encode(images)]


def symbol_entropy_bits(images: Images, codec: Codec, quality: float) -> tuple[float, int]:
    """Order-0 entropy of each latent's symbols, summed, and the bits zstd took for them.

    All images as one chunk, the guard left aside.
    """
    layer = codec.networks.latents()
    symbols, _ = quantize(layer.analyse(images), layer.log_step, Target(QUALITY, quality).stored)
    entropy = 0.0
    for column in symbols.T:
        counts = np.unique(column, return_counts=True)[1]
        entropy -= float((counts * np.log2(counts / len(column))).sum())
    return entropy, 8 * len(pack_symbols(symbols))


def _decoded_by(codec: PcaCodec, count: int) -> Callable[[list[bytes]], Images]:
    return lambda files: codec.decode(files[0], count)


def aecodec_coders(codec: Codec, images: Images) -> Iterator[Coder]:
    """Layer L at each whole quality, loading the model not counted, the guard's check included."""
    if codec.model is None:
        raise ValueError("the codec has no model, expected one with layer L")
    decoder_nbytes = codec.model.parts[LATENT_DECODER].nbytes
    for quality in QUALITIES:
        entropy_bits, payload_bits = symbol_entropy_bits(images, codec, quality)
        yield Coder(
            f"aecodec, quality {quality}",
            "aecodec",
            _aez_encoder(codec, quality),
            lambda files: aecodec.decode(files[0], codec=codec),
            lossless=False,
            facts={
                "quality": quality,
                "decoder_nbytes": decoder_nbytes,
                "entropy_bits": entropy_bits,
                "payload_bits": payload_bits,
                # None where every latent has one value: there is nothing to be over
                "zstd_over_entropy": payload_bits / entropy_bits - 1 if entropy_bits else None,
            },
        )


def _aez_encoder(codec: Codec, quality: int) -> Callable[[Images], list[bytes]]:
    return lambda images: [aecodec.encode(images, codec=codec, quality=quality)]


# ---------------------------------------------------------------- tables


def undominated(rows: Sequence[Row]) -> list[Row]:
    """The rows, without PCA rows that another PCA row beats in both bytes and PSNR."""
    pca = [row for row in rows if row.family == "pca"]
    return [row for row in rows if not any(_beats(other, row) for other in pca)]


def _beats(other: Row, row: Row) -> bool:
    if row.family != other.family:
        return False
    theirs, mine = ((-r.nbytes, _psnr(r)) for r in (other, row))
    return theirs != mine and theirs[0] >= mine[0] and theirs[1] >= mine[1]


def _psnr(row: Row) -> float:
    return math.inf if row.psnr_db is None else row.psnr_db


def notes(rows: Sequence[Row], shape: tuple[int, ...]) -> list[str]:
    """What the table leaves out: the size of the set, and of what a decoder must have already."""
    lines = [f"{shape[0]:,} images of {shape_text((shape[1], shape[2], shape[3]))}."]
    last = {row.family: row.facts for row in rows}
    if "pca" in last:
        fitted_on, k, nbytes = (last["pca"][key] for key in ("fitted_on", "k", "basis_nbytes"))
        lines.append(f"PCA fitted on {fitted_on}; its basis ({nbytes:,} bytes at {k}) not counted.")
    if "aecodec" in last:
        lines.append(f"The decoder ({last['aecodec']['decoder_nbytes']:,} bytes) not counted.")
    return lines


# ---------------------------------------------------------------- command


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="an image set")
    parser.add_argument("--train", metavar="IN2", help="fit PCA on this set, not on IN itself")
    parser.add_argument("--model", help="name or file; without it there are no aecodec rows")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the others use one")
    parser.add_argument("--markdown", action="store_true", help="print the table for a README")
    add_result_options(parser, "baselines")
    return parser.parse_args(argv)


def fit(train: str | None, images: Images) -> tuple[PcaBasis, str]:
    """The basis, and what it was fitted on: the set ``train``, else the images themselves."""
    k = max(PCA_COMPONENTS)
    if train is None:
        return oriented(fit_pca(images, k)), ITSELF
    training = load_images(train)
    if training.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"--train: images of shape {training.shape[1:]}, expected {images.shape[1:]}"
        )
    return oriented(fit_pca(training, k)), Path(train).name


def coders(arguments: argparse.Namespace, images: Images) -> Iterator[Coder]:
    """All of them, in the order of the table."""
    yield from stream_coders(images.shape)
    yield png_coder(images.shape)
    if images[0].size <= PCA_SAMPLES:
        basis, fitted_on = fit(arguments.train, images)
        yield from pca_coders(basis, images.shape, fitted_on)
    if arguments.model is not None:
        yield from aecodec_coders(Codec(aecodec.load_model(arguments.model)), images)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    arguments = parse_arguments(argv)
    torch.set_num_threads(arguments.threads)
    images = load_images(arguments.input, arguments.limit)
    rows = [run(coder, images) for coder in coders(arguments, images)]
    result = {
        **facts(Path(arguments.input).name, images),
        "model": arguments.model and Path(arguments.model).stem,
        "rows": [asdict(row) for row in rows],
    }
    if arguments.markdown:
        print(format_markdown(HEAD, [row.cells() for row in undominated(rows)]), end="\n\n")
    else:
        print(format_table(HEAD, [row.cells() for row in rows]))
    print("\n".join(notes(rows, images.shape)))
    write_result(arguments.name, result, arguments.results)


if __name__ == "__main__":
    main()
