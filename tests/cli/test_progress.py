"""The progress bar: rate and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import argparse
import io
import sys
import time

import pytest

from aecodec.cli.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
)
def test_bar(stream, quiet, shown, monkeypatch):
    out = stream()
    monkeypatch.setattr(sys, "stderr", out)
    with progress_bar(argparse.Namespace(quiet=quiet), "pack") as progress:
        progress(100, 1000)
        assert out.getvalue() == ""  # short work shows none
        if shown:
            time.sleep(1.1)
        progress(500, 1000)
    text = out.getvalue()
    if not shown:
        assert text == ""
        return
    assert "pack:  50%" in text
    assert "500/1000" in text
    assert "images/s" in text
    assert "<00:0" in text  # time left
