"""Arrays beside the images of an .npz: what a stranger's may cost, and what is had of it."""

import io
import zipfile

import numpy as np
import pytest

import aecodec
from aecodec.errors import ImageSetError
from aecodec.images import beside, members, open_images, read_labels
from aecodec.images.members import belonging_to_others

NONE = {"model": "none"}
IMAGES = np.arange(36, dtype=np.uint8).reshape(3, 3, 4)


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npy_of(descr, shape, data=b"", order=False):
    """A .npy file with just any header."""
    header = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def npz(images=IMAGES, **entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy(images))
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def read(data):
    with open_images(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(np.concatenate(list(opened.batches(9)))[..., 0], IMAGES)
        return opened


def test_all_arrays_share_one_limit(monkeypatch):
    monkeypatch.setattr(beside, "MAX_NBYTES", 2000)
    wide = npy(np.array(["a" * 400, "b" * 400, "c" * 400]))
    opened = read(npz(a=wide, b=npy(np.arange(3)), c=wide, names=wide, d=npy(np.arange(3))))
    assert [column.name for column in opened.annotations.columns] == ["a", "b", "d"]
    assert opened.names is None
    assert [(name, reason[:38]) for name, reason in opened.skipped] == [
        ("c.npy", "its texts go over 2,000 bytes, the lim"),
        ("names.npy", "its texts go over 2,000 bytes, the lim"),
    ]


def test_texts_count_as_what_they_become(monkeypatch):
    """Not as the room that an array of one width takes."""
    monkeypatch.setattr(beside, "MAX_NBYTES", 4000)
    opened = read(npz(a=npy(np.array(["x", "x", "y" * 1000])), names=npy(np.array(list("abc")))))
    assert opened.annotations.column("a").values == ("x", "x", "y" * 1000)
    assert opened.names == ("a", "b", "c")
    monkeypatch.setattr(beside, "BLOCK_NBYTES", 1)
    assert read(npz(names=npy(np.array(["é", "", "日本"])))).names == ("é", "", "日本")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy_of("<U0", (3,)), "expected texts of 1 to 1048576 characters"),
        (npy_of("<U500000000", (3,)), "expected texts of 1 to 1048576 characters"),
        (npy_of("<f8", (10**15,)), r"shape \(1000000000000000,\), expected"),
        (npy_of("|O", (3,)), "not taken for a column"),
        (npy_of([("a", "<i4")], (3,), bytes(12)), "not taken for a column"),
        (npy_of("<U70000", (3,), ("x" * 70000).encode("utf-32-le") * 3), "text of 70000 bytes"),
        (npy_of("<U1", (3,), b"\0\xd8\0\0" * 3), "is not UTF-8"),
    ],
)
def test_what_is_no_column_is_skipped(data, reason):
    opened = read(npz(a=data))
    ((name, told),) = opened.skipped
    assert name == "a.npy"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told)


def test_a_name_that_no_column_has_is_skipped():
    opened = read(npz(**{"a\nb": npy(np.arange(3)), "c" * 300: npy(np.arange(3))}))
    assert [reason for _, reason in opened.skipped] == [
        "its name has control characters",
        "its name has 300 bytes of UTF-8, expected at most 255",
    ]


def test_too_many_classes_and_too_long_words_are_skipped():
    classes = npy_of("<U1", (10**9,))
    opened = read(npz(classes=classes, title=npy(np.array("x" * 70000))))
    assert [reason.split(", exp")[0] for _, reason in opened.skipped] == [
        "1000000000 classes",
        "<U70000",
    ]


def test_bools_of_any_bytes_are_bools():
    blob = npz(a=npy_of("|b1", (3,), b"\0\2\xff"))
    with aecodec.open(_compressed(blob)) as archive:
        assert archive.annotations.column("a").values == (False, True, True)


def _compressed(blob):
    out = io.BytesIO()
    aecodec.compress(io.BytesIO(blob), out, **NONE)
    return out.getvalue()


HEADERS = {
    "long": b"\x93NUMPY\2\0" + (1 << 28).to_bytes(4, "little") + b" " * (1 << 20),
    "objects": npy_of("|O", (3, 3, 4)),
    "negative": npy_of("|u1", (-1, -1, 4)),
    "huge": npy_of("|u1", (1 << 40, 1 << 40, 4)),
    "huge and empty": npy_of("|u1", (0, 1 << 60, 1 << 60)),
    "many": npy_of("|u1", (1,) * 60),
    "deep": b"\x93NUMPY\1\0\x30\x75" + b"[" * 30000,
    "no dict": b"\x93NUMPY\1\0\2\0[]",
    "a list of lists": b"\x93NUMPY\1\0\x10\0" + b"{'descr':[[[]]]}",
    "bad dtype": npy_of("|V99999999999999999999", (3, 3, 4)),
    "not UTF-8": b"\x93NUMPY\3\0\4\0\0\0\xff\xfe\xfd\xfc",
    "cut": b"\x93NUMPY\1\0\xff",
    "cut magic": b"\x93NUMPY\1",
}


@pytest.mark.parametrize("name", HEADERS)
def test_bad_headers_are_errors_of_the_set(name, tmp_path):
    (tmp_path / "x.npy").write_bytes(HEADERS[name])
    for what in (tmp_path / "x.npy", io.BytesIO(npz(a=HEADERS[name]))):
        with pytest.raises(ImageSetError) as caught:
            aecodec.compress(what, tmp_path / "x.aez", **NONE)
        assert len(str(caught.value)) < 600 + len(str(tmp_path))
        if name == "objects" and not isinstance(what, io.BytesIO):
            break
    with pytest.raises(ImageSetError):
        read_labels(tmp_path / "x.npy")


def test_labels_of_an_npz(tmp_path):
    (tmp_path / "x.npz").write_bytes(npz(label=npy(np.array(["a", "b", "a"]))))
    assert read_labels(tmp_path / "x.npz").values == ("a", "b", "a")
    (tmp_path / "x.npz").write_bytes(npz(names=npy(np.array(["a", "b"]))))
    assert read_labels(f"{tmp_path}/x.npz:names").values == ("a", "b")
    with pytest.raises(ImageSetError, match="array 'images' cannot be labels"):
        read_labels(f"{tmp_path}/x.npz:images")


def test_many_arrays_take_linear_time():
    names = [f"{kind}_{i}" for i in range(3000) for kind in ("x", "y")]
    found = belonging_to_others(names, "x_0", [name for name in names[2:] if name[0] == "x"])
    assert found == set(names[2:])


def test_duplicate_entries_are_read_once():
    out = io.BytesIO(npz(a=npy(np.arange(3))))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(out, "a") as archive:
        archive.writestr("a.npy", npy(np.arange(3) + 5))
    opened = read(out.getvalue())
    assert opened.annotations.column("a").values == (5, 6, 7)


@pytest.mark.parametrize("is_big", [False, True])
def test_a_large_directory_is_not_read(is_big, monkeypatch, tmp_path):
    data = npz(**{f"a{i}": npy(np.arange(3)) for i in range(40)})
    if is_big:  # as a zip of many members ends
        end = len(data) - 22
        record = b"PK\6\6" + bytes(36) + data[end + 12 : end + 16] + bytes(12)
        data = data[:end] + record + b"PK\6\7" + bytes(16) + data[end:]
        data = data[:-10] + b"\xff" * 4 + data[-6:]
    else:
        assert len(read(data).annotations.columns) == 40
    monkeypatch.setattr(members, "DIRECTORY_MAX_NBYTES", 1000)
    (tmp_path / "x.npz").write_bytes(data)
    for read_it in (open_images, read_labels):
        with pytest.raises(ImageSetError, match=r"directory of the zip has 2,\d\d\d bytes"):
            read_it(tmp_path / "x.npz")
