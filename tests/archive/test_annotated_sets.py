"""A data set in one file: labels, columns, names, title, from and to every kind of set."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import GRAY, smooth_images
from PIL import Image

import aecodec
from aecodec.annotations.annotations import Annotations, annotate
from aecodec.annotations.column import Column
from aecodec.annotations.payload import pack_column
from aecodec.archive.array import Archive
from aecodec.cli import main
from aecodec.cli.exits import EXIT_LEFT_OUT
from aecodec.container import Header, Section, Writer
from aecodec.errors import AezCorruptError, AezLimitError, ImageSetError
from aecodec.images import idx_labels, labels_path, open_images, read_labels
from aecodec.limits import Limits

IMAGES = smooth_images(GRAY, 12)[..., 0]
LABELS = np.array([3, 1, 2, 1, 0, 9, 9, 4, 1, 0, 7, 3], np.uint8)
COLUMNS = {
    "age": np.array([0.1, 2, np.nan, -0.0, np.inf, 5, 6, 7, 8, 9, 10, 11], np.float32),
    "who": ["ann", "bo", "ann", "", "öl", "a,b", 'q"q', "x\ny", "007", "nan", "1", "ann"],
    "big": [2**40 + i for i in range(12)],
    "odd": [bool(i % 2) for i in range(12)],
}
ABOUT = {"title": "Twelve", "origin": "made here", "licence": "CC0", "classes": tuple("abcdefghij")}
NONE = {"model": "none"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def full() -> Iterator[Archive]:
    aecodec.compress(IMAGES, "full.aez", labels=LABELS, columns=COLUMNS, about=ABOUT, **NONE)
    with Archive("full.aez") as archive:
        yield archive


def save_tree(root, names, images=IMAGES):
    for name, image in zip(names, images, strict=False):
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def same_annotations(a: Annotations, b: Annotations) -> None:
    assert {c.name: c for c in a.columns} == {c.name: c for c in b.columns}
    for name in ("label", "classes", "title", "origin", "licence"):
        assert getattr(a, name) == getattr(b, name), name


def tree_of(root) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


# ---------------------------------------------------------------- the file


def test_all_that_is_said_comes_back(full):
    np.testing.assert_array_equal(full.labels, LABELS)
    assert full.labels.dtype == np.uint8
    assert full.classes == ABOUT["classes"]
    assert list(full.columns) == [*COLUMNS, "label"]
    assert list(full.columns["who"].values) == COLUMNS["who"]
    np.testing.assert_array_equal(full.columns["age"].array, COLUMNS["age"])
    info = full.info
    assert [info[k] for k in ("title", "origin", "licence")] == ["Twelve", "made here", "CC0"]
    assert info["label"] == "label"
    assert info["columns"]["big"] == "int64"
    assert json.loads(json.dumps(info)) == info


def test_a_file_that_says_nothing():
    with Archive(aecodec.encode(IMAGES, **NONE)) as archive:
        assert archive.labels is None
        assert archive.classes == ()
        assert archive.columns == {}
        assert archive.annotations == Annotations()
        assert archive.info["columns"] == {}


def test_readable_without_numpy(full):
    code = (
        "import sys; sys.modules['numpy'] = sys.modules['torch'] = None\n"
        "import aecodec\n"
        "a = aecodec.open('full.aez')\n"
        "print(a.columns['who'].values[:3], a.columns['label'][1], a.info['columns']['age'])"
    )
    root = Path(aecodec.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root), "PATH": ""},
    )
    assert run.stdout == "('ann', 'bo', 'ann') 1 float32\n", run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [1, 2]}, "column label: 2 values, expected 12, one for each image"),
        ({"columns": {"a": [1]}}, "column a: 1 values, expected 12"),
        ({"about": {"author": "x"}}, "about: author, expected classes, licence, origin, title"),
        ({"about": {"title": "a\x1b"}}, r"title 'a\\x1b' has control characters"),
        ({"about": {"classes": ["a"]}}, "classes are given, and no column of labels"),
        ({"labels": LABELS, "about": {"classes": ["a"]}}, r"column label: 9, expected 0\.\.0"),
        ({"labels": ["a"] * 12, "about": {"classes": ["a"]}}, "dtype is text, expected integers"),
        ({"labels": LABELS, "about": {"classes": ["a", "a"]}}, "a class occurs twice"),
    ],
)
def test_wrong_annotations(options, message):
    with pytest.raises(ValueError, match=message):
        aecodec.encode(IMAGES, **NONE, **options)


def test_given_ones_go_over_those_of_the_source():
    source = annotate([1, 2], {"a": [1, 2]}, {"title": "old", "origin": "o", "classes": "xyz"})
    given = annotate([0, 0], {"b": [3, 4]}, {"title": "new"})
    merged = given.over(source)
    assert [c.name for c in merged.columns] == ["a", "label", "b"]
    assert merged.column("label").values == (0, 0)
    assert (merged.title, merged.origin, merged.classes) == ("new", "o", ())
    assert annotate().over(source) == source


# ---------------------------------------------------------------- damage

EMPTY = Header(8, 8, 1, target_kind=0, target_value=0, chunk_images=4, required_flags=0)
NOTHING = pack_column(Column.of("a", np.zeros(0, np.uint8)))


def file_with(meta, *columns) -> bytes:
    out = io.BytesIO()
    sections = [Section("META", required=False, payload=json.dumps(meta).encode())]
    sections += [Section("COLM", required=False, payload=payload) for payload in columns]
    Writer(out, EMPTY, sections).close()
    return out.getvalue()


@pytest.mark.parametrize(
    ("meta", "columns", "message"),
    [
        ({"label": 3}, [], "META: label is 3, expected a text"),
        ({"label": "b"}, [NOTHING], "META: label is b, no column"),
        ({"classes": "abc"}, [], "META: classes is 'abc', expected a list"),
        ({"classes": ["a", 1]}, [], "META: class 1 is 1, expected a text"),
        ({"classes": ["a\n"]}, [], "has control characters"),
        ({"classes": ["a"]}, [], "classes are given, and no column of labels"),
        ({"classes": list(map(str, range(65537)))}, [], "65537 classes, expected at most 65536"),
        ({"title": []}, [], r"META: title is \[\], expected a text"),
        ({"title": ""}, [], "title '' is empty"),
        ({"licence": "\x9b"}, [], "has control characters"),
        ({}, [NOTHING, NOTHING], "section COLM: a name occurs twice"),
        ({}, [b"junk"], "section COLM: start needs 10 bytes, 4 are left"),
    ],
)
def test_hostile_sections(meta, columns, message):
    with Archive(file_with(meta, *columns)) as archive:
        with pytest.raises(AezCorruptError, match=message):
            _ = archive.annotations
        with pytest.raises(AezCorruptError, match=message):
            _ = archive.info


def test_all_columns_together_are_limited():
    two = {name: np.zeros(12, np.uint8) for name in "ab"}
    blob = aecodec.encode(IMAGES, columns=two, **NONE)
    with Archive(blob, limits=Limits(max_column_nbytes=24)) as archive:
        assert len(archive.columns) == 2
    with (
        Archive(blob, limits=Limits(max_column_nbytes=23)) as archive,
        pytest.raises(AezLimitError, match="COLM b: the columns take over 23 bytes"),
    ):
        _ = archive.columns


def test_every_flipped_bit_is_noticed_or_harmless():
    blob = aecodec.encode(IMAGES[:3], labels=[2, 0, 1], about={"title": "x"}, **NONE)
    with Archive(blob) as archive:
        good = archive.annotations
    refused = 0
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << at % 8
        try:
            with Archive(bytes(damaged)) as archive:
                assert archive.annotations == good, f"byte {at}"
        except aecodec.AezError:
            refused += 1
    assert refused > 300


def test_verify_looks_at_columns():
    Path("bad.aez").write_bytes(file_with({}, b"junk"))
    with pytest.raises(AezCorruptError, match="section COLM"):
        aecodec.verify("bad.aez")


# ---------------------------------------------------------------- npz


def test_npz_and_back_with_everything(full):
    assert aecodec.decompress("full.aez", "out.npz", kind="npz").images == 12
    with np.load("out.npz") as arrays:
        np.testing.assert_array_equal(arrays["label"], LABELS)
        np.testing.assert_array_equal(arrays["age"], COLUMNS["age"])
        assert arrays["who"].tolist() == COLUMNS["who"]
        assert arrays["title"].item() == "Twelve"
        assert arrays["classes"].tolist() == list(ABOUT["classes"])
    aecodec.compress("out.npz", "again.aez", **NONE)
    with Archive("again.aez") as again:
        same_annotations(again.annotations, full.annotations)
        np.testing.assert_array_equal(again[:], IMAGES)


def test_npz_of_anyone():
    np.savez("set.npz", images=IMAGES, y=LABELS, boxes=np.zeros((12, 4)), when=np.array(["x"] * 12))
    with open_images("set.npz") as opened:
        assert opened.annotations.label == "y"
        assert sorted(c.name for c in opened.annotations.columns) == ["when", "y"]
        assert opened.skipped == (
            ("boxes.npy", "shape (12, 4), expected (12,): one value for each image"),
        )
    summary = aecodec.compress("set.npz", "set.aez", **NONE)
    assert [s.name for s in summary.skipped] == ["boxes.npy"]
    aecodec.decompress("set.aez", "back.npz", kind="npz")
    with np.load("back.npz") as back:
        assert sorted(back.files) == ["images", "when", "y"]
        np.testing.assert_array_equal(back["y"], LABELS)


def test_npz_objects_are_never_unpickled():
    np.savez("set.npz", images=IMAGES, bad=np.array([{}] * 12, object))
    with open_images("set.npz") as opened:
        ((name, reason),) = opened.skipped
    assert name == "bad.npy"
    assert reason == "object(12,), not taken for a column"


def test_npz_with_wrong_classes():
    np.savez("set.npz", images=IMAGES, label=LABELS, classes=np.array(["a"]))
    with pytest.raises(ImageSetError, match=r"set\.npz: column label: 9, expected 0\.\.0"):
        open_images("set.npz")


# ---------------------------------------------------------------- IDX pairs


def write_idx_pair(labels=LABELS, code=8):
    Path("t-images-idx3-ubyte").write_bytes(
        struct.pack(">BBBB3I", 0, 0, 8, 3, *IMAGES.shape) + IMAGES.tobytes()
    )
    big = labels.astype(labels.dtype.newbyteorder(">"))
    Path("t-labels-idx1-ubyte").write_bytes(
        struct.pack(">BBBBI", 0, 0, code, 1, len(labels)) + big.tobytes()
    )


@pytest.mark.parametrize(
    ("dtype", "code"),
    [("uint8", 8), ("int8", 9), ("int16", 11), ("int32", 12), ("float32", 13), ("float64", 14)],
)
def test_idx_pairs_come_back_byte_for_byte(dtype, code):
    write_idx_pair(LABELS.astype(dtype), code)
    before = {p.name: p.read_bytes() for p in Path().iterdir()}
    argv = ["compress", "t-images-idx3-ubyte", "--labels", "t-labels-idx1-ubyte"]
    assert main([*argv, "--model", "none", "-q"]) == 0
    with Archive("t-images-idx3-ubyte.aez") as archive:
        assert archive.labels.dtype == dtype
    for name in before:
        Path(name).unlink()
    assert main(["decompress", "t-images-idx3-ubyte.aez", "-q"]) == 0
    assert {p.name: p.read_bytes() for p in Path().iterdir() if p.suffix != ".aez"} == before


def test_gzipped_labels():
    write_idx_pair()
    Path("l.gz").write_bytes(gzip.compress(Path("t-labels-idx1-ubyte").read_bytes()))
    assert read_labels("l.gz") == Column.of("label", LABELS)
    Path("l.gz").write_bytes(Path("l.gz").read_bytes()[:-9])
    with pytest.raises(ImageSetError, match=r"l\.gz: damaged"):
        read_labels("l.gz")


def test_labels_of_other_files():
    np.save("l.npy", LABELS.astype(np.int64))
    assert read_labels("l.npy").dtype == "int64"
    np.save("l.npy", np.array(["a", "b"]))
    assert read_labels("l.npy").values == ("a", "b")
    Path("l.txt").write_text("5\n6\n-7\n")
    assert read_labels("l.txt") == Column.of("label", [5, 6, -7])
    Path("l.txt").write_text("5\n06\n", encoding="utf-8")
    assert read_labels("l.txt").values == ("5", "06")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\x08\x01\0\0\0\x05abc", "expected 5 bytes of labels, found 3"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "expected 2 bytes of labels, found more than 2"),
        (b"\0\0\x08\x01\xff\xff\xff\xffabc", "4294967295 bytes of labels, the limit is"),
        (b"\0\0\x08\x03" + bytes(12), "IDX of 3 dimensions, expected 1: labels"),
        (b"\xff\xfe\xfd", "expected labels in an IDX file"),
    ],
)
def test_wrong_labels(data, message):
    Path("l").write_bytes(data)
    with pytest.raises(ImageSetError, match=message):
        read_labels("l")
    Path("o.npy").write_bytes(b"")
    np.save("o.npy", np.zeros((2, 2)))
    with pytest.raises(ImageSetError, match="expected one value for each image"):
        read_labels("o.npy")


def test_idx_holds_what_it_has_a_type_for():
    for values, code in (([0, 255], 8), ([-1, 9], 9), ([-300], 11), ([70000], 12)):
        assert idx_labels(Column.of("l", values))[2] == code
    assert idx_labels(Column.of("l", [True, False]))[8:] == b"\1\0"
    for values in (["a"], [2**40]):
        with pytest.raises(ImageSetError, match="IDX cannot hold"):
            idx_labels(Column.of("l", values))


def test_where_labels_go():
    assert labels_path("a/t10k-images-idx3-ubyte.gz") == Path("a/t10k-labels-idx1-ubyte.gz")
    assert labels_path("out.idx.gz") == Path("out-labels.idx.gz")
    assert labels_path("a.b/out") == Path("a.b/out-labels")


def test_labels_never_replace_a_file(capsys):
    write_idx_pair()
    argv = ["compress", "t-images-idx3-ubyte", "--labels", "t-labels-idx1-ubyte"]
    assert main([*argv, "--model", "none", "-q"]) == 0
    Path("t-images-idx3-ubyte").unlink()
    assert main(["decompress", "t-images-idx3-ubyte.aez"]) == 1
    assert "t-labels-idx1-ubyte: exists" in capsys.readouterr().err
    assert not Path("t-images-idx3-ubyte").exists()
    argv = ["decompress", "t-images-idx3-ubyte.aez", "--labels", "other", "-q"]
    assert main(argv) == 0
    assert Path("other").read_bytes() == Path("t-labels-idx1-ubyte").read_bytes()


def test_what_is_left_out_is_told(full, capsys):
    argv = ["decompress", "full.aez", "-o", "x.npy"]
    assert main([*argv, "--json"]) == EXIT_LEFT_OUT
    told = json.loads(capsys.readouterr().out)["left_out"]
    assert told == [
        *(f"column {n}" for n in COLUMNS),
        "column label",
        "title",
        "origin",
        "licence",
        "classes",
    ]
    assert main([*argv, "-q", "-f"]) == EXIT_LEFT_OUT
    assert capsys.readouterr().err.startswith("x.npy: left out, which npy cannot hold: column age,")
    with open("piped.npy", "wb") as file:
        piped = ["decompress", "full.aez", "-o", f"/dev/fd/{file.fileno()}", "-q"]
        assert main(piped) == EXIT_LEFT_OUT
    assert "left out, which npy cannot hold: column age, " in capsys.readouterr().err
    assert main(["decompress", "full.aez", "-o", "x.idx"]) == EXIT_LEFT_OUT
    assert "left out, which idx cannot hold: column age, " in capsys.readouterr().err
    assert read_labels("x-labels.idx").values == tuple(LABELS)
    assert main(["decompress", "full.aez", "-o", "x.npz"]) == 0
    assert "left out" not in capsys.readouterr().err


# ---------------------------------------------------------------- trees

TREE = [f"{kind}/{i}.png" for kind in ("cat", "dog", "emu10", "emu9") for i in range(3)]


def test_a_tree_of_classes_comes_back(capsys):
    save_tree("in", TREE)
    Path("in/cat/notes.txt").write_text("hello")
    Path("in/.git").mkdir()
    assert main(["compress", "in", "--model", "none", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sorted((s["name"], s["reason"]) for s in facts["skipped"]) == [
        (".git", "hidden"),
        ("cat/notes.txt", "not the name of a picture"),
    ]
    with Archive("in.aez") as archive:
        assert archive.classes == ("cat", "dog", "emu9", "emu10")
        assert archive.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert archive.names[-1] == "emu10/2.png"
        np.testing.assert_array_equal(archive[6:9], IMAGES[9:])  # emu9 comes before emu10
    assert main(["decompress", "in.aez", "-o", "out", "-q"]) == 0
    Path("in/cat/notes.txt").unlink()
    assert tree_of("out") == tree_of("in")


def test_skipped_pictures_take_their_labels_with_them(capsys):
    save_tree("in", TREE)
    Path("in/cat/1.png").write_bytes(b"\x89PNG damaged")
    Image.new("RGB", (8, 8), "red").save("in/dog/0.png")
    assert main(["compress", "in", "--model", "none", "--chunk", "4"]) == EXIT_LEFT_OUT
    err = capsys.readouterr().err
    assert "skipped 2:" in err
    assert "1 cannot be decoded as a picture" in err
    assert ": cat/1.png" in err
    assert "1 shape (H, W, C) is (8, 8, 3), that of most is (8, 8, 1): dog/0.png" in err
    with Archive("in.aez") as archive:
        assert len(archive) == 10
        assert archive.labels.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3]
        assert [n.split("/")[0] for n in archive.names] == [
            archive.classes[i] for i in archive.labels
        ]
    assert main(["verify", "in.aez", "--against", "in", "-q"]) == EXIT_LEFT_OUT


def test_trees_of_other_depths_have_no_labels():
    save_tree("in", ["a.png", "b/c.png", "b/d/e.png", "b/d/10.png", "b/d/9.png"])
    aecodec.compress("in", "x.aez", **NONE)
    with Archive("x.aez") as archive:
        assert archive.labels is None
        assert archive.names == ("a.png", "b/c.png", "b/d/9.png", "b/d/10.png", "b/d/e.png")
    aecodec.decompress("x.aez", "out")
    assert tree_of("out") == tree_of("in")


def test_links_to_folders_are_not_followed():
    save_tree("in", TREE)
    Path("in/loop").symlink_to("..", target_is_directory=True)
    with open_images("in") as opened:
        assert opened.skipped == (("loop", "a symbolic link to a folder"),)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "webp", "pgm", "jpg"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_formats_come_back_without_loss(suffix, channels):
    shape = (4, 8, 8, channels) if channels > 1 else (4, 8, 8)
    pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    if (suffix, channels) in (("pgm", 3), ("pgm", 4), ("jpg", 4)):
        pytest.skip(f"{suffix} has no {channels} channels")
    save_tree("in", [f"{i}.{suffix}" for i in range(4)], pixels)
    aecodec.compress("in", "x.aez", **NONE)
    aecodec.decompress("x.aez", "out")
    with open_images("in") as before, open_images("out") as after:
        np.testing.assert_array_equal(next(before.batches(9)), next(after.batches(9)))
        written = "png" if suffix == "jpg" else suffix
        assert after.names == tuple(f"{i}.{written}" for i in range(4))


def test_everything_through_a_tree(full):
    aecodec.decompress("full.aez", "tree", kind="folder")
    assert sorted(p.name for p in Path("tree").iterdir() if p.is_dir()) == list("abcdehj")
    first = Path("tree/metadata.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert first == [
        "file_name,age,who,big,odd,label",
        "d/000000.png,0.10000000149011612,ann,1099511627776,False,3",
    ]
    aecodec.compress("tree", "again.aez", **NONE)
    with Archive("again.aez") as again:
        same_annotations(again.annotations, full.annotations)
        np.testing.assert_array_equal(again[:], IMAGES)  # in the order of the table
    aecodec.decompress("again.aez", "tree2")
    assert tree_of("tree2") == tree_of("tree")


def test_a_range_of_a_tree():
    save_tree("in", TREE)
    aecodec.compress("in", "x.aez", **NONE)
    aecodec.decompress("x.aez", "out", images=slice(2, 5))
    with open_images("out") as opened:
        assert opened.names == ("cat/2.png", "dog/0.png", "dog/1.png")
        assert opened.annotations.classes == ("cat", "dog", "emu9", "emu10")


def test_a_table_of_another_make():
    save_tree("in", ["a.png", "b.png", "c.png"])
    Path("in/metadata.csv").write_text("file_name,label,n\nc.png,x,1\na.png,y,2\nz.png,y,3\n")
    with open_images("in") as opened:
        assert opened.names == ("c.png", "a.png")
        assert opened.annotations.labels == Column.of("label", ["x", "y"])
        assert opened.annotations.column("n") == Column.of("n", [1, 2])
        assert sorted(opened.skipped) == [
            ("b.png", "not named in metadata.csv"),
            ("z.png", "named in metadata.csv, not there"),
        ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file_name,a\nx.png,1,2\n", "line 2 has 3 cells, expected 2"),
        ("file_name,a,a\n", "two columns are called 'a'"),
        ("file_name\nx.png\nx.png\n", "a file_name occurs twice"),
        ('file_name\n"x', "not a table in CSV"),
        ("file_name,\nx.png,1\n", "column 2 of 2 has no name, its first value is '1'"),
    ],
)
def test_wrong_tables(table, message):
    save_tree("in", ["x.png"])
    Path("in/metadata.csv").write_text(table)
    with pytest.raises(ImageSetError, match=message):
        open_images("in")


def test_columns_from_a_table():
    Path("c.csv").write_text(
        "weight,name,file_name\n" + "".join(f"{i}.5,n{i},f\n" for i in range(12))
    )
    np.save("x.npy", IMAGES)
    argv = ["compress", "x.npy", "--columns", "c.csv", "--title", "T", "--model", "none", "-q"]
    assert main(argv) == 0
    with Archive("x.npy.aez") as archive:
        held = {"weight": "float64", "name": "text", "file_name": "text"}
        assert archive.info["columns"] == held
        assert archive.info["title"] == "T"
        assert archive.labels is None


def named(*names) -> bytes:
    """A file whose images have these names."""
    section = Section("NAME", required=False, payload=zlib.compress(json.dumps(names).encode()))
    out = io.BytesIO()
    with Archive(aecodec.encode(IMAGES[: len(names)], **NONE)) as archive:
        writer = Writer(out, archive.reader.header, [section])
        writer.write_chunk(archive.reader.read_chunk(0))
        writer.close()
    return out.getvalue()


def test_names_as_deep_as_a_system_allows():
    aecodec.decompress(named("d/" * 255 + "b.png"), "out", kind="folder")
    with open_images("out") as opened:
        assert opened.names == ("d/" * 255 + "b.png",)


def test_info_for_people(full, capsys):
    assert main(["info", "full.aez"]) == 0
    out = capsys.readouterr().out
    assert "title       Twelve\n" in out
    assert "columns     age (float32), who (text), big (int64), odd (bool), label (uint8)\n" in out
    assert "labels      label, 10 classes: a, b, c, d, e, f, g, h, i, j\n" in out


@pytest.mark.parametrize("damage", [False, True])
def test_a_size_asked_for_counts_names_and_columns(codec, damage):
    images = smooth_images(GRAY, 200)[..., 0]
    save_tree("in", [f"class{i % 4}/picture {i:04}.png" for i in range(200)], images)
    if damage:
        Path("in/class0/picture 0000.png").write_bytes(b"\x89PNG")
    summary = aecodec.compress("in", "x.aez", codec=codec, target_bytes_per_image=40)
    assert summary.images == 200 - damage
    assert Path("x.aez").stat().st_size <= 40 * summary.images
    with Archive("x.aez") as archive:
        assert len(archive.labels) == summary.images


def test_a_tree_comes_back_with_tables_written_anew(capsys):
    """As the README tells where such a tree differs."""
    save_tree("in", ["b.png", "sub/a.png", "c.png"])
    Path("in/empty").mkdir()
    Path("in/notes.txt").write_text("n")
    table = "\ufeffn;path;x\n1;c.png;0,5\n2;./sub/a.png;y\n3;b.png;\n4;gone.png;z\n"
    Path("in/metadata.csv").write_text(table, encoding="utf-8")
    Path("in/metadata.json").write_text('{"title": "T", "author": "me"}')
    assert main(["compress", "in", "--model", "none"]) == EXIT_LEFT_OUT
    err = capsys.readouterr().err
    assert "metadata.json: author" in err
    assert "gone.png" in err
    assert main(["decompress", "in.aez", "-o", "out"]) == 0
    assert sorted(tree_of("out")) == [
        "b.png", "c.png", "metadata.csv", "metadata.json", "sub/a.png",
    ]  # fmt: skip
    assert not Path("out/empty").exists()
    written = Path("out/metadata.csv").read_bytes()
    assert written == b'file_name,n,x\r\nc.png,1,"0,5"\r\nsub/a.png,2,y\r\nb.png,3,\r\n'
    assert json.loads(Path("out/metadata.json").read_text()) == {
        "title": "T",
        "dtypes": {"n": "int64", "x": "text"},
    }
    assert main(["compress", "out", "--model", "none", "-q"]) == 0
    assert main(["decompress", "out.aez", "-o", "again", "-q"]) == 0
    assert tree_of("again") == tree_of("out")
