"""``aecodec decompress``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.cli.files import STDIO, standard_input, standard_output
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import add_force, add_talk
from aecodec.cli.progress import progress_bar
from aecodec.cli.words import images_text, losses_text

if TYPE_CHECKING:
    from aecodec.archive.decompress import Unpacked


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", metavar="IN.aez", help="- for standard input")
    sub.add_argument("-o", "--output", metavar="OUT", help="default: IN without .aez; - is stdout")
    sub.add_argument("--to", choices=["idx", "idx.gz", "npy", "npz", "folder"], help="kind of OUT")
    sub.add_argument("--images", metavar="A:B", help="only images A to B-1")
    sub.add_argument(
        "--labels",
        metavar="FILE",
        help="an IDX file for the labels (beside an IDX file by default)",
    )
    sub.add_argument(
        "--skip-damaged",
        action="store_true",
        help="write what is whole of a damaged file, tell the rest, exit 3 if there is any",
    )
    sub.add_argument("--model", metavar="NAME|FILE", help="where the file's model is")
    add_limit_options(sub)
    add_force(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Unpack a file, or the intact part of a damaged one; returns the exit status."""
    from aecodec.archive.decompress import decompress

    limits = limits_of(a)
    source = standard_input().read() if a.input == STDIO else a.input
    output = a.output or (STDIO if a.input == STDIO else None)
    to_stdout = output == STDIO
    with progress_bar(a, "decompress") as progress:
        done = decompress(
            source,
            standard_output() if to_stdout else output,
            kind=a.to,
            images=_range(a.images),
            model=a.model,
            labels=a.labels,
            skip_damaged=a.skip_damaged,
            limits=limits,
            force=a.force,
            progress=progress,
        )
    if a.json and not to_stdout:
        facts = {"output": str(done.output), "kind": done.kind, "images": done.images}
        facts |= {"left_out": done.left_out}
        facts |= {"lost": done.lost, "repair": done.repair and done.repair.facts()}
        print(json.dumps(facts))
    elif not a.quiet:
        _say(done, to_stdout=to_stdout)
    return 0 if done.whole else EXIT_CORRUPT


def _say(done: Unpacked, *, to_stdout: bool) -> None:
    """Say on standard error what was written, left out and lost."""
    if not to_stdout:
        print(f"{done.output}: {images_text(done.images)} as {done.kind}", file=sys.stderr)
    if done.left_out and not to_stdout:
        left = ", ".join(done.left_out)
        print(f"  left out, which {done.kind} cannot hold: {left}", file=sys.stderr)
    if not done.whole:
        print(f"  damaged: {losses_text(done.lost, done.repair)}", file=sys.stderr)


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
