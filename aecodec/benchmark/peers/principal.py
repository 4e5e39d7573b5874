"""Principal components as peers: some (PCA) or all (KLT), quantized, under zstd -19."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from aecodec.arrays import Images
from aecodec.benchmark.peers.pca_codec import PcaCodec
from aecodec.benchmark.peers.peer import LOSSY, SET, Peer, Shape
from aecodec.measures.pca import PcaBasis, oriented

STEPS = (8, 16, 32, 64, 96, 128, 192, 256)
QUICK_STEPS = (16, 64, 192)
COMPONENTS = (16, 24, 32, 48, 64, 96, 128)
QUICK_COMPONENTS = (32, 128)
IMAGES_A_COMPONENT = 10  # at least, where a basis is fitted on the images that are measured
MAX_SAMPLES = 4096  # of an image: fitting needs a matrix of this squared

Encode = Callable[[Images, float], list[bytes]]
Decode = Callable[[list[bytes], Shape, float], Images]


def pca_peers(basis: PcaBasis, fitted_on: int | None = None) -> Iterator[Peer]:
    """A peer for each number of components; the size of the basis is not counted.

    ``fitted_on`` is how many images the basis was fitted on, if they are those to be measured. A
    basis of so many components that it holds a good part of these images itself is left out.
    """
    basis = oriented(basis)
    whole = len(basis.mean)
    for k in (*COMPONENTS, whole):
        if k > len(basis.axes) or (k == whole and k in COMPONENTS):
            continue
        if fitted_on is not None and fitted_on < IMAGES_A_COMPONENT * k:
            continue
        name = "KLT" if k == whole else f"PCA {k}"
        quick = QUICK_STEPS if k in QUICK_COMPONENTS else ()
        family = "KLT, zstd -19" if k == whole else "PCA, zstd -19"
        encode, decode = _pair(basis, k)
        yield Peer(f"{name}, zstd -19", SET, LOSSY, STEPS, quick, encode, decode, family)


def _pair(basis: PcaBasis, k: int) -> tuple[Encode, Decode]:
    def codec(shape: Shape, step: float) -> PcaCodec:
        return PcaCodec(basis.mean, basis.axes[:k], step, (shape[1], shape[2], shape[3]))

    def encode(images: Images, step: float) -> list[bytes]:
        return [codec(images.shape, step).encode(images)]

    def decode(files: list[bytes], shape: Shape, step: float) -> Images:
        return codec(shape, step).decode(files[0], shape[0])

    return encode, decode


def fits(shape: Shape) -> bool:
    """Whether images (N, H, W, C) are small enough for a basis."""
    return math.prod(shape[1:]) <= MAX_SAMPLES


def has_principal(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any of these rows of a result is of PCA or KLT."""
    return any(str(row["coder"]).startswith(("PCA", "KLT")) for row in rows)
