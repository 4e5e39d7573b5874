"""Which array of an .npz is the images, and which are their labels."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec.cli import main
from aecodec.images import ImageSetError, open_images
from aecodec.images.members import labels_of, split_member
from aecodec.images.tables import read_labels

RNG = np.random.default_rng(0)
TRAIN, TEST = (RNG.integers(0, 256, (4, 8, 8), np.uint8) for _ in range(2))
KERAS = {"x_train": TRAIN, "y_train": np.arange(4), "x_test": TEST, "y_test": np.arange(4) + 4}
MEDMNIST = {
    f"{split}_{what}": values
    for split, images, first in (("train", TRAIN, 0), ("val", TEST, 4), ("test", TEST[:2], 8))
    for what, values in (("images", images), ("labels", np.arange(len(images))[:, None] + first))
}
NONE = {"model": "none"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "member", "images", "labels"),
    [
        (KERAS, "x_train", TRAIN, [0, 1, 2, 3]),
        (KERAS, "x_test.npy", TEST, [4, 5, 6, 7]),
        (MEDMNIST, "train_images", TRAIN, [0, 1, 2, 3]),
        (MEDMNIST, "val_images", TEST, [4, 5, 6, 7]),
        (MEDMNIST, "test_images", TEST[:2], [8, 9]),
        ({"images": TRAIN, "labels": np.arange(4)[:, None]}, None, TRAIN, [0, 1, 2, 3]),
        ({"xTrain": TRAIN, "yTrain": np.arange(4), "xTest": TEST}, "xTrain", TRAIN, [0, 1, 2, 3]),
        ({"train": TRAIN, "train_y": np.arange(4), "test": TEST}, "train", TRAIN, [0, 1, 2, 3]),
    ],
)
def test_arrays_of_known_sets(arrays, member, images, labels):
    np.savez("a.npz", **arrays)
    path = "a.npz" if member is None else f"a.npz:{member}"
    for source in (path, Path(path)):
        summary = aecodec.compress(source, "a.aez", force=True, **NONE)
        assert summary.skipped == ()
        with aecodec.open("a.aez") as a:
            np.testing.assert_array_equal(a[:], images)
            assert a.labels.tolist() == labels
            assert len(a.columns) == 1
    assert aecodec.verify("a.aez", against=path) == len(images)


@pytest.mark.parametrize("arrays", [KERAS, MEDMNIST])
def test_a_choice_is_told_with_all_that_the_file_holds(arrays, capsys):
    np.savez("a b.npz", **arrays)
    assert main(["compress", "a b.npz", "--model", "none"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    for name, array in arrays.items():
        assert f"{name} {array.dtype}{array.shape}" in err
    command = shlex.split(err.split("as in: ")[1].split(". The file")[0])
    assert main([*command[1:], "--model", "none", "-q"]) == 0


def test_a_column_called_x_hides_no_images():
    np.savez("a.npz", x=np.arange(4) / 2, pics=TRAIN)
    aecodec.compress("a.npz", "a.aez", **NONE)
    with aecodec.open("a.aez") as a:
        np.testing.assert_array_equal(a[:], TRAIN)
        assert a.columns["x"].values == (0, 0.5, 1, 1.5)
    aecodec.decompress("a.aez", "back.npz")
    with open_images("back.npz") as back:
        assert [c.name for c in back.annotations.columns] == ["x"]


def test_labels_of_another_split_are_no_column_and_others_are_told():
    more = {"train_ids": np.arange(4), "test_ids": np.arange(4), "boxes": np.zeros((4, 2))}
    np.savez("a.npz", **KERAS, **more)
    with open_images("a.npz:x_train") as source:
        assert sorted(c.name for c in source.annotations.columns) == ["label", "train_ids"]
        assert [s.name for s in source.skipped] == ["boxes.npy"]


def test_files_whose_names_have_a_colon():
    np.savez("a.npz", **KERAS)
    np.savez("a.npz:x_test.npz", images=TEST)
    np.save("b:c.npy", TRAIN)
    Path("a.npz:x_test.npz").rename("a.npz:x_test")
    assert split_member("a.npz:x_test") == ("a.npz:x_test", None)
    assert split_member("C:\\data\\a.npz") == ("C:\\data\\a.npz", None)
    for path, images in (("b:c.npy", TRAIN), ("a.npz:x_test", TEST), ("a.npz:x_train", TRAIN)):
        with open_images(path) as source:
            np.testing.assert_array_equal(next(source.batches(9))[..., 0], images)
    with pytest.raises(FileNotFoundError):
        open_images("none.npz:x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.npz:z", r"a\.npz: has no array 'z', it holds x_train uint8\(4, 8, 8\); y_train int64"),
        ("a.npz:y_train", r"a\.npz: y_train\.npy: found dtype int64"),
        ("b.npy:x", r"b\.npy: is no \.npz, so it has no array 'x'"),
    ],
)
def test_what_cannot_be_chosen(path, message):
    np.savez("a.npz", **KERAS)
    np.save("b.npy", TRAIN)
    with pytest.raises(ImageSetError, match=message):
        open_images(path)


def test_images_of_another_dtype_are_not_passed_over_for_masks():
    np.savez("a.npz", images=TRAIN / 255, masks=TRAIN)
    with pytest.raises(ImageSetError, match=r"the array 'images' is float64\(4, 8, 8\), expected"):
        open_images("a.npz")
    with open_images("a.npz:masks") as source:
        assert source.shape == (8, 8, 1)


def test_a_file_object_tells_how_to_choose():
    out = io.BytesIO()
    np.savez(out, **KERAS)
    out.seek(0)
    with pytest.raises(ImageSetError, match=r"aecodec compress FILE\.npz:x_train\."):
        open_images(out)


def test_labels_in_an_npz():
    np.savez("a.npz", **MEDMNIST)
    assert read_labels("a.npz:val_labels").values == (4, 5, 6, 7)
    np.savez("l.npz", np.arange(3))
    assert read_labels("l.npz").values == (0, 1, 2)
    with pytest.raises(ImageSetError, match=r"or just one array; .* picks one; found"):
        read_labels("a.npz")
    with pytest.raises(ImageSetError, match="array 'val_images' cannot be labels"):
        read_labels("a.npz:val_images")


@pytest.mark.parametrize(
    ("images", "labels"),
    [("X_train", "Y_train"), ("imgs", "labels"), ("xtest", "ytest"), ("data_test", "test_target")],
)
def test_names_that_go_together(images, labels):
    assert labels_of(images, [labels, "y_other", "ids"]) == labels
    assert labels_of(images, ["y_other", "ids"]) is None


def test_other_commands_take_an_array_of_an_npz(capsys):
    np.savez("a.npz", **KERAS)
    assert main(["compress", "a.npz:x_test", "--model", "none", "-q"]) == 0
    (made,) = Path().glob("*.aez")
    assert made.name == "a-x_test.npz.aez"
    assert main(["verify", made.name, "--against", "a.npz:x_test", "-q"]) == 0
    assert main(["view", made.name, "--against", "a.npz:x_test", "-q"]) == 0
    assert main(["map", "a.npz:x_train", "--labels", "a.npz:y_train", "--linear", "--steps", "1",
                 "-o", "m.npy", "-q"]) == 0  # fmt: skip
    assert main(["decompress", made.name, "-q"]) == 0
    with np.load("a-x_test.npz") as back:
        assert back["label"].tolist() == [4, 5, 6, 7]
