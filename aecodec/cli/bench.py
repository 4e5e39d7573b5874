"""``aecodec bench``: the user's own images through aecodec and whatever else is installed."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from aecodec.archive.options import Options
from aecodec.arrays import Images
from aecodec.benchmark.classifier import read_labels, train_classifier
from aecodec.benchmark.ours import QUICK
from aecodec.benchmark.page import report_page
from aecodec.benchmark.running import run_bench
from aecodec.benchmark.tables import format_table, tables
from aecodec.codec.codec import Codec
from aecodec.errors import ModelMissingError
from aecodec.images import open_images
from aecodec.io.atomic import atomic_path

MAX_IMAGES = 3000
MAX_SAMPLES = 2_400_000  # 3,000 images of 28 x 28, which take about a minute
READ_IMAGES = 1024


def bench(a: argparse.Namespace) -> int:
    """Run, print the tables (or JSON), write the report; the exit status."""
    if a.limit is not None and a.limit < 1:
        raise ValueError(f"--limit: expected 1 or more, got {a.limit}")
    if a.output and Path(a.output).exists() and not a.force:
        raise FileExistsError(17, "exists", a.output)
    source = sys.stdin.buffer if a.input == "-" else a.input
    name = "standard input" if a.input == "-" else Path(a.input).name
    images, rows = read_sample(source, a.limit)
    classifier = None
    if a.labels:
        labels = read_labels(a.labels)
        if len(labels) <= rows[-1]:
            raise ValueError(f"--labels: {len(labels)} labels, expected one for every image")
        classifier = train_classifier(images, labels[rows])
    result = run_bench(
        name,
        images,
        _codec(a.model, images),
        QUICK,
        quick=True,
        classifier=classifier,
        progress=_progress(a),
    )
    if a.output:
        page = report_page([result])
        with atomic_path(a.output, force=a.force) as path:
            path.write_text(page, encoding="utf-8")
    if a.json:
        print(json.dumps(result, allow_nan=False))
    else:
        print(_text(result))
    return 0


def read_sample(source: Any, limit: int | None) -> tuple[Images, np.ndarray]:  # noqa: ANN401
    """(images (n, H, W, C), their places in the set): at most ``limit``, spread over the set."""
    with open_images(source) as opened:
        most = min(MAX_IMAGES, max(1, MAX_SAMPLES // math.prod(opened.shape)))
        n = min(opened.image_count, most if limit is None else limit)
        if n < 1:
            raise ValueError("no images, expected at least 1")
        wanted = np.arange(n) * opened.image_count // n
        found, start = [], 0
        for batch in opened.batches(READ_IMAGES):
            here = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
            found.append(batch[here])
            start += len(batch)
    return np.concatenate(found), wanted


def _codec(model: str | None, images: Images) -> Codec | None:
    """The model named, or the best installed one; None, which the result tells, without any."""
    try:
        return Options(model).choose_codec(images)
    except ModelMissingError:
        if model is not None:
            raise
        return None


def _progress(a: argparse.Namespace) -> Any:  # noqa: ANN401
    shown = sys.stderr.isatty() and not a.quiet

    def tell(what: str) -> None:
        if shown:
            print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)

    return tell


def _text(result: dict[str, Any]) -> str:
    count, height, width, channels = result["data"]["shape"]
    parts = [f"{result['data']['name']}: {count:,} images of {height}x{width}x{channels}"]
    parts += [
        f"\n{table.title}. {table.note}\n\n{format_table(table.head, table.lines)}"
        for table in tables(result)
    ]
    sizes = result["decoder_nbytes"]
    if sizes:
        total = f"{sum(sizes.values()):,}"
        parts.append(f"\nModel {result['model']}: its decoders ({total} bytes) are not counted.")
    else:
        parts.append("\nNo installed model is for such images: 'aecodec train' makes one.")
    parts.append(f"PCA is fitted on {result['pca_fitted_on']}; its basis is not counted.")
    parts += [f"Not installed: {text}" for text in result["absent"]]
    parts += [f"Left out: {entry['coder']}: {entry['why']}" for entry in result["left_out"]]
    return "\n".join(parts)
