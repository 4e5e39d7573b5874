"""Tables of strangers: what they may cost."""

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import ImageSetError
from aecodec.images import open_images, plain, read_labels, read_rows, texts
from aecodec.images.texts import table_cells

MB = 1 << 20


@pytest.fixture
def low_limits(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plain, "UNZIPPED_MAX_NBYTES", 4 * MB)
    monkeypatch.setattr(texts, "PARSED_MAX_NBYTES", 4 * MB)


def save_folder(**tables):
    os.mkdir("in")
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(f"in/{name}")
    for name, text in tables.items():
        Path("in", f"metadata.{name}").write_text(text)


BOMBS = {
    "long": b"0" * 5 * MB,
    "lines": b"a\n" * (MB // 3),
    "returns": b"a\r" * (MB // 3),
    "rows": b"n,label\n" + b"a,b\n" * (MB // 2),
    "cells": b"n,label," + b"x," * 9 + b"y\n" + b",,,,,,,,,,,\n" * (MB // 8),
    "IDX": b"\0\0\x08\x01" + (5 * MB).to_bytes(4, "big") + bytes(5 * MB),
}


@pytest.mark.parametrize("name", BOMBS)
def test_little_gzip_does_not_become_much(low_limits, name):
    Path("x.gz").write_bytes(gzip.compress(BOMBS[name]))
    tracemalloc.start()
    for read in (read_labels, read_rows):
        with pytest.raises(ImageSetError):
            read("x.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * MB
    with pytest.raises(ImageSetError, match=r"the limit|no image set"):
        read_labels("x.gz")


def test_a_file_that_is_large_itself_may_take_more(low_limits):
    Path("x.csv").write_text("label\n" + "".join(f"{i}\n" for i in range(100_000)))
    assert len(read_labels("x.csv")) == 100_000
    Path("x.csv.gz").write_bytes(gzip.compress(b"label\n" + b"1\n" * 50_000))
    assert len(read_labels("x.csv.gz")) == 50_000


def test_cells_and_lines_are_those_of_the_file():
    text = 'sep=;\r\na;b\r\n"x\ny";2\n\n3;"4;"\r'
    assert table_cells(text, "t") == (
        ["a", "b"],
        2,
        [["x\ny", "3"], ["2", "4;"]],
        table_lines(4, 6),
    )
    assert table_cells("", "t").header == []
    assert table_cells("a\tb\n1\t2", "t").columns == [["1"], ["2"]]
    with pytest.raises(ImageSetError, match="t: line 3 has 1 cells, expected 2 as in the first"):
        table_cells("a,b\n1,2\n3\n", "t")


def table_lines(*lines):
    from array import array

    return array("Q", lines)


JSON_BOMBS = {
    "many keys": "\n".join(json.dumps({"file_name": "a.png", f"k{i}": 1}) for i in range(3000)),
    "nested": json.dumps({"file_name": "a.png", "x": [[]] * 300_000}),
    "deep": '{"a":' + "[" * 100_000,
    "values": '{"file_name": "a.png"}\n' * 200_000,
    "digits": '{"a": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("name", JSON_BOMBS)
def test_json_lines_do_not_become_much(low_limits, monkeypatch, name):
    monkeypatch.setattr(texts, "PARSED_TIMES", 1)
    save_folder(jsonl=JSON_BOMBS[name])
    with pytest.raises(ImageSetError, match=r"metadata\.jsonl: (line|the values)"):
        open_images("in")


def test_lists_in_json_lines_are_no_columns(low_limits):
    lines = [
        {"file_name": "a.png", "x": [[1]] * 9, "n": 1},
        {"file_name": "b.png", "x": {}, "n": 2},
    ]
    save_folder(jsonl="\n".join(map(json.dumps, lines)))
    with open_images("in") as opened:
        assert opened.annotations.column("n").values == (1, 2)
        assert opened.skipped == (("metadata.jsonl: x", "values are lists or objects"),)


@pytest.mark.parametrize(
    "about",
    [
        "[" * 100_000,
        '{"classes": [' + "[]," * 2_000_000 + "[]]}",
        '{"classes": [[1], {}], "label": "label"}',
        '{"title": "\\ud800"}',
        '{"classes": ["a", "a"], "label": "label"}',
        '{"label": "other"}',
        '{"dtypes": {"n": "uint8"}, "label": "label"}',
    ],
)
def test_wrong_facts_are_errors_of_the_set(low_limits, about):
    save_folder(json=about, csv="file_name,label,n\na.png,0,300\nb.png,1,2\n")
    with pytest.raises(ImageSetError, match=r"metadata\.(json|csv): "):
        open_images("in")


@pytest.mark.parametrize(
    "about",
    [
        '{"title": NaN, "dtypes": [], "classes": {}, "label": {}, "origin": 1e999}',
        '{"dtypes": {"n": ["int8"], "label": {}, "file_name": null}}',
        "[]",
        "NaN",
    ],
)
def test_facts_of_other_types_are_skipped(low_limits, about):
    save_folder(json=about, csv="file_name,label,n\na.png,0,300\nb.png,1,2\n")
    with open_images("in") as opened:
        assert opened.annotations.labels.values == (0, 1)
