"""A whole bench of one image set: aecodec and every peer that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from aecodec.arrays import Images
from aecodec.benchmark.classifier import Classifier
from aecodec.benchmark.facts import PEER_PACKAGES, library_versions, run_facts
from aecodec.benchmark.measuring import Judge, Progress
from aecodec.benchmark.ours import Setup, our_rows
from aecodec.benchmark.peers.bounded import bounded_peers
from aecodec.benchmark.peers.peer import Peer, installed
from aecodec.benchmark.peers.pictures import picture_peers
from aecodec.benchmark.peers.principal import (
    COMPONENTS,
    IMAGES_A_COMPONENT,
    fits,
    has_principal,
    pca_peers,
)
from aecodec.benchmark.peers.streams import stream_peers
from aecodec.codec.codec import Codec
from aecodec.measures.pca import PcaBasis, fit_pca

OPTIONAL = {  # package: the peers that need it
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
    classifier: Classifier | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """The result of measuring images (N, H, W, C), as plain values for JSON.

    Without ``basis``, PCA is fitted on these very images.
    """
    judge = Judge(images, classifier)
    rows: list[dict[str, Any]] = []
    if codec is not None and codec.model is not None:
        rows += our_rows(judge, codec, setups, progress)
    peers = all_peers(images, basis)
    rows += judge.peer_rows(peers, quick=quick, progress=progress)
    model = codec.model if codec else None
    return {
        **run_facts(name, images, PEER_PACKAGES),
        "libraries": library_versions(),
        "model": model.name if model else None,
        "decoder_nbytes": {n: p.nbytes for n, p in model.parts.items()} if model else {},
        "pca_fitted_on": _fitted_on(basis) if has_principal(rows) else None,
        "classifier": _classifier_facts(classifier, images),
        "absent": [text for module, text in OPTIONAL.items() if not installed(module)],
        "left_out": judge.left_out,
        "rows": rows,
    }


def _fitted_on(basis: PcaBasis | None) -> str:
    return "a training set" if basis else "the images themselves"


def all_peers(images: Images, basis: PcaBasis | None) -> Iterator[Peer]:
    """Streams, pictures, codecs with an error bound, principal components."""
    channels = images.shape[3]
    yield from chain(stream_peers(), picture_peers(channels), bounded_peers(channels))
    if fits(images.shape):
        if basis is not None:
            yield from pca_peers(basis)
        elif len(images) >= IMAGES_A_COMPONENT * min(COMPONENTS):
            yield from pca_peers(fit_pca(images, images[0].size), len(images))


def _classifier_facts(classifier: Classifier | None, images: Images) -> dict[str, Any] | None:
    if classifier is None:
        return None
    return {**classifier.facts, "originals": classifier.accuracy(images)}
