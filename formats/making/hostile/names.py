"""Names of images that no file system has, or that lead elsewhere, or cost much."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from making import assemble
from making.hostile.kind import Kind, file_with, packed_section, zeros_file

LISTS: dict[str, list[str]] = {
    "dots": ["...", "....", ". .", ".. "],
    "a dot and two": [".", "..", "a", "b"],
    "out of the folder": ["../x", "a/../../x", "..\\x", "/../x"],
    "absolute": ["/tmp/x", "//host/x", "C:\\x", "\\\\host\\x"],
    "empty": ["", "/", "//", "a//b"],
    "ends in slashes": ["a/", "b//", "/c/", "d/."],
    "a file and a folder": ["a", "a/b", "a/b/c", "a.png/d"],
    "the table's": ["metadata.csv", "metadata.csv/x.png", "metadata.csv.png", "METADATA.CSV"],
    "the labels'": ["labels.csv", "labels.csv/x", "labels.txt", "labels"],
    "twice": ["a", "a", "a", "a"],
    "alike but for the ending": ["a", "a.png", "a.jpg", "a.PNG"],
    "alike but for case": ["a.png", "A.png", "a.PNG", "A.PNG"],
    "alike but for form": ["\u00e9.png", "e\u0301.png", "\ufb01.png", "fi.png"],
    "reserved": ["CON", "nul.png", "COM1.txt", "aux"],
    "reserved folders": ["con/a.png", "LPT9.x/b", "prn /c", "CONIN$/d"],
    "reserved, other digits": ["COM\u00b9", "lpt\u00b2.png", "CON .png", "nul...png"],
    "trailing dots": ["a.", "b. ", "c.png.", "d./e"],
    "characters of Windows": ["a:b", "a*b?", "<a>|b", 'a"b'],
    "streams of Windows": ["a.png:b", "a::$DATA", "C:", "C:a"],
    "controls": ["a\0b", "a\nb", "\x1b[31m", "\x7f"],
    "surrogates": ["\ud800", "a\udfffb", "\udc80.png", "\udcff/\udcff"],
    "turned": ["\u202egnp.a", "\u200b", "\ufeff", "\u2028"],
    "temporary": [".a.tmp", ".a.aecodec.tmp", ".", "~"],
    "leading": ["-rf", " a", "=1+1", "~/a"],
    "endings": ["a.npy", "b.aez", "c.svg", "d.html"],
    "markup": ["<img src=x onerror=alert(1)>", "</script>", "@DATA@", "'\"&"],
    "too few": ["a"],
    "too many": ["a", "b", "c", "d", "e"],
}


def _section(names: Sequence[object]) -> bytes:
    return packed_section("NAME", json.dumps(names).encode())


def _of(names: Sequence[object]) -> Callable[[int], bytes]:
    return lambda size: file_with([_section(names)])


def _cut(names: Sequence[object]) -> Callable[[int], bytes]:
    return lambda size: file_with([_section(names)], lost=1, chunk_images=2)


def deep(size: int) -> bytes:
    """One name of so many folders in one another."""
    return file_with([_section(["a/" * size + "a"])], 1)


def deep_four(size: int) -> bytes:
    """Four names of so many folders, none a folder of the others."""
    return file_with([_section([f"{k}/" * size + "a" for k in "bcde"])])


def long(size: int) -> bytes:
    """One name of so many letters."""
    return file_with([_section(["a" * size])], 1)


def slashes(size: int) -> bytes:
    """One name of nothing but slashes."""
    return file_with([_section(["/" * size])], 1)


def each_deeper(size: int) -> bytes:
    """So many names, each in a folder of the one before."""
    return zeros_file(size, 1, [_section(["a/" * i + "b" for i in range(size)])])


def twice_many(size: int) -> bytes:
    """So many images of one name, which must be told apart."""
    return zeros_file(size, 1, [_section(["a"] * size)])


def many(size: int) -> bytes:
    """So many images with sound names."""
    return zeros_file(size, 1, [_section([f"{i:06}.png" for i in range(size)])])


def unnamed(size: int) -> bytes:
    """So many images that came from a folder, without names."""
    return zeros_file(size, 1, [assemble.section("META", b'{"source":"folder"}')])


KINDS = [
    *(Kind(f"names: {name}", "such names", _of(each)) for name, each in LISTS.items()),
    *(
        Kind(f"names, a chunk lost: {name}", "the same, to be cut", _cut(LISTS[name]))
        for name in ("surrogates", "out of the folder", "twice", "too many", "too few")
    ),
    Kind("names: numbers among texts", "no texts", _of(["a", 1, None, []])),
    Kind("names: deep", "a name of so many folders", deep, 4_000_000, grows=True),
    Kind("names: four deep", "of so many folders each", deep_four, 400_000, grows=True),
    Kind("names: long", "a name of so many letters", long, 16_000_000, grows=True),
    Kind("names: slashes", "a name of so many slashes", slashes, 16_000_000, grows=True),
    Kind("names: each deeper", "so many, each deeper", each_deeper, 2000),
    Kind("names: one for all", "so many images of one name", twice_many, 4000, grows=True),
    Kind("names: many", "so many sound names", many, 4000, grows=True),
    Kind("names: none", "so many images without names", unnamed, 4000, grows=True),
]
