"""Labels and tables in files: encodings, ends of lines, delimiters, and columns without names."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.annotations.column import Column
from aecodec.cli import main
from aecodec.images import ImageSetError, open_images, read_rows
from aecodec.images.tables import read_labels, read_table
from aecodec.images.texts import split_lines

NONE = {"model": "none"}
MARKED = ("utf-8-sig", "utf-16", "utf-32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(path, value=0):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


def marked(text, encoding):
    """The bytes of a text, with a byte order mark of either order."""
    if encoding.endswith("-be"):
        return "\ufeff".encode(encoding) + text.encode(encoding)
    return text.encode(encoding)


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize("encoding", [*MARKED, "utf-16-be", "utf-32-be"])
def test_a_byte_order_mark_is_no_label(encoding):
    Path("l.txt").write_bytes(marked("0\n1\n2\n", encoding))
    assert read_labels("l.txt") == Column.of("label", [0, 1, 2])
    Path("l.csv").write_bytes(marked("file_name;label\na.png;ö\n", encoding))
    assert read_labels("l.csv").values == ("ö",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_as_in_python(end, last):
    Path("l.txt").write_bytes(end.join(["a", "", "c"]).encode() + end.encode() * last)
    assert read_labels("l.txt").values == ("a", "", "c")


@pytest.mark.parametrize("char", list("\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x85"))
def test_no_other_character_ends_a_line(char):
    Path("l.txt").write_text(f"a{char}b\nc\n", encoding="utf-8", newline="")
    assert read_labels("l.txt").values == (f"a{char}b", "c")
    Path("l.csv").write_text(f"file_name,label\na{char}b,x{char}y\nc,d\n", encoding="utf-8")
    assert read_labels("l.csv").values == (f"x{char}y", "d")


def test_an_empty_text_has_no_lines():
    assert split_lines("") == []


def test_text_of_another_encoding_is_refused():
    for data in (b"M\xf6we\n", "a\nb\n".encode("utf-16-le")):
        Path("l.txt").write_bytes(data)
        with pytest.raises(ImageSetError, match=r"l\.txt: .*expected labels in"):
            read_labels("l.txt")


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_every_kind_of_file_holds_labels_gzipped_or_not(pack):
    labels = np.array([[3], [1], [2]], np.int16)
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, labels)
    np.savez(npz, label=labels, other=labels)
    idx = b"\0\0\x0b\x01\0\0\0\x03\0\3\0\1\0\2"
    for data in (npy.getvalue(), npz.getvalue(), idx):
        Path("l").write_bytes(pack(data) if data != npz.getvalue() else data)
        assert read_labels("l") == Column.of("label", labels[:, 0])
    Path("l.csv").write_bytes(pack(b"label\n3\n1\n2\n"))
    assert read_labels("l.csv").values == (3, 1, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label\n7\n8\n", (7, 8)),
        ("file_name,kind\na,x\nb,y\n", ("x", "y")),
        (",target\n0,x\n1,y\n", ("x", "y")),
        ("age,y,size\n1,5,2\n2,6,3\n", (5, 6)),
        ("x\ny\n", ("x", "y")),  # lines
    ],
)
def test_labels_in_a_table(text, expected):
    Path("l.csv").write_text(text)
    assert read_labels("l.csv").values == expected


def test_a_table_without_a_column_of_labels():
    Path("l.csv").write_text("age,size\n1,2\n")
    with pytest.raises(ImageSetError, match=r"l\.csv: expected a column of labels, called label, "):
        read_labels("l.csv")


def test_columns_beside_labels_are_told(capsys):
    np.save("x.npy", np.zeros((2, 8, 8), np.uint8))
    Path("l.csv").write_text("label,age\n1,2\n3,4\n")
    argv = ["compress", "x.npy", "--labels", "l.csv", "--model", "none"]
    assert main(argv) == 0
    assert "l.csv: passed over column age: it holds no labels" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no named pipes")
def test_labels_from_a_pipe():
    for data in (b"3\n1\n", b"PK"):
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        found = read_labels(f"/dev/fd/{read}").values
        os.close(read)
        assert found == ((3, 1) if data != b"PK" else ("PK",))


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("encoding", ["utf-8", *MARKED])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_any_make(encoding, delimiter, end):
    lines = ["file_name,größe,note", '1.png,5,"a;b,c\td"', "", '2.png,6,"x\ny"']
    text = end.join(lines).replace(",", delimiter).replace(f"b{delimiter}c", "b,c")
    Path("c.csv").write_bytes(marked(text + end, encoding))
    table = read_table("c.csv")
    assert table.cells == {
        "file_name": ["1.png", "2.png"],
        "größe": ["5", "6"],
        "note": ["a;b,c\td", "x\ny"],
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("file_name;size, cm\na.png;1,5\n", ["file_name", "size, cm"]),
        ("file_name,a;b\na.png,1;2\n", ["file_name", "a;b"]),
        ("a;b\n1,5;2,5\n", ["a", "b"]),
        ("a;b\nc\n", ["a;b"]),
        ("sep=;\na;b\n1;2\n", ["a", "b"]),
        ("a\n1\n", ["a"]),
    ],
)
def test_the_first_row_tells_the_delimiter(text, names):
    Path("c.csv").write_text(text)
    assert list(read_table("c.csv").cells) == names


@pytest.mark.parametrize("start", [0, 1])
def test_an_index_of_pandas_is_passed_over_and_told(start, capsys):
    np.save("x.npy", np.zeros((3, 8, 8), np.uint8))
    Path("t.csv").write_text(",price\n" + "".join(f"{start + i},{i}.5\n" for i in range(3)))
    argv = ["compress", "x.npy", "--columns", "t.csv", "--model", "none", "--json"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 3
    assert "t.csv: passed over column 1: it has no name and counts the rows" in err
    with aecodec.open("x.npy.aez") as a:
        assert {n: c.values for n, c in a.columns.items()} == {"price": (0.5, 1.5, 2.5)}


def test_an_empty_column_without_a_name_is_passed_over():
    Path("t.csv").write_text("a,b,\n1,2,\n3,4,\n")
    assert list(read_table("t.csv").cells) == ["a", "b"]


@pytest.mark.parametrize("text", [",a\n1,5\n0,6\n", ",a\nx,5\ny,6\n", "a,,b\n5,0,6\n7,1,8\n"])
def test_another_column_without_a_name_is_refused(text):
    Path("t.csv").write_text(text)
    with pytest.raises(ImageSetError, match=r"column \d of \d has no name, its first value is "):
        read_rows("t.csv")


def test_bytes_that_are_no_text_are_refused_by_line():
    Path("t.csv").write_bytes(b"a,b\nx,1\nM\xf6we,2\n")
    with pytest.raises(ImageSetError, match=r"t\.csv: line 3, column 'a': .* byte 0xf6"):
        read_rows("t.csv")


# ---------------------------------------------------------------- metadata.csv


@pytest.mark.parametrize(
    ("on_disk", "in_table"),
    [
        ("a/%d.png", "a\\%d.png"),
        ("a/%d.png", "./a/%d.png"),
        ("e\u0301%d.png", "\xe9%d.png"),
        ("\xe9%d.png", "e\u0301%d.png"),
        ("%d.png", "%d"),
    ],
)
@pytest.mark.parametrize("header", ["file_name", "FileName", "path", "image"])
def test_names_are_found_however_they_are_spelt(on_disk, in_table, header):
    for i in range(3):
        save("p/" + on_disk % i, i)
    rows = "".join(f"{in_table % i};{10 * i}\n" for i in (2, 0, 1))
    Path("p/metadata.csv").write_text(f"{header};label\n{rows}", encoding="utf-8")
    with open_images("p") as source:
        assert source.names == tuple(on_disk % i for i in (2, 0, 1))
        assert source.annotations.labels.values == (20, 0, 10)
        assert source.skipped == ()
        assert next(source.batches(3))[:, 0, 0, 0].tolist() == [2, 0, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_names_that_are_not_utf8():
    for i in range(2):
        save("p/picture.png", i)
        os.rename(b"p/picture.png", os.fsencode(f"p/\udcff{i}.png"))
    Path("p/metadata.csv").write_bytes(b"file_name,label\n\xff1.png,b\n\xff0.png,a\n")
    aecodec.compress("p", "p.aez", **NONE)
    with aecodec.open("p.aez") as a:
        assert a.names == ("\udcff1.png", "\udcff0.png")
        assert a.labels.tolist() == ["b", "a"]
    aecodec.decompress("p.aez", "out")
    assert sorted(os.listdir(b"out"))[-2:] == [b"\xff0.png", b"\xff1.png"]
    table = b"file_name,label\r\n\xff1.png,b\r\n\xff0.png,a\r\n"
    assert Path("out/metadata.csv").read_bytes() == table


@pytest.mark.parametrize("name", ["a\0.png", "z.png", "../p/a.png"])
def test_a_table_that_names_no_picture_is_named(name):
    save("p/a.png")
    Path("p/metadata.csv").write_text(f"file_name,label\n{name},1\n")
    with pytest.raises(ImageSetError, match=r"metadata\.csv: (column file_name names no|.*NUL)"):
        open_images("p")


def test_two_rows_for_one_picture():
    save("p/a.png")
    Path("p/metadata.csv").write_text("file_name,v\na.png,1\n./a.png,2\n")
    message = r"a file_name occurs twice: 'a\.png', on the lines 2 and 3"
    with pytest.raises(ImageSetError, match=message):
        open_images("p")


def test_what_is_left_of_the_metadata_is_told():
    save("p/a.png")
    Path("p/metadata.csv").write_text("id,age\n1,2\n")
    about = {"title": "T", "author": "me", "licence": 3, "label": "age", "classes": []}
    Path("p/metadata.json").write_text(json.dumps(about), encoding="utf-8-sig")
    with open_images("p") as source:
        assert source.annotations.title == "T"
        assert [s.name for s in source.skipped] == [
            "metadata.json: author",
            "metadata.json: licence",
            "metadata.csv",
            "metadata.json: label",
        ]
    Path("p/metadata.json").write_text("[1]")
    with open_images("p") as source:
        assert source.skipped[0] == ("metadata.json", "holds a list, expected a JSON object")
    Path("p/metadata.csv").unlink()
    Path("p/metadata.json").write_text('{"label": "x"}')
    with open_images("p") as source:
        assert source.skipped == (("metadata.json: label", "no table has it"),)


def test_a_label_that_is_no_column():
    save("p/a.png")
    Path("p/metadata.csv").write_text("file_name,age\na.png,2\n")
    Path("p/metadata.json").write_text('{"label": "kind"}')
    with pytest.raises(ImageSetError, match=r"metadata\.json calls the labels 'kind', no column"):
        open_images("p")


def test_an_unfit_title_names_the_file():
    save("p/a.png")
    Path("p/metadata.json").write_text('{"title": "a\\u001b"}')
    with pytest.raises(ImageSetError, match=r"metadata\.json: title .* has control characters"):
        open_images("p")


def test_a_table_of_json_lines():
    for i in range(3):
        save(f"p/{i}.png", i)
    entries = [
        {"file_name": "2.png", "text": "zwei", "n": 2, "x": 1.5, "ok": True, "box": [1]},
        {"file_name": "0.png", "text": "null", "n": 0, "x": 2, "ok": False, "box": [3]},
        {"file_name": "1.png", "text": "eins", "n": 1, "x": 3, "ok": True, "box": [], "more": 1},
    ]
    lines = [json.dumps(entry) for entry in entries]
    Path("p/metadata.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8-sig")
    with open_images("p") as source:
        assert source.names == ("2.png", "0.png", "1.png")
        assert {c.name: (c.dtype, c.values) for c in source.annotations.columns} == {
            "text": ("text", ("zwei", "null", "eins")),
            "n": ("int64", (2, 0, 1)),
            "x": ("float64", (1.5, 2, 3)),
            "ok": ("bool", (True, False, True)),
        }
        assert [name for name, _ in source.skipped] == [
            "metadata.jsonl: box",
            "metadata.jsonl: more",
        ]
    Path("p/metadata.csv").write_text("file_name,n\n1.png,7\n0.png,8\n2.png,9\n")
    with open_images("p") as source:
        assert source.annotations.column("n").values == (7, 8, 9)
        assert source.skipped == (("metadata.jsonl", "metadata.csv is there, and read"),)


@pytest.mark.parametrize("line", ["{", "[1]", "x"])
def test_wrong_json_lines(line):
    save("p/a.png")
    Path("p/metadata.jsonl").write_text(f'{{"file_name": "a.png"}}\n{line}\n')
    with pytest.raises(ImageSetError, match=r"metadata\.jsonl: line 2: (not JSON|expected a JSON)"):
        open_images("p")
