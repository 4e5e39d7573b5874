"""``aecodec decompress``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING

from aecodec.cli.exits import EXIT_CORRUPT, EXIT_LEFT_OUT
from aecodec.cli.files import STDIO, is_stdout, source_of, standard_output
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath, ModelPath, OutputPath, SecondPath, add_force, add_talk
from aecodec.cli.progress import progress_bar
from aecodec.cli.words import images_text, losses_text
from aecodec.io.special import is_special
from aecodec.io.strict_json import strict_json

if TYPE_CHECKING:
    from aecodec.archive.decompress import Unpacked


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN.aez", help="- for standard input")
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="OUT",
        help="default: IN without .aez; - is stdout",
    )
    sub.add_argument("--to", choices=["idx", "idx.gz", "npy", "npz", "folder"], help="kind of OUT")
    sub.add_argument(
        "--images", metavar="A:B", help="only images A to B-1; negative ones count from the end"
    )
    # A range that begins with a negative number is no option.
    sub._negative_number_matcher = re.compile(r"-\d+(:-?\d*)?$|-\d*\.\d+$")
    sub.add_argument(
        "--labels",
        type=SecondPath,
        metavar="FILE",
        help="an IDX file for the labels (beside an IDX file by default)",
    )
    sub.add_argument(
        "--skip-damaged",
        action="store_true",
        help="write what is whole of a damaged file, tell the rest, exit 3 if there is any",
    )
    sub.add_argument(
        "--model", type=ModelPath, metavar="NAME|FILE", help="where the file's model is"
    )
    add_limit_options(sub)
    add_force(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Unpack a file, or the intact part of a damaged one; returns the exit status."""
    from aecodec.archive.decompress import decompress

    limits = limits_of(a)
    is_piped = a.input == STDIO or is_special(a.input)
    output = a.output or (STDIO if is_piped else None)
    to_stdout = is_stdout(output)
    labels = None if _is_one_file(output, a.labels) else a.labels
    with progress_bar(a, "decompress") as progress:
        done = decompress(
            source_of(a.input),
            standard_output() if to_stdout else output,
            kind=a.to,
            images=_range(a.images),
            exact_range=True,
            model=a.model,
            labels=labels,
            skip_damaged=a.skip_damaged,
            limits=limits,
            force=a.force,
            progress=progress,
        )
    if a.json and not to_stdout:
        facts = {"output": str(done.output), "kind": done.kind, "images": done.images}
        facts |= {"left_out": done.left_out, "notes": list(done.notes)}
        facts |= {"lost": done.lost, "repair": done.repair and done.repair.facts()}
        print(strict_json(facts))
    elif not a.quiet and not to_stdout:
        print(f"{done.output}: {images_text(done.images)} as {done.kind}", file=sys.stderr)
    under = "  " if not (a.json or a.quiet or to_stdout) else f"{done.output or STDIO}: "
    lines = _losses(done)
    if not (a.quiet or a.json):
        lines = [*done.notes, *lines]
    if labels != a.labels:
        lines.append(f"--labels {a.labels} names the file of the images, no labels are there")
    for line in lines:
        print(f"{under}{line}", file=sys.stderr)
    if not done.whole:
        return EXIT_CORRUPT
    lost = ("column ", "names: ")
    has_less = labels != a.labels or any(text.startswith(lost) for text in done.left_out)
    return EXIT_LEFT_OUT if has_less else 0


def _losses(done: Unpacked) -> list[str]:
    """What was left out and lost, which is told whatever else is not."""
    lines = []
    if done.left_out:
        left = ", ".join(done.left_out)
        lines.append(f"left out, which {done.kind} cannot hold: {left}")
    if not done.whole:
        lines.append(f"damaged: {losses_text(done.lost, done.repair)}")
    return lines


def _is_one_file(output: str | None, labels: str | None) -> bool:
    """Whether labels are to go where the images do."""
    if output is None or labels is None:
        return False
    return os.path.realpath(output) == os.path.realpath(labels)


def _range(text: str | None) -> slice:
    """``A:B`` as a slice, where either may be missing."""
    if text is None:
        return slice(None)
    first, colon, last = text.partition(":")
    wrong = ValueError(f"--images: expected A:B, got {text!r}")
    if not colon:
        raise wrong
    try:
        return slice(int(first) if first else None, int(last) if last else None)
    except ValueError:
        raise wrong from None
