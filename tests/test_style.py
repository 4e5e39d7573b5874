"""Lint, layout and types are tests like any other; each tool is pinned in pyproject.toml."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aecodec._version import __version__

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy"])
def test_tool_is_content(tool):
    command = [sys.executable, "-m", *tool.split()]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{tool} says:\n{run.stdout}{run.stderr}"


def test_changelog_tells_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", text, re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
