"""One row of a bench: a codec at a setting, its whole files, their error, one timing each way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aecodec.arrays import Images
from aecodec.benchmark.classifier import Classifier
from aecodec.benchmark.peers.peer import BOUNDED, LOSSLESS, Peer
from aecodec.measures import metrics
from aecodec.measures.ssim import ssim

Row = dict[str, Any]
Progress = Callable[[str], None]


class VerificationError(Exception):
    """A codec did not give back what it must: none of its rows count."""


@dataclass(eq=False)
class Judge:
    """The originals, with which decoded images are compared, and a classifier, if there is one."""

    images: Images
    classifier: Classifier | None = None
    left_out: list[dict[str, str]] = field(default_factory=list)

    def row(self, coder: str, scope: str, setting: float, nbytes: int, x_hat: Images) -> Row:
        """The row of decoded images (N, H, W, C).

        ``nbytes`` are those of whole files. Errors are over all samples of the set, but for p99,
        which is over the largest errors of images.
        """
        worst = metrics.max_error(self.images, x_hat)
        error = int(metrics.squared_error(self.images, x_hat).sum())
        return {
            "coder": coder,
            "scope": scope,
            "family": f"{coder}, {scope}",
            "ours": False,
            "setting": setting,
            "nbytes": nbytes,
            "bpp": metrics.bits_per_pixel(nbytes, self.images.shape),
            "psnr_db": metrics.psnr_db(error, self.images.size) if error else None,
            "max_error": int(worst.max()),
            "max_error_p99": float(np.quantile(worst, 0.99)),
            "ssim": ssim(self.images, x_hat),
            "accuracy": self.classifier.accuracy(x_hat) if self.classifier else None,
        }

    def timed(
        self,
        coder: str,
        scope: str,
        setting: float,
        encode: Callable[[], list[bytes]],
        decode: Callable[[list[bytes]], Images],
    ) -> tuple[Row, list[bytes]]:
        """The row, with images a second of one run each way, and the files."""
        start = time.perf_counter()
        files = encode()
        between = time.perf_counter()
        x_hat = decode(files)
        end = time.perf_counter()
        found = self.row(coder, scope, setting, sum(map(len, files)), x_hat)
        found["encode_images_per_s"] = len(self.images) / (between - start)
        found["decode_images_per_s"] = len(self.images) / (end - between)
        return found, files

    def measured(self, peer: Peer, setting: float) -> Row:
        """A peer's row; VerificationError if it does not keep what its kind promises."""
        name = f"{peer.name} e{setting:g}" if peer.name.startswith("JPEG XL los") else peer.name
        found, _ = self.timed(
            name,
            peer.scope,
            setting,
            lambda: peer.encode(self.images, setting),
            lambda files: peer.decode(files, self.images.shape, setting),
        )
        found["kind"] = peer.kind
        if peer.family:
            found["family"] = f"{peer.family}, {peer.scope}"
        bound = {LOSSLESS: 0.0, BOUNDED: setting}.get(peer.kind, math.inf)
        if found["max_error"] > bound:
            raise VerificationError(
                f"{name}: a sample is off by {found['max_error']}, the bound is {bound:g}"
            )
        return found

    def peer_rows(self, peers: Iterable[Peer], *, quick: bool, progress: Progress) -> Iterator[Row]:
        """Every setting of every peer; one that fails on these images is noted in ``left_out``."""
        for peer in peers:
            for setting in peer.chosen(quick=quick):
                progress(f"{peer.name}, {peer.scope}")
                try:
                    yield self.measured(peer, setting)
                except (VerificationError, ValueError, OSError, RuntimeError) as error:
                    name = f"{peer.name}, {peer.scope}"
                    self.left_out.append({"coder": name, "why": f"{error}"[:200]})
                    break
