"""``aecodec bench``: the user's own images through aecodec and whatever else is installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import name_of, refuse_existing, refuse_pipe, source_of
from aecodec.cli.options import IMAGE_SETS, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.terminal import raw_stream
from aecodec.errors import ModelMissingError
from aecodec.io.strict_json import strict_json

if TYPE_CHECKING:
    from aecodec.arrays import Images
    from aecodec.benchmark.classifier import Labels
    from aecodec.benchmark.sample import Sample
    from aecodec.codec.codec import Codec


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN", help=IMAGE_SETS)
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="REPORT.html",
        help="write a page with figures too",
    )
    sub.add_argument(
        "--model", type=ModelPath, metavar="NAME|FILE", help="default: the best installed one"
    )
    sub.add_argument(
        "--labels", type=InputPath, metavar="FILE", help="IDX, .npy or text: a classifier reads too"
    )
    sub.add_argument(
        "--limit", type=int, metavar="N", help="images measured (3000, fewer if large)"
    )
    add_force(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Measure, print the tables or JSON, and write the report; returns the exit status."""
    from aecodec.benchmark import ours
    from aecodec.benchmark.classifier import train_classifier
    from aecodec.benchmark.page import report_page
    from aecodec.benchmark.running import run_bench
    from aecodec.benchmark.sample import read_sample
    from aecodec.io.atomic import atomic_path

    if a.limit is not None and a.limit < 1:
        raise ValueError(f"--limit: expected 1 or more, got {a.limit}")
    refuse_foreign_ending(a.output, ".html", ".htm")
    refuse_existing(a.output, force=a.force)
    if a.output:
        refuse_pipe(a.output, "the tables go to standard output")
    sample = read_sample(source_of(a.input), a.limit)
    images = sample.images
    result = run_bench(
        name_of(a.input),
        images,
        _codec(a.model, images),
        ours.QUICK,
        quick=True,
        classifier=train_classifier(images, _labels(a.labels, sample)) if a.labels else None,
        progress=_progress(a),
    )
    if a.output:
        page = report_page([result])
        with atomic_path(a.output, force=a.force) as path:
            path.write_text(page, encoding="utf-8")
    if a.json:
        print(strict_json(result))
    else:
        print(_text(result))
    return 0


def _labels(path: str, sample: Sample) -> Labels:
    """Labels of the images measured, from a file with one for every image of the set."""
    from aecodec.benchmark.classifier import read_labels

    labels = read_labels(path, sample.names, sample.skipped)
    if len(labels) <= sample.indices[-1]:
        raise ValueError(f"--labels: {len(labels)} labels, expected one for every image")
    return labels[sample.indices]


def _codec(model: str | None, images: Images) -> Codec | None:
    """The model named, or the best installed one; None if no model is named and none fits."""
    from aecodec.archive.options import Options

    try:
        return Options(model).choose_codec(images)
    except ModelMissingError:
        if model is not None:
            raise
        return None


def _progress(a: argparse.Namespace) -> Callable[[str], None]:
    """Shows on a terminal what is being measured."""
    is_shown = sys.stderr.isatty() and not a.quiet

    def show(what: str) -> None:
        if is_shown:
            print(f"\r\x1b[K{what}", end="", file=raw_stream(sys.stderr), flush=True)

    return show


def _text(result: dict[str, Any]) -> str:
    from aecodec.benchmark.tables import format_table, tables

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
    if result["pca_fitted_on"]:
        parts.append(f"PCA is fitted on {result['pca_fitted_on']}; its basis is not counted.")
    parts += [f"Not installed: {text}" for text in result["absent"]]
    parts += [f"Left out: {entry['coder']}: {entry['why']}" for entry in result["left_out"]]
    return "\n".join(parts)
