"""Where the user's caches are, and what happens where they cannot be written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aecodec.io.caches import usable_folder, user_cache

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="each system has its own folder")


def test_xdg_cache_home_is_respected(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    found = user_cache("numba-1")
    assert found == tmp_path / "caches" / "aecodec" / "numba-1"
    assert found.is_dir()
    assert not list(found.iterdir())


@on_linux
@pytest.mark.parametrize("named", [None, "", "relative"])
def test_the_home_folder_has_them_otherwise(named, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache("x") == tmp_path / ".cache" / "aecodec" / "x"


def test_no_folder_where_there_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("bad\0name")):
        assert usable_folder(folder) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert user_cache("x") is None


@on_linux
def test_no_folder_without_a_home(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for home in ("/proc/1/nobody", "/proc/self/nobody"):
        monkeypatch.setenv("HOME", home)
        assert user_cache("x") is None

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert user_cache("x") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner here")
def test_no_folder_of_another_user(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert usable_folder(tmp_path) is None
