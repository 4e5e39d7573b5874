"""What was left out of the image sets that a command read: always told, and in the exit status."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from aecodec.cli.exits import EXIT_LEFT_OUT
from aecodec.cli.terminal import shown
from aecodec.io.left_out import Aside, Note, Skipped, Told, collecting

NAMES_SHOWN = 3  # of what was skipped for one reason


def run_telling(run: Callable[[argparse.Namespace], int], a: argparse.Namespace) -> int:
    """Run a command, then say on standard error what its image sets left out.

    Where pictures or data of them are missing, it is said with --quiet too, and a status of 0
    becomes EXIT_LEFT_OUT. What was passed over among the models is said with --verbose alone, and
    then also if the command fails, which may be the reason.
    """
    is_quiet = getattr(a, "quiet", False) or getattr(a, "json", False)
    is_verbose = getattr(a, "verbose", False)
    with collecting() as found:
        try:
            status = run(a)
        except Exception:
            _print(entry for entry in found if is_verbose and isinstance(entry[1], Aside))
            raise
    _print(
        (of_set, entry)
        for of_set, entry in found
        if (is_verbose if isinstance(entry, Aside) else entry.is_loss or not is_quiet)
    )
    is_lossy = any(isinstance(entry, Skipped) and entry.is_loss for _, entry in found)
    return status or (EXIT_LEFT_OUT if is_lossy else 0)


def _print(found: Iterable[tuple[str, Told]]) -> None:
    told: dict[str, list[Told]] = defaultdict(list)
    for of_set, entry in found:
        told[of_set].append(entry)
    for of_set, entries in told.items():
        print("\n".join(map(shown, _lines(of_set, entries))), file=sys.stderr)


def _lines(of_set: str, told: Sequence[Told]) -> list[str]:
    skipped = [entry for entry in told if isinstance(entry, Skipped)]
    notes = [entry.text for entry in told if isinstance(entry, Note)]
    lines = [f"{of_set}: {note}" for note in notes]
    if skipped:
        lines += [f"{of_set}: skipped {len(skipped):,}:", *skipped_lines(skipped)]
    return lines


def skipped_lines(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason, with the number of what was skipped and the first names."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in skipped:
        by_reason[reason].append(name)
    lines = []
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        some = ", ".join(name for name in names[:NAMES_SHOWN])
        more = ", ..." if len(names) > NAMES_SHOWN else ""
        lines.append(f"  {len(names):,} {reason}: {some}{more}")
    return lines
