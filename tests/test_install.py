"""Installations one after the other in one environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "aecodec"
BUILD = (
    "from setuptools import build_meta; import sys; print(build_meta.build_editable(sys.argv[1]))"
)
IMPORT = (
    "import site, sys; site.addsitedir(sys.argv[1]); import aecodec.entropy as x; print(x.coder)"
)


def run(*arguments: str | Path, folder: Path) -> str:
    """What Python says in a folder."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if "No module named 'setuptools'" in done.stderr:
        pytest.skip("setuptools is not installed here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_editable_install_wins_over_a_folder_that_was_left_behind(tmp_path):
    """Such as one with files that a program had written there, which pip does not remove."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(PACKAGE, source / "aecodec", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PACKAGE.parent / name, source)
    left_behind = site / "aecodec" / "entropy" / "__pycache__"
    left_behind.mkdir(parents=True)
    (left_behind / "compiled.py311.nbi").touch()
    wheel = run("-c", BUILD, tmp_path, folder=source).split()[-1]
    with zipfile.ZipFile(tmp_path / wheel) as file:
        file.extractall(site)
    assert "function coder" in run("-I", "-S", "-c", IMPORT, site, folder=tmp_path)
