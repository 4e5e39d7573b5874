"""``aecodec verify``."""

from __future__ import annotations

import argparse

from aecodec.cli.files import source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath, ModelPath, add_talk
from aecodec.cli.progress import progress_bar
from aecodec.cli.terminal import shown
from aecodec.cli.words import images_text
from aecodec.io.strict_json import strict_json


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN.aez", help="- for standard input")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="decode everything too, compare hashes")
    how.add_argument(
        "--against", type=InputPath, metavar="IN", help="the originals: compute all errors again"
    )
    sub.add_argument(
        "--model", type=ModelPath, metavar="NAME|FILE", help="where the file's model is"
    )
    add_limit_options(sub)
    add_talk(sub)


def run(a: argparse.Namespace) -> int:
    """Check a file; returns the exit status."""
    from aecodec.archive.verify import verify

    with progress_bar(a, "verify") as progress:
        against = source_of(a.against) if a.against else None
        count = verify(
            source_of(a.input),
            full=a.full,
            against=against,
            model=a.model,
            limits=limits_of(a),
            progress=progress,
        )
    if a.json:
        facts = {"full": a.full or bool(a.against), "against": a.against, "ok": True}
        print(strict_json({"input": a.input, "images": count, **facts}))
    elif not a.quiet:
        print(f"{shown(a.input)}: {images_text(count)}, {_checked(a)} right")
    return 0


def _checked(a: argparse.Namespace) -> str:
    if a.against:
        return f"checksums, pixel hashes and errors against {shown(a.against)}"
    return "checksums and pixel hashes" if a.full else "checksums"
