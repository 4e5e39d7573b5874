"""What the commands ``map``, ``generate``, ``denoise`` and ``sheet`` share: their outputs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.cli.files import is_stdout
from aecodec.io.strict_json import strict_json

if TYPE_CHECKING:
    from aecodec.held_rows import Rows

WRITTEN_NBYTES = 4 << 20  # together


def require_suffix(output: str | None, suffixes: Sequence[str]) -> None:
    """ValueError for the name of an output that ends otherwise."""
    if output and Path(output).suffix.lower() not in suffixes:
        wanted = ", ".join(suffixes)
        raise ValueError(f"--output: expected a name that ends in {wanted}, got {output!r}")


def say(a: argparse.Namespace, facts: Mapping[str, Any], text: str) -> None:
    """Print the facts with --json, else the text on standard error unless --quiet is given."""
    if a.json and not is_stdout(a.output):
        print(strict_json(facts))
    elif not a.quiet:
        print(text, file=sys.stderr)


def write_set(images: Rows, kind: str, output: Path, *, force: bool) -> None:
    """Write an image set of a kind, whole or not at all."""
    from aecodec.held_rows import batches_of
    from aecodec.images import open_sink
    from aecodec.io.atomic import atomic_path

    shape = (images.shape[1], images.shape[2], images.shape[3])
    options: dict[str, Any] = {"has_channel_axis": shape[2] > 1, "image_count": len(images)}
    with (
        atomic_path(output, force=force, directory=kind == "folder") as temporary,
        open_sink(temporary, kind, shape, **options) as sink,
    ):
        for batch in batches_of(images, len(images), WRITTEN_NBYTES):
            sink.write(batch)
