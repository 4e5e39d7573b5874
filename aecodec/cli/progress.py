"""Progress on standard error."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(a: argparse.Namespace, verb: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left, when that is a terminal and --quiet is not given.

    What it yields takes the images done and those in all; the bar appears after a second.
    """
    from tqdm import tqdm

    off = a.quiet or not sys.stderr.isatty()
    with tqdm(desc=verb, unit=" images", disable=off, leave=False, delay=1) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


def images_text(count: int) -> str:
    """``1 image``, ``10,000 images``."""
    return f"{count:,} image{'' if count == 1 else 's'}"
