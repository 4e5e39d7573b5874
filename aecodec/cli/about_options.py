"""The options of the command line that tell what a set is, and what is said of it at the end."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

NAMES_SHOWN = 3  # of what was skipped for one reason


def add_set_options(sub: argparse.ArgumentParser) -> None:
    """Labels, columns and words about the set, for ``compress``."""
    about = sub.add_argument_group("about the images")
    about.add_argument(
        "--labels", metavar="FILE", help="an IDX file (gzipped or not), .npy, or text, one a line"
    )
    about.add_argument(
        "--columns", metavar="CSV", help="a table with a row of names and one for each image"
    )
    about.add_argument("--title", metavar="TEXT", help="what the set is called")
    about.add_argument("--origin", metavar="TEXT", help="where the images are from")
    about.add_argument("--licence", metavar="TEXT", help="on what terms they may be used")


def set_arguments(a: argparse.Namespace) -> dict[str, Any]:
    """The arguments of ``aecodec.compress`` that the options stand for."""
    from aecodec.images import read_labels, table_annotations

    told: dict[str, Any] = {}
    if a.labels:
        told["labels"] = read_labels(a.labels)
    if a.columns:
        told["columns"] = {c.name: c for c in table_annotations(a.columns).columns}
    about = {name: getattr(a, name) for name in ("title", "origin", "licence")}
    told["about"] = {name: text for name, text in about.items() if text is not None}
    return told


def skipped_facts(skipped: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """For JSON: what was skipped, in the order in which it was met."""
    return [{"name": name, "reason": reason} for name, reason in skipped]


def skipped_text(skipped: Sequence[tuple[str, str]]) -> str:
    """What was skipped, counted by reason, a line each."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in skipped:
        by_reason[reason].append(name)
    lines = [f"  skipped {len(skipped):,}:"]
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        some = ", ".join(ascii(name)[1:-1] for name in names[:NAMES_SHOWN])
        more = ", ..." if len(names) > NAMES_SHOWN else ""
        lines.append(f"    {len(names):,} {reason}: {some}{more}")
    return "\n".join(lines)


def info_lines(info: dict[str, Any]) -> list[str]:
    """What ``info`` tells people of a set besides its pixels."""
    lines = [f"{name:11} {info[name]}" for name in ("title", "origin", "licence") if info[name]]
    columns = ", ".join(f"{name} ({dtype})" for name, dtype in info["columns"].items())
    if columns:
        lines.append(f"columns     {columns}")
    if info["label"]:
        classes = info["classes"]
        some = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        named = f", {len(classes)} classes: {some}" if classes else ""
        lines.append(f"labels      {info['label']}{named}")
    return lines
