"""A whole bench of one image set: aecodec and every peer that is installed, as one result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from aecodec.arrays import Images
from aecodec.benchmark.classifier import Reader
from aecodec.benchmark.facts import PEER_PACKAGES, library_versions, run_facts
from aecodec.benchmark.measuring import Judge, Progress
from aecodec.benchmark.ours import Setup, our_rows
from aecodec.benchmark.peers.bounded import bounded_coders
from aecodec.benchmark.peers.coders import Coder, installed
from aecodec.benchmark.peers.pictures import picture_coders
from aecodec.benchmark.peers.principal import fits, pca_coders
from aecodec.benchmark.peers.streams import stream_coders
from aecodec.codec.codec import Codec
from aecodec.measures.pca import PcaBasis, fit_pca

OPTIONAL = {  # package: the coders that need it
    "PIL": "PNG, JPEG, WebP and AVIF (pip install Pillow)",
    "imagecodecs": "JPEG XL, JPEG-LS, SZ3 and ZFP (pip install imagecodecs)",
    "brotli": "brotli (pip install brotli)",
}


def run_bench(
    name: str,
    images: Images,
    codec: Codec | None,
    setups: Iterable[Setup],
    *,
    quick: bool,
    basis: PcaBasis | None = None,
    reader: Reader | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Measure images (N, H, W, C); for JSON. Without ``basis`` PCA is fitted on them themselves."""
    judge = Judge(images, reader)
    rows: list[dict[str, Any]] = []
    if codec is not None and codec.model is not None:
        rows += our_rows(judge, codec, setups, progress)
    peers = peer_coders(images, basis)
    rows += judge.peer_rows(peers, quick=quick, progress=progress)
    model = codec.model if codec else None
    return {
        **run_facts(name, images, PEER_PACKAGES),
        "libraries": library_versions(),
        "model": model.name if model else None,
        "decoder_nbytes": {n: p.nbytes for n, p in model.parts.items()} if model else {},
        "pca_fitted_on": "a training set" if basis else "the images themselves",
        "classifier": _classifier_facts(reader, images),
        "absent": [text for module, text in OPTIONAL.items() if not installed(module)],
        "left_out": judge.left_out,
        "rows": rows,
    }


def peer_coders(images: Images, basis: PcaBasis | None) -> Iterator[Coder]:
    """Streams, pictures, bounded coders, principal components."""
    channels = images.shape[3]
    yield from chain(stream_coders(), picture_coders(channels), bounded_coders(channels))
    if fits(images.shape):
        yield from pca_coders(basis or fit_pca(images, images[0].size))


def _classifier_facts(reader: Reader | None, images: Images) -> dict[str, Any] | None:
    return {**reader.facts, "originals": reader.accuracy(images)} if reader else None
