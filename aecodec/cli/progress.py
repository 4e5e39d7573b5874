"""Progress on standard error."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator

from aecodec.cli.terminal import raw_stream


@contextlib.contextmanager
def progress_bar(a: argparse.Namespace, verb: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left, if standard error is a terminal and --quiet is not given.

    It yields a function of the number of images done and their total. The bar appears after a
    second.
    """
    from tqdm import tqdm

    off = a.quiet or not sys.stderr.isatty()
    file = raw_stream(sys.stderr)
    with tqdm(desc=verb, unit=" images", file=file, disable=off, leave=False, delay=1) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


@contextlib.contextmanager
def steps_bar(
    title: str, steps: int, *, off: bool, delay: float = 0
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A bar for the steps of training; it yields the report that training calls.

    The numbers shown are running means.
    """
    from tqdm import tqdm

    file = raw_stream(sys.stderr)
    with tqdm(total=steps, unit=" steps", file=file, disable=off, desc=title, delay=delay) as bar:
        shown: dict[str, float] = {}

        def report(step: int, numbers: dict[str, float]) -> None:
            for key, value in numbers.items():
                shown[key] = shown.get(key, value) * 0.98 + value * 0.02
            bar.update(step - bar.n)
            if step % 20 == 0:
                bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()}, refresh=False)

        yield report
