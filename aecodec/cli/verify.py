"""``aecodec verify`` and ``aecodec repair``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.cli.limits import limits_of
from aecodec.cli.progress import images_text, progress_bar
from aecodec.cli.standard import STDIO

if TYPE_CHECKING:
    from aecodec.archive.repair import Repair


def _losses(lost: list[list[int]], repair: Repair | None) -> str:
    """What a damaged file lost, for people."""
    told = [f"images lost: {', '.join(f'{at}:{end}' for at, end in lost) or 'none'}"]
    if repair is not None:
        if repair.images is None:
            told.append("how many there were is unknown")
        if repair.dropped_sections:
            told.append(f"sections lost: {', '.join(repair.dropped_sections)}")
        if repair.lost_nbytes:
            told.append(f"{repair.lost_nbytes:,} bytes of unreadable sections lost")
    return "; ".join(told)


def run_verify(a: argparse.Namespace) -> int:
    """Check a file."""
    from aecodec.archive.verify import verify

    with progress_bar(a, "verify") as progress:
        against = sys.stdin.buffer if a.against == STDIO else a.against
        count = verify(
            a.input,
            full=a.full,
            against=against,
            model=a.model,
            limits=limits_of(a),
            progress=progress,
        )
    if a.json:
        facts = {"full": a.full or bool(a.against), "against": a.against, "ok": True}
        print(json.dumps({"input": a.input, "images": count, **facts}))
    elif not a.quiet:
        checked = "checksums and pixel hashes" if a.full else "checksums"
        checked = (
            f"checksums, pixel hashes and errors against {a.against}" if a.against else checked
        )
        print(f"{a.input}: {images_text(count)}, {checked} right")
    return 0


def run_repair(a: argparse.Namespace) -> int:
    """Write what is whole of a file."""
    from aecodec.archive.repair import repair

    done = repair(a.input, a.output, force=a.force, limits=limits_of(a))
    if a.json:
        print(json.dumps({"input": a.input, "output": a.output, **done.facts()}))
    elif not a.quiet:
        print(f"{a.output}: {images_text(done.images_kept)} kept; {_losses(done.lost, done)}")
    return 0 if done.whole else EXIT_CORRUPT
