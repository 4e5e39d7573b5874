"""What commands print: whatever the encoding, and whatever names and titles hold."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.cli import main
from aecodec.cli.terminal import raw_stream, shown, shown_streams

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
MARKS = "\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u2028\u2029\ufeff"
CONTROLS = "\x00\x07\x08\x1b\x7f\x80\x9b\r"
SURROGATE = "\udcff"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Stream(io.TextIOWrapper):
    """A standard stream of an encoding."""

    def __init__(self, encoding, errors="strict"):
        super().__init__(io.BytesIO(), encoding, errors, write_through=True)

    def text(self):
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture(params=["ascii", "cp1252", "utf-8", "utf-16-le"])
def streams(request):
    return Stream(request.param), Stream(request.param)


def run(streams, *argv):
    """The exit status of a command with these as standard output and error."""
    out, err = streams
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            return main(argv)
        except SystemExit as end:
            return end.code
        finally:
            assert sys.stdout is out
            assert sys.stderr is err
            assert (out.errors, err.errors) == ("strict", "strict")


def is_clean(text):
    return all(shown(line) == line for line in text.split("\n"))


def make(name, **about):
    columns = {f"größe{MARKS[1]}": ["漢"] * 3}
    classes = [f"Möwe{MARKS}"]
    about = {"title": f"Möwe 漢字 {MARKS}", "classes": classes, **about}
    aecodec.compress(
        IMAGES, name, model="none", labels=[0] * 3, columns=columns, about=about, force=True
    )


NAMES = ["y.aez", "Möwe 漢.aez", f"y{MARKS}.aez", "y\x1b[31m\n\r.aez"]
if sys.platform == "linux":
    NAMES.append(f"y{SURROGATE}.aez")


@pytest.mark.skipif(os.name == "nt", reason="no such names")
@pytest.mark.parametrize("name", NAMES)
def test_every_line_comes_out(name, streams):
    out, err = streams
    make(name)
    assert run(streams, "info", name) == 0
    lines = out.text().splitlines()
    assert [line[:8] for line in lines[1:]] == [
        "images  ", "size    ", "error   ", "modes   ", "chunks  ",
        "title   ", "columns ", "labels  ",
    ]  # fmt: skip
    assert "error" not in err.text()
    for status, *argv in (
        (0, "verify", name),
        (2, "verify", name, "--against", name),
        (0, "info", "--json", name),
        (6, "decompress", name),  # .npy holds pixels alone
        (0, "decompress", name, "-o", "x.npz"),
        (1, "decompress", name, "-o", "x.npz"),
        (0, "repair", name, "-o", f"{name}.whole"),
        (0, "view", name),
        (2, "compress", name),
        (0, "map", name, "-o", "m.npy", "--linear", "--steps", "1"),
        (1, "info", f"{name}.no"),
        (2, "info", name, name),
    ):
        assert run(streams, *argv) == status
    assert is_clean(out.text())
    assert is_clean(err.text())


@pytest.mark.skipif(os.name == "nt", reason="no such names")
def test_names_of_what_is_skipped(streams):
    Path("p").mkdir()
    Image.fromarray(IMAGES[0]).save("p/a.png")
    for name in (f"b{MARKS}.png", "c\x1b[2J\n.png", "漢.png"):
        Path("p", name).write_bytes(b"\x89PNG")
    run(streams, "compress", "p", "--model", "none")
    err = streams[1].text()
    assert is_clean(err)
    for name in (f"b{MARKS}.png", "c\x1b[2J\n.png", "漢.png"):
        text = shown(name)
        encoded = text.encode(streams[1].encoding, "backslashreplace")
        assert encoded.decode(streams[1].encoding) in err


@pytest.mark.skipif(sys.platform != "linux", reason="no such names")
def test_pages_and_pictures_of_a_name_that_is_no_text():
    make(f"{SURROGATE}.aez")
    np.save("x.npy", IMAGES)
    for argv in (
        ("map", f"{SURROGATE}.aez", "--linear", "--steps", "1", "-o", "m.png"),
        ("map", f"{SURROGATE}.aez", "--linear", "--steps", "1", "-o", "m.html"),
        ("sheet", f"{SURROGATE}.aez", "--against", "x.npy", "-o", "s.png"),
        ("view", f"{SURROGATE}.aez", "--against", "x.npy", "-o", "v.html"),
    ):
        assert main([*argv, "-q"]) == 0


def test_a_message_is_one_line(streams):
    Path("l.csv").write_text("label,a\nb\n", encoding="utf-8")
    np.save("x.npy", IMAGES)
    os.rename("l.csv", "l\n.csv")
    assert run(streams, "compress", "x.npy", "--labels", "l\n.csv") == 2
    assert len(streams[1].text().splitlines()) == 1


@pytest.mark.parametrize("text", ["a b", "Möwe 漢字", "می‌خواهم", "👩‍👧", "a\\b", "~"])
def test_what_can_be_shown_is_not_changed(text):
    assert shown(text) == text


@pytest.mark.parametrize("char", list(MARKS + CONTROLS + "\n\t\u200b\u2062\U000e0001" + SURROGATE))
def test_what_cannot_be_shown_is_escaped(char):
    text = shown(f"a{char}b")
    assert text.isascii()
    assert text.startswith("a\\")
    assert text.encode().decode("unicode_escape") == f"a{char}b"


def test_threads_leave_the_streams_as_they_were():
    out = Stream("ascii")
    both = threading.Barrier(2)

    def work():
        with shown_streams():
            both.wait()
            print("\x1bö")
            both.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    with contextlib.redirect_stdout(out):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sys.stdout is out
    assert out.errors == "strict"
    assert sorted(out.text().replace("\n", "")) == sorted("\\x1b\\xf6" * 2)


def test_an_own_stream_is_left():
    out, other = Stream("ascii"), io.StringIO()
    with contextlib.redirect_stdout(out):
        with shown_streams():
            assert raw_stream(sys.stdout) is out
            sys.stdout = other
        assert sys.stdout is other


def test_without_a_console():
    with contextlib.redirect_stdout(None):
        with shown_streams():
            assert sys.stdout is None
        assert sys.stdout is None
