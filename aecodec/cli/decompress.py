"""``aecodec decompress``."""

from __future__ import annotations

import argparse
import json
import sys

from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.cli.limits import limits_of
from aecodec.cli.progress import images_text, progress_bar
from aecodec.cli.standard import STDIO, _standard_input, _standard_output
from aecodec.cli.verify import _losses


def run_decompress(a: argparse.Namespace) -> int:
    """Unpack a file, or what is whole of one."""
    from aecodec.archive.decompress import decompress

    limits = limits_of(a)
    source = _standard_input().read() if a.input == STDIO else a.input
    output = a.output or (STDIO if a.input == STDIO else None)
    to_stdout = output == STDIO
    with progress_bar(a, "decompress") as progress:
        done = decompress(
            source,
            _standard_output() if to_stdout else output,
            kind=a.to,
            images=_range(a.images),
            model=a.model,
            labels=a.labels,
            skip_damaged=a.skip_damaged,
            limits=limits,
            force=a.force,
            progress=progress,
        )
    told, left = str(done.output), done.left_out
    if a.json and not to_stdout:
        facts = {"output": told, "kind": done.kind, "images": done.images, "left_out": left}
        facts |= {"lost": done.lost, "repair": done.repair and done.repair.facts()}
        print(json.dumps(facts))
    elif not a.quiet:
        if not to_stdout:
            print(f"{told}: {images_text(done.images)} as {done.kind}", file=sys.stderr)
        if left and not to_stdout:
            print(f"  left out, which {done.kind} cannot hold: {', '.join(left)}", file=sys.stderr)
        if not done.whole:
            print(f"  damaged: {_losses(done.lost, done.repair)}", file=sys.stderr)
    return 0 if done.whole else EXIT_CORRUPT


def _range(text: str | None) -> slice:
    if text is None:
        return slice(None)
    first, colon, last = text.partition(":")
    try:
        return (
            slice(int(first) if first else None, int(last) if last else None) if colon else _bad()
        )
    except ValueError:
        raise ValueError(f"--images: expected A:B, got {text!r}") from None


def _bad() -> slice:
    raise ValueError
