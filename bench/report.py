"""Figures (SVG and PNG) and one HTML page from results of ``rate_distortion.py``, or of several."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from common import RESULTS

from aecodec.benchmark.figures import write_figures
from aecodec.benchmark.page import report_page
from aecodec.io.atomic import atomic_path


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", metavar="JSON", nargs="+", type=Path)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of what is written")
    a = parser.parse_args(argv)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in a.results]
    a.folder.mkdir(parents=True, exist_ok=True)
    for path, result in zip(a.results, results, strict=True):
        for written in write_figures(result, a.folder, path.stem):
            print(written)
    with atomic_path(a.folder / "report.html", force=True) as temporary:
        temporary.write_text(report_page(results), encoding="utf-8")
    print(a.folder / "report.html")


if __name__ == "__main__":
    main()
