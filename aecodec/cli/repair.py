"""``aecodec repair``."""

from __future__ import annotations

import argparse
import sys

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.cli.files import is_stdout, output_path, source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath, OutputPath, add_force, add_talk
from aecodec.cli.words import images_text, losses_text
from aecodec.io.strict_json import strict_json


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN.aez", help="- for standard input")
    sub.add_argument("-o", "--output", type=OutputPath, metavar="OUT.aez", required=True)
    add_limit_options(sub)
    add_force(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Write the intact part of a damaged file; returns the exit status."""
    from aecodec.archive.repair import repair

    refuse_foreign_ending(a.output, ".aez")
    output = output_path(a.output)

    done = repair(source_of(a.input), output, force=a.force, limits=limits_of(a))
    if a.json and not is_stdout(output):
        print(strict_json({"input": a.input, "output": a.output, **done.facts()}))
    elif not a.quiet or not done.whole:
        text = f"{images_text(done.images_kept)} kept; {losses_text(done.lost, done)}"
        to_stderr = a.quiet or is_stdout(output)
        print(f"{a.output}: {text}", file=sys.stderr if to_stderr else sys.stdout)
    return 0 if done.whole else EXIT_CORRUPT
