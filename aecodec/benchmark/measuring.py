"""One row of a bench: a coder at a setting, its whole files, their error, one timing each way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aecodec.arrays import Images
from aecodec.benchmark.classifier import Reader
from aecodec.benchmark.peers.coders import BOUNDED, LOSSLESS, Coder
from aecodec.measures import metrics
from aecodec.measures.ssim import ssim

Row = dict[str, Any]
Progress = Callable[[str], None]


class VerificationError(Exception):
    """A coder did not give back what it must; nothing of it counts."""


@dataclass
class Judge:
    """The originals, and what decoded images are held against."""

    images: Images
    reader: Reader | None = None
    left_out: list[dict[str, str]] = field(default_factory=list)

    def row(self, coder: str, scope: str, setting: float, nbytes: int, x_hat: Images) -> Row:
        """``nbytes`` is of whole files; errors are of all samples of the set, p99 of images."""
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
            "accuracy": self.reader.accuracy(x_hat) if self.reader else None,
        }

    def timed(
        self,
        coder: str,
        scope: str,
        setting: float,
        encode: Callable[[], list[bytes]],
        decode: Callable[[list[bytes]], Images],
    ) -> tuple[Row, list[bytes]]:
        """The row with images a second both ways, of one run each, and the files."""
        start = time.perf_counter()
        files = encode()
        between = time.perf_counter()
        x_hat = decode(files)
        end = time.perf_counter()
        found = self.row(coder, scope, setting, sum(map(len, files)), x_hat)
        found["encode_images_per_s"] = len(self.images) / (between - start)
        found["decode_images_per_s"] = len(self.images) / (end - between)
        return found, files

    def measured(self, coder: Coder, setting: float) -> Row:
        """A peer's row; VerificationError where it does not keep what its kind promises."""
        name = f"{coder.name} e{setting:g}" if coder.name.startswith("JPEG XL los") else coder.name
        found, _ = self.timed(
            name,
            coder.scope,
            setting,
            lambda: coder.encode(self.images, setting),
            lambda files: coder.decode(files, self.images.shape, setting),
        )
        found["kind"] = coder.kind
        if coder.family:
            found["family"] = f"{coder.family}, {coder.scope}"
        bound = {LOSSLESS: 0.0, BOUNDED: setting}.get(coder.kind, math.inf)
        if found["max_error"] > bound:
            raise VerificationError(
                f"{name}: a sample is off by {found['max_error']}, the bound is {bound:g}"
            )
        return found

    def peer_rows(
        self, coders: Iterable[Coder], *, quick: bool, progress: Progress
    ) -> Iterator[Row]:
        """Every setting of every peer; one that fails on these images is noted in ``left_out``."""
        for coder in coders:
            for setting in coder.chosen(quick=quick):
                progress(f"{coder.name}, {coder.scope}")
                try:
                    yield self.measured(coder, setting)
                except (VerificationError, ValueError, OSError, RuntimeError) as error:
                    name = f"{coder.name}, {coder.scope}"
                    self.left_out.append({"coder": name, "why": f"{error}"[:200]})
                    break
