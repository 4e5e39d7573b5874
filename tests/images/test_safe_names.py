"""Names of strangers as names of files."""

import sys

import pytest

from aecodec.images.safe_names import (
    DEPTH_MAX,
    NAME_MAX_NBYTES,
    PATH_MAX_NBYTES,
    folder_keys,
    path_key,
    safe_part,
    safe_path,
    tagged,
    utf8_nbytes,
)

LONG = "b" * 300 + ".png"


@pytest.mark.parametrize(
    "name",
    ["a.png", "class 1/b (2).png", "é.png", "日本/語.png", "a/b/c/d.tif", "x", "v1.2", "co.n",
     "console.png", "com0.png", "com10", "-x.png", "_", "~a", "a b", "d/" * 255 + "b.png",
     "b" * 255, "a\u200db.png"],
)  # fmt: skip
def test_safe_names_stay(name):
    assert safe_path(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "_"), (".", "_"), ("..", "__"), ("...", "___"), ("../a.png", "__/a.png"),
        ("/etc/x.png", "_/etc/x.png"), ("a//b", "a/_/b"), ("a/", "a/_"), ("a\\b", "a_b"),
        ("C:x", "C_x"), ("a.png:s", "a.png_s"), ('<>:"|?*', "_______"), ("a\0b\nc\x7f", "a_b_c_"),
        ("\u202egnp", "_gnp"), ("\ufeffx", "_x"), ("a\u2028b", "a_b"), ("\x85", "_"),
        ("x.", "x_"), ("x. .", "x___"), ("x ", "x_"), (" x", "_x"), ("d./x", "d_/x"),
        (".git/x", "_git/x"), ("CON", "_CON"), ("con.png", "_con.png"), ("Nul.x.y", "_Nul.x.y"),
        ("aux .png", "_aux .png"), ("a/LPT9/b", "a/_LPT9/b"), ("COM¹.png", "_COM¹.png"),
        ("conin$", "_conin$"), ("CONOUT$.x", "_CONOUT$.x"), ("metadata.csv/x", "_metadata.csv/x"),
        ("Metadata.JSONL/x", "_Metadata.JSONL/x"), ("\ud800.png", "_.png"), ("a\udfff", "a_"),
    ],
)  # fmt: skip
def test_unsafe_names_become_safe(name, expected):
    assert safe_path(name) == expected
    assert safe_path(expected) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_bytes_that_are_no_text_are_kept_where_the_system_has_them():
    assert safe_path("\udcff.png") == "\udcff.png"
    assert safe_path("\udcc3\udca9.png") == "é.png"  # the bytes of that
    assert safe_path("\udce2\udc80\udcae.png") == "_.png"  # of a mark that turns the direction


@pytest.mark.parametrize(
    "name",
    [LONG, f"{LONG}/{LONG}", "é" * 200, "日" * 4000 + ".jpg", "a" * 100_000, "d/" * 100_000,
     "d/" * DEPTH_MAX + "b.png", "/".join(["f" * 250] * 17) + "/b.png", "\ud800" * 5000],
)  # fmt: skip
def test_what_is_too_long_is_short(name):
    path = safe_path(name)
    parts = path.split("/")
    assert len(parts) <= DEPTH_MAX
    assert utf8_nbytes(path) <= PATH_MAX_NBYTES
    assert max(map(utf8_nbytes, parts)) <= NAME_MAX_NBYTES
    assert path == safe_path(name) == safe_path(path)
    assert path != safe_path(f"{name[:-5]}x{name[-5:]}")  # the rest is in its hash
    assert path.split("~")[0][:3] == (name[:3] if name[0] != "\ud800" else "___")
    assert path.endswith(".png") == name.endswith(".png")


def test_tags_leave_room():
    assert tagged("a/b.png", "7") == "a/b~7.png"
    assert tagged("a.b/c", "7") == "a.b/c~7"
    assert tagged("v1.2", "7") == "v1.2~7"
    assert tagged("é" * 127 + ".png", "123") == "é" * 123 + "~123.png"


def test_parts_hold_no_slash():
    assert safe_part("a/b") == "a_b"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A.png", "a.PNG"),
        ("é/x", "e\u0301/X"),
        ("Straße", "STRASSE"),
        ("a\u200db", "ab"),
        ("Ω", "ω"),
    ],
)
def test_what_some_system_takes_for_the_same_has_one_key(one, other):
    assert path_key(one) == path_key(other)
    assert path_key(one) != path_key(f"{other}x")


def test_folders_have_the_keys_of_files():
    assert list(folder_keys("A/é/c.png")) == [path_key("a"), path_key("a/e\u0301")]
    assert list(folder_keys("c.png")) == []
