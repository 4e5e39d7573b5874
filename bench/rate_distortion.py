"""Size against quality: aecodec beside other codecs, per image and as a mosaic.

All sizes are of whole files of the same images. The first table has what tutorials do with latents.
Then come files without loss, under an error bound and at a PSNR, and every setting with its PSNR,
p99 error, SSIM, speeds, and the accuracy of a small classifier on the decoded images. The figures
and the page are drawn from the JSON by ``bench/report.py``.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from common import (
    add_result_options,
    commit,
    format_markdown,
    format_table,
    load_images,
    write_result,
)

import aecodec
from aecodec.arrays import Images
from aecodec.benchmark import ours
from aecodec.benchmark.classifier import read_labels, train_classifier
from aecodec.benchmark.measuring import Judge
from aecodec.benchmark.ours import Setup, our_row
from aecodec.benchmark.peers import principal
from aecodec.benchmark.peers.peer import SET
from aecodec.benchmark.running import run_bench
from aecodec.benchmark.tables import tables
from aecodec.codec.codec import Codec
from aecodec.measures.pca import PcaBasis, fit_pca
from aecodec.targets import PSNR

TUTORIAL_COMPONENTS = 32
TUTORIAL_STEP = 128.0
TUTORIAL_CODERS = ("zstd", "ans")


def tutorial_rows(images: Images, basis: PcaBasis, codec: Codec) -> list[dict[str, Any]]:
    """Float latents, 32 an image, as text, as float32 and under zstd; then quantized; then ours."""
    judge = Judge(images)
    x = images.reshape(len(images), -1).astype(np.float32) - basis.mean
    axes = basis.axes[:TUTORIAL_COMPONENTS]
    y = x @ axes.T
    decoded = np.clip(np.rint(y @ axes + basis.mean), 0, 255).astype(np.uint8)
    text = io.StringIO()
    np.savetxt(text, y)
    raw = y.astype("<f4").tobytes()
    sizes = {
        "float latents as text": len(text.getvalue()),
        "float latents as float32": len(raw),
        "float32 under zstd -19": len(zstandard.ZstdCompressor(level=19).compress(raw)),
    }
    rows = [
        judge.row(name, SET, TUTORIAL_COMPONENTS, nbytes, decoded.reshape(images.shape))
        for name, nbytes in sizes.items()
    ]
    wanted = f"PCA {TUTORIAL_COMPONENTS}, zstd -19"
    peer = next(each for each in principal.pca_peers(basis) if each.name == wanted)
    same = rows[0]["psnr_db"]
    rows.append(judge.measured(peer, TUTORIAL_STEP))
    for coder in TUTORIAL_CODERS:
        setup = Setup(f"aecodec {coder}, --psnr {same:.2f}", PSNR, (), coder=coder)
        rows.append(our_row(judge, codec.with_options(coder=coder), setup, same))
    return rows


def setups(targets: Sequence[float]) -> list[Setup]:
    """aecodec's, with the PSNRs that were asked for."""
    return [replace(s, values=tuple(targets)) if s.target == PSNR else s for s in ours.FULL]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--train", metavar="IN2", required=True, help="fit PCA on this set")
    parser.add_argument("--labels", metavar="FILE", help="of IN: a classifier reads it too")
    parser.add_argument("--train-labels", metavar="FILE", help="of IN2: it is trained on that set")
    parser.add_argument("--model", default="mnist", help="name or file (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument(
        "--targets", type=float, nargs="+", default=list(ours.PSNR_TARGETS), metavar="DB"
    )
    parser.add_argument("--quick", action="store_true", help="few settings of the others")
    parser.add_argument("--markdown", action="store_true", help="print tables for a README")
    add_result_options(parser, "rate-distortion")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    a = parse_arguments(argv)
    images = load_images(a.input, a.limit)
    training = load_images(a.train)
    classifier = None
    if a.labels:
        pair = (training, read_labels(a.train_labels)) if a.train_labels else None
        classifier = train_classifier(images, read_labels(a.labels)[: len(images)], pair)
    codec = Codec(aecodec.load_model(a.model))
    basis = fit_pca(training, math.prod(images.shape[1:]))
    result = run_bench(
        Path(a.input).name,
        images,
        codec,
        setups(a.targets),
        quick=a.quick,
        basis=basis,
        classifier=classifier,
        progress=lambda what: print(what, file=sys.stderr),
    )
    result["commit"] = commit()
    result["pca_fitted_on"] = Path(a.train).name
    result["tutorial"] = tutorial_rows(images, basis, codec)
    show = format_markdown if a.markdown else format_table
    for table in tables(result):
        print(f"{table.title}. {table.note}\n\n{show(table.head, table.lines)}\n")
    for entry in result["left_out"]:
        print(f"left out: {entry['coder']}: {entry['why']}")
    write_result(a.name, result, a.results)


if __name__ == "__main__":
    main()
