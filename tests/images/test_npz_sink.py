"""What an .npz takes beside its images, whatever it is called."""

import io
import sys

import numpy as np
import pytest

import aecodec
from aecodec.annotations.annotations import Annotations, annotate
from aecodec.annotations.column import Column
from aecodec.cli import main
from aecodec.images import npz_sink, open_images, open_sink

NONE = {"model": "none"}
IMAGES = np.arange(36, dtype=np.uint8).reshape(3, 3, 4)


def sink_of(annotations, names=None, count=3):
    out = io.BytesIO()
    options = {"has_channel_axis": False, "image_count": count, "names": names}
    with open_sink(out, "npz", (3, 4, 1), annotations=annotations, **options) as sink:
        sink.write(np.resize(IMAGES, (count, 3, 4))[..., None])
    out.seek(0)
    return sink, out


def test_columns_whose_names_have_another_use_get_others():
    columns = {"images": [1, 2, 3], "a/b": ["x", "y", "z"], "a\\b": [4, 5, 6], "a_b": [7, 8, 9]}
    sink, out = sink_of(Annotations(annotate(None, columns).columns, "images"))
    assert [note.split(", as")[0] for note in sink.notes] == [
        "column images is called images_2",
        "column a/b is called a_b_2",
        "column a\\\\b is called a_b_3",
    ]
    assert sink.left_out == ()
    with open_images(out) as opened:
        found = {column.name: column.values for column in opened.annotations.columns}
        assert opened.annotations.label == "images_2"
        np.testing.assert_array_equal(next(opened.batches(3))[..., 0], IMAGES)
    assert found == {
        "images_2": (1, 2, 3),
        "a_b_2": ("x", "y", "z"),
        "a_b_3": (4, 5, 6),
        "a_b": (7, 8, 9),
    }


def test_many_columns_of_one_name_take_linear_time():
    columns = {f"{i:012b}".replace("0", "/").replace("1", "\\"): [1] for i in range(1 << 10)}
    sink, _ = sink_of(annotate(None, columns), count=1)
    assert len(sink.notes) == 1 << 10


@pytest.mark.parametrize("text", ["a\0", "\0"])
def test_texts_that_numpy_cuts_are_left_out(text):
    label = Annotations((Column.of("t", ["x", text, "y"]),), "t")
    sink, out = sink_of(label, names=["a", text, "c"])
    reason = "a text ends in U+0000, NumPy drops that"
    assert sink.left_out == (f"column t: {reason}", f"names: {reason}")
    with np.load(out) as arrays:
        assert arrays.files == ["images"]


def test_long_texts_of_many_images_are_left_out(monkeypatch):
    monkeypatch.setattr(npz_sink, "BESIDE_MAX_NBYTES", 4 * 3 * 10)
    columns = {"t": ["x", "y" * 11, "z"], "u": ["x", "y" * 10, "z"]}
    sink, out = sink_of(annotate(None, columns), names=["a", "b", "c" * 20])
    reason = "bytes as an array of texts, all as wide as the longest, of"
    assert sink.left_out == (
        f"column t: 132 {reason} 11 characters; the limit is 120",
        f"names: 240 {reason} 20 characters; the limit is 120",
    )
    with np.load(out) as arrays:
        assert arrays.files == ["u", "images"]


@pytest.mark.skipif(sys.maxsize < 1 << 32, reason="64 bits")
def test_what_is_left_out_is_told_with_a_status(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"images": [1, 2, 3], "t": ["x", "y\0", "z"]}
    aecodec.compress(IMAGES, "x.aez", columns=columns, **NONE)
    assert main(["decompress", "x.aez", "-o", "x.npz"]) == 6
    err = capsys.readouterr().err
    assert "column images is called images_2" in err
    assert "left out, which npz cannot hold: column t: a text ends in U+0000" in err
    with np.load("x.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], IMAGES)
    aecodec.compress(IMAGES, "y.aez", columns={"a/b": [1, 2, 3]}, **NONE)
    assert main(["decompress", "y.aez", "-o", "y.npz", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_arrays_are_what_numpy_writes_in_one_go(monkeypatch):
    monkeypatch.setattr(npz_sink, "BLOCK_NBYTES", 8)
    columns = {"f": [0.5, 1.5, -2.0], "t": ["é", "", "xyz"], "b": [True, False, True]}
    names = ["one.png", "日本.png", "c.png"]
    _, out = sink_of(annotate([3, 1, 2], columns), names=names)
    with np.load(out) as arrays:
        for name, values in {**columns, "names": names, "label": [3, 1, 2]}.items():
            expected = np.array(values)
            assert arrays[name].dtype == expected.dtype
            assert arrays[name].tolist() == values
