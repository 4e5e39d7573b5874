"""Paths of pictures: safe ones, and each of its own."""

import numpy as np
import pytest

from aecodec.annotations.annotations import Annotations, annotate
from aecodec.images.safe_names import path_key
from aecodec.images.tree_names import NamedPaths, NumberedPaths


def named(*names, channels=1):
    paths = NamedPaths(names, len(names), channels)
    assert paths[:] == list(paths) == [paths[i] for i in range(len(names))]
    assert len({path_key(path) for path in paths}) == len(names)
    assert all(path in paths for path in paths)
    assert "other.png" not in paths
    return list(paths)


def test_formats_that_keep_pixels_stay():
    assert named("b.JPEG", "c.PNG", "d.bmp", "x") == ["b.png", "c.PNG", "d.bmp", "x.png"]
    assert named("b.bmp", "c.pgm", channels=4) == ["b.png", "c.png"]
    assert named("a.png", "a.jpg", "b.gif", "b.jpg") == [
        "a.png", "a.jpg.png", "b.gif.png", "b.jpg.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "a.png"], ["a.png", "a~1.png"]),
        (["a.png", "A.PNG", "a.jpg"], ["a.png", "A~1.PNG", "a.jpg.png"]),
        (["é.png", "e\u0301.png"], ["é.png", "e\u0301~1.png"]),
        (["?.png", "_.png"], ["_~0.png", "_.png"]),  # the safe one keeps its own
        (["a.png", "a.png/b.png"], ["a~0.png", "a.png/b.png"]),
        (["A.png/b.png", "a.PNG"], ["A.png/b.png", "a~1.PNG"]),
        (["a", "a.png/b"], ["a~0.png", "a.png/b.png"]),
        (["a.jpg.png", "a.jpg", "a.png"], ["a.jpg.png", "a~1.png", "a.png"]),
        (["x" * 254], ["x" * 249 + "~0.png"]),
        (["", ".", "..", "..."], ["_.png", "_~1.png", "__.png", "___.png"]),
    ],
)
def test_clashes_are_told_apart(names, expected):
    found = named(*names)
    assert found == expected
    paths = NamedPaths(names, len(names), 1)
    own = [
        name in (path, path.removesuffix(".png")) for name, path in zip(names, found, strict=True)
    ]
    assert [not paths.renamed(i) for i in range(len(names))] == own
    assert paths.any_renamed


def test_no_name_can_stand_in_the_way():
    names = ["a.png"] * 3 + ["a~1.png", "a~2.png/x.png", "a~1~3.png", "A~2.png"]
    found = named(*names)
    assert found[0] == "a.png"
    assert found[3:6] == ["a~1.png", "a~2.png/x.png", "a~1~3.png"]
    assert found[1].startswith("a~1-")
    assert found == named(*names)  # the same names give the same paths


def test_many_that_are_alike():
    rng = np.random.default_rng(0)
    for _ in range(50):
        parts = rng.choice(["a", "A", "a~1", "a~2.png", "b.png", "..", "x/y", "a/a", "?"], (12, 2))
        named(*("/".join(two) if rng.random() < 0.5 else str(two[0]) for two in parts))


def test_a_path_that_the_system_refuses_has_another():
    paths = NamedPaths(["a.png", "b.png"], 2, 1)
    assert not paths.any_renamed
    other = paths.refuse(1)
    assert other == paths[1]
    assert other.startswith("000001~")
    assert paths.renamed(1)
    assert paths.any_renamed
    assert paths.refuse(1) is None


def test_there_is_a_name_for_each_image():
    with pytest.raises(ValueError, match="1 names, expected 2, one for each image"):
        NamedPaths(["a"], 2, 1)


def test_numbered_paths():
    paths = NumberedPaths(3)
    assert paths[:] == list(paths) == ["000000.png", "000001.png", "000002.png"]
    assert "000002.png" in paths
    for other in ("000003.png", "2.png", "x.png", "-00001.png", "a/000002.png", "000002", "9" * 30):
        assert other not in paths
    assert NumberedPaths(10_000_001)[10_000_000] == "10000000.png"


@pytest.mark.parametrize(
    ("labels", "classes", "folders"),
    [
        ([1, 0], ["cat", "dog"], ["dog", "cat"]),
        (["x", "y"], [], ["x", "y"]),
        ([3, 4], [], ["3", "4"]),
        ([0.5, -1.0], [], ["0.5", "-1.0"]),
        ([True, False], [], ["True", "False"]),
        ([0, 0], ["cat", "a/b"], ["cat", "cat"]),
        ([0, 1], ["cat", "a/b"], None),
        ([0, 1], ["cat", "Cat"], None),  # one folder on some systems
        ([0, 1], ["é", "e\u0301"], None),
        ([0, 1], ["cat", "CON"], None),
        ([0, 1], ["cat", "dog."], None),
        ([0, 1], ["cat", ".git"], None),
        ([0, 1], ["cat", "metadata.csv"], None),
        (["", "x"], [], None),
        (["..", "x"], [], None),
    ],
)
def test_classes_are_folders_if_all_can_be(labels, classes, folders):
    paths = NumberedPaths(2, annotate(labels, about={"classes": classes}))
    expected = [f"00000{i}.png" for i in range(2)]
    if folders is not None:
        expected = [f"{folder}/{name}" for folder, name in zip(folders, expected, strict=True)]
    assert paths[:] == list(paths) == expected
    assert expected[1] in paths
    assert "000001.png" in paths or folders is not None


def test_no_images():
    assert list(NamedPaths([], 0, 1)) == list(NumberedPaths(0, Annotations())) == []
