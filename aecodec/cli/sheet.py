"""``aecodec sheet``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import name_of, output_path, refuse_existing, source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.use_outputs import say


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="FILE.aez")
    sub.add_argument("--against", type=InputPath, metavar="IN", required=True, help="the originals")
    sub.add_argument("-o", "--output", type=OutputPath, metavar="PNG", required=True)
    sub.add_argument(
        "--model", type=ModelPath, metavar="NAME|FILE", help="where the file's model is"
    )
    sub.add_argument("-n", type=int, default=10, metavar="N", help="how many, evenly spread (10)")
    add_force(sub)
    add_talk(sub)
    add_limit_options(sub)


def run(a: argparse.Namespace) -> int:
    """Draw originals, decoded images and errors; returns the exit status."""
    from aecodec.archive.array import Archive
    from aecodec.uses import drawing, sheets

    refuse_foreign_ending(a.output, ".png")
    refuse_existing(a.output, force=a.force)
    with Archive(source_of(a.input), model=a.model, limits=limits_of(a)) as archive:
        if not len(archive):
            raise ValueError(f"{a.input}: holds no images")
        shown = sheets.look_up(archive, source_of(a.against), sheets.choose(len(archive), a.n))
        bpp = archive.info["bpp"]
    errors, largest = shown.error_maps()
    psnr = [None if math.isinf(v) else round(v, 2) for v in shown.psnr_db]
    notes = [
        f"{label}\n{nbytes:.1f} bytes\n{'exact' if db is None else f'{db:.1f} dB'}"
        for label, nbytes, db in zip(shown.labels, shown.nbytes, psnr, strict=True)
    ]
    rows = [("original", shown.originals), ("decoded", shown.decoded), ("error", errors)]
    title = (
        f"{name_of(a.input)}: {bpp:.3f} bpp; errors from 0 (white) to {largest} (black) of 255; "
        "bytes are shares of a payload"
    )
    drawing.write_figure(
        drawing.rows_figure(rows, title, notes), Path(output_path(a.output)), force=a.force
    )
    facts = {"output": a.output, "images": shown.indices, "modes": shown.labels}
    facts |= {"nbytes": shown.nbytes, "psnr_db": psnr, "largest_error": largest}
    say(a, facts, f"{a.output}: {len(shown.indices)} images of {a.input}")
    return 0
