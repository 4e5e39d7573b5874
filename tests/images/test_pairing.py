"""Labels and columns go to the images that their rows name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.cli import main
from aecodec.images import ImageSetError, open_images
from aecodec.images.pairing import NamesOfImages

NAMES = [f"{i}.png" for i in range(6)]
ROWS = (3, 1, 5, 0, 2, 4)
NONE = {"model": "none"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(NAMES):
        save(f"p/{name}", i)


def save(path, value):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


def table(header, rows, delimiter=","):
    lines = [delimiter.join(header), *(delimiter.join(map(str, row)) for row in rows)]
    Path("c.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def compress(*options, source="p"):
    return main(["compress", source, "-o", "a.aez", "-f", "--model", "none", "-q", *options])


def opened():
    return aecodec.open("a.aez")


@pytest.mark.parametrize(
    "header", ["file_name", "File_Name", "filename", "path", "file", "image", "Image Path", "name"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_paired_by_name(header, delimiter):
    table([header, "stem"], [(f"{i}.png", f"s{i}") for i in ROWS], delimiter)
    assert compress("--columns", "c.csv") == 0
    with opened() as a:
        assert a.names == tuple(NAMES)
        assert list(a.columns) == ["stem"]
        assert a.columns["stem"].values == tuple(f"s{i}" for i in range(6))


def test_labels_are_paired_by_name():
    table(["file_name", "label"], [(f"{i}.png", 10 * i) for i in ROWS])
    assert compress("--labels", "c.csv") == 0
    with opened() as a:
        assert a.labels.tolist() == [0, 10, 20, 30, 40, 50]


def test_names_without_a_suffix_name_pictures():
    table(["image", "stem"], [(i, f"s{i}") for i in ROWS])
    assert compress("--columns", "c.csv") == 0
    with opened() as a:
        assert a.columns["stem"].values == tuple(f"s{i}" for i in range(6))


def test_a_column_of_other_names_is_a_column(capsys):
    table(["name", "n"], [(f"person {i}", i) for i in ROWS])
    assert compress("--columns", "c.csv") == 0
    with opened() as a:
        assert a.columns["name"].values[0] == "person 3"
        assert a.columns["n"].values == ROWS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(f"{i}.png", i) for i in (3, 1, 5, 0, 2)], "1 image has no row: '4.png'"),
        ([(f"{i}.png", i) for i in (3, 1)], "4 images have no row: '0.png', '2.png', '4.png', ..."),
        ([(f"{i}.png", i) for i in (*ROWS, 9)], "1 row names no image: line 8 '9.png'"),
        ([(f"x{i}.png", i) for i in ROWS],
         "6 rows name no image: line 2 'x3.png', line 3 'x1.png', line 4 'x5.png', ..."),
        ([(f"{i}.png", i) for i in (*ROWS[:-1], 0)], "1 row names an image again: line 5 '0.png'"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_refused(rows, message, capsys):
    table(["file_name", "v"], rows)
    for option in ("--columns", "--labels"):
        assert compress(option, "c.csv") == 2
        err = capsys.readouterr().err
        assert "c.csv: column file_name pairs rows with images; " in err
        assert message in err
    assert not Path("a.aez").exists()


def test_lines_are_counted_past_quoted_ends():
    Path("c.csv").write_text('file_name,note\n1.png,"two\nlines"\nzz.png,x\n', encoding="utf-8")
    with pytest.raises(ImageSetError, match=r"line 4 'zz\.png'"):
        compress_python({"tables": "c.csv"})


def compress_python(options):
    from aecodec.archive.compress import compress_with
    from aecodec.archive.options import Options
    from aecodec.images import read_rows

    made = Options("none", tables=(read_rows(options["tables"]),))
    return compress_with(made, "p", "a.aez")


def test_columns_in_python_are_paired_by_name():
    columns = {"file_name": [f"{i}.png" for i in ROWS], "v": np.array(ROWS, np.uint8)}
    aecodec.compress("p", "a.aez", columns=columns, labels=range(6), **NONE)
    with opened() as a:
        assert a.columns["v"].array.tolist() == list(range(6))
        assert a.columns["v"].array.dtype == np.uint8
        assert a.labels.tolist() == list(range(6))
        assert "file_name" not in a.columns
    columns["file_name"][0] = "z.png"
    message = re.escape("1 row names no image: row 0 'z.png'; 1 image has no row: '3.png'")
    with pytest.raises(ImageSetError, match=f"^columns: column file_name .*{message}"):
        aecodec.compress("p", "b.aez", columns=columns, **NONE)


def test_rows_of_skipped_pictures_go_with_them():
    Path("p/1.png").write_bytes(b"\x89PNG damaged")
    Path("p/notes.txt").write_text("n")
    rows = [(f"{i}.png", i) for i in ROWS]
    table(["file_name", "v"], [*rows, ("notes.txt", 9)])
    compress("--columns", "c.csv")
    with opened() as a:
        assert a.names == ("0.png", "2.png", "3.png", "4.png", "5.png")
        assert a.columns["v"].values == (0, 2, 3, 4, 5)


def test_names_of_an_npz_pair_rows_too():
    np.savez("s.npz", images=np.zeros((6, 8, 8), np.uint8), names=np.array(NAMES))
    table(["file_name", "v"], [(f"{i}.png", i) for i in ROWS])
    assert compress("--columns", "c.csv", source="s.npz") == 0
    with opened() as a:
        assert a.columns["v"].values == tuple(range(6))


def test_images_without_names_keep_the_names_of_the_rows():
    np.save("x.npy", np.zeros((6, 8, 8), np.uint8))
    table(["file_name", "v"], [(f"{i}.png", i) for i in ROWS])
    assert compress("--columns", "c.csv", source="x.npy") == 0
    with opened() as a:
        assert a.columns["file_name"].values == tuple(f"{i}.png" for i in ROWS)
        assert a.columns["v"].values == ROWS


def test_two_tables_for_images_without_names_must_agree(capsys):
    np.save("x.npy", np.zeros((6, 8, 8), np.uint8))
    table(["file_name", "v"], [(f"{i}.png", i) for i in ROWS])
    Path("l.csv").write_text("file_name,label\n" + "".join(f"{n},1\n" for n in NAMES))
    assert compress("--columns", "c.csv", "--labels", "l.csv", source="x.npy") == 2
    assert "l.csv: column file_name names other images" in capsys.readouterr().err


def test_without_names_the_number_must_match(capsys):
    table(["v"], [(i,) for i in range(5)])
    assert compress("--columns", "c.csv") == 2
    assert "column v: 5 values, expected 6" in capsys.readouterr().err


def test_spellings_of_names():
    images = NamesOfImages(["a/e\u0301.png", "a/b.png", "c.png", "c.jpg"])
    assert [images.find(n) for n in ("a/\xe9.png", "./a/b.png", "a\\b.png", "a//b.png")] == [
        0, 1, 1, 1,
    ]  # fmt: skip
    assert images.find("a/b") == 1
    assert images.find("c") is None  # two images
    assert images.find("A/b.png") is None
    assert images.find("b.png") is None
    assert images.find("a/b.png\0") is None


def test_map_and_bench_pair_labels_by_name():
    from aecodec.benchmark.classifier import read_labels
    from aecodec.uses.inputs import load_image_set
    from aecodec.uses.inputs import read_labels as labels_for_map

    table(["file_name", "label"], [(f"{i}.png", i) for i in ROWS])
    found = load_image_set("p")
    assert labels_for_map("c.csv", 6, found.names).tolist() == list(range(6))
    assert read_labels("c.csv", found.names).tolist() == list(range(6))
    assert read_labels("c.csv").tolist() == list(ROWS)
    with open_images("p") as source:
        assert source.names == tuple(NAMES)
