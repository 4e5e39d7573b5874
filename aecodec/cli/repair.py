"""``aecodec repair``."""

from __future__ import annotations

import argparse
import json

from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import add_force, add_talk
from aecodec.cli.words import images_text, losses_text


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", metavar="IN.aez")
    sub.add_argument("-o", "--output", metavar="OUT.aez", required=True)
    add_limit_options(sub)
    add_force(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Write the intact part of a damaged file; returns the exit status."""
    from aecodec.archive.repair import repair

    done = repair(a.input, a.output, force=a.force, limits=limits_of(a))
    if a.json:
        print(json.dumps({"input": a.input, "output": a.output, **done.facts()}))
    elif not a.quiet:
        print(f"{a.output}: {images_text(done.images_kept)} kept; {losses_text(done.lost, done)}")
    return 0 if done.whole else EXIT_CORRUPT
