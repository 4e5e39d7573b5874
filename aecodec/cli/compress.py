"""``aecodec compress``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from aecodec.cli.about_options import set_arguments, skipped_facts, skipped_text
from aecodec.cli.progress import images_text, progress_bar
from aecodec.cli.standard import STDIO, _psnr_fact, _psnr_text, _standard_input, _standard_output

if TYPE_CHECKING:
    from aecodec.archive.options import Summary


def run_compress(a: argparse.Namespace) -> int:
    """Pack a set; the exit status, as of every command here."""
    from aecodec.archive.compress import compress

    source = _standard_input() if a.input == STDIO else a.input
    output = a.output or (STDIO if a.input == STDIO else f"{a.input.rstrip(os.sep)}.aez")
    to_stdout = output == STDIO
    if a.chunk is not None and a.chunk < 1:
        raise ValueError(f"--chunk: expected 1 or more, got {a.chunk}")
    told = set_arguments(a)
    with progress_bar(a, "compress") as progress:
        summary = compress(
            source,
            _standard_output() if to_stdout else output,
            model=a.model,
            quality=a.quality,
            max_error=a.max_error,
            lossless=a.lossless,
            psnr=a.psnr,
            target_bytes_per_image=a.target_bytes_per_image,
            variant=a.variant,
            coder=a.coder,
            effort=a.effort,
            chunk_images=a.chunk,
            embed_model=a.embed_model,
            force=a.force,
            progress=progress,
            **told,
        )
    facts = {"output": None if to_stdout else output, **vars(summary)}
    facts |= {"skipped": skipped_facts(summary.skipped), "psnr_db": _psnr_fact(summary.psnr_db)}
    if a.json and not to_stdout:
        print(json.dumps(facts))
    elif not a.quiet:
        print(_summary_text(output, summary, verbose=a.verbose), file=sys.stderr)
    return 0


def _summary_text(output: str, s: Summary, *, verbose: bool) -> str:
    if not s.images:
        return f"{output}: no images, {s.nbytes} bytes"
    text = (
        f"{output}: {images_text(s.images)}, {s.raw_nbytes:,} -> {s.nbytes:,} bytes "
        f"({s.bpp:.4f} bpp, {_psnr_text(s.psnr_db)}), model {s.model}"
    )
    if verbose or len(s.images_by_mode) > 1:
        modes = ", ".join(f"{count:,} {mode}" for mode, count in s.images_by_mode.items())
        text += f"\n  images by mode: {modes}; max error {s.max_error}"
    return f"{text}\n{skipped_text(s.skipped)}" if s.skipped else text
