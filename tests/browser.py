"""Headless Chromium, for the tests of pages; they are skipped where there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_QUIET = ("background-networking", "component-update", "sync", "extensions", "gpu", "quic")


@dataclass(frozen=True)
class Seen:
    """A page's document after its scripts have run, and what the browser's console said."""

    document: str
    console: tuple[str, ...]


def browse(url: str, folder: Path, *options: str, dump: bool = True) -> Seen:
    """Open a page with a profile of its own, under ``folder``; nothing asks the network."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    run = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--no-first-run",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            f"--user-data-dir={folder / 'chromium'}",
            *(f"--disable-{what}" for what in _QUIET),
            *options,
            *(["--dump-dom"] if dump else []),
            url,
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    console = re.findall(r"^\[.*?:CONSOLE[:(].*", run.stderr, re.MULTILINE)
    return Seen(run.stdout, tuple(console))
