"""Decompression into what is there already: folders, permissions, times."""

import os
import stat

import numpy as np
import pytest
from PIL import Image

import aecodec

posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")


@pytest.fixture(autouse=True)
def pics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    for i in range(3):
        Image.fromarray(np.full((8, 10), i, np.uint8)).save(f"pics/{i}.png")
    aecodec.compress("pics", "pics.aez", model="none")
    return tmp_path / "pics"


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_folder_that_holds_the_same_names_is_replaced(pics):
    (pics / "1.png").write_bytes(b"damaged")
    with pytest.raises(FileExistsError, match="exists; force=True"):
        aecodec.decompress("pics.aez")
    aecodec.decompress("pics.aez", force=True)
    assert sorted(os.listdir(pics)) == ["0.png", "1.png", "2.png"]
    with Image.open(pics / "1.png") as picture:
        assert picture.getpixel((0, 0)) == 1


def test_what_else_a_folder_holds_is_never_deleted(pics):
    Image.fromarray(np.zeros((8, 10), np.uint16)).save(pics / "sixteen_bit.png")
    (pics / "notes.txt").write_text("mine")
    (pics / "1.png").write_bytes(b"changed")
    with pytest.raises(FileExistsError, match=r"pics: holds 'notes.txt', 'sixteen_bit.png', which"):
        aecodec.decompress("pics.aez", force=True)
    assert (pics / "notes.txt").read_text() == "mine"
    assert (pics / "1.png").read_bytes() == b"changed"  # nothing is half old, half new
    assert sorted(os.listdir()) == ["pics", "pics.aez"]


def test_it_is_told_before_the_work(pics, monkeypatch):
    (pics / "notes.txt").touch()
    monkeypatch.setattr("aecodec.archive.decompress._batches", no_work)
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        aecodec.decompress("pics.aez", force=True)


def no_work(*_):
    raise AssertionError("images are decoded")


def test_trees_with_tables_are_replaced_by_themselves():
    labels = ["b", "a", "b"]
    x = np.zeros((3, 8, 8), np.uint8)
    aecodec.compress(x, "x.aez", model="none", labels=labels, about={"title": "X"})
    for _ in range(2):
        aecodec.decompress("x.aez", "out", kind="folder", force=True)
    assert sorted(os.listdir("out")) == ["a", "b", "metadata.csv", "metadata.json"]


def test_an_empty_folder_is_taken(tmp_path):
    os.mkdir("out")
    (tmp_path / "link").symlink_to("out", target_is_directory=True)
    aecodec.decompress("pics.aez", "link")
    assert sorted(os.listdir("out")) == ["0.png", "1.png", "2.png"]
    assert os.path.islink("link")


def test_a_folder_around_the_source_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match="which it holds"):
        aecodec.decompress(tmp_path / "pics.aez", tmp_path, kind="folder", force=True)


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_permissions_go_along(mode):
    np.save("x.npy", np.zeros((3, 8, 8), np.uint8))
    os.chmod("x.npy", mode)
    os.utime("x.npy", (10, 20))
    aecodec.compress("x.npy", "x.aez", model="none")
    aecodec.decompress("x.aez", "y.npy")
    aecodec.decompress("x.aez", "y", kind="folder")
    aecodec.repair("x.aez", "z.aez")
    for name in ("x.aez", "y.npy", "z.aez"):
        assert (mode_of(name), os.stat(name).st_mtime) == (mode, 20)
    open_to = 0o700 | (0o070 if mode & 0o040 else 0) | (0o007 if mode & 0o004 else 0)
    assert mode_of("y") & ~open_to == 0
    assert mode_of("y/000000.png") & ~open_to == 0


@posix_only
def test_what_is_replaced_keeps_its_mode():
    aecodec.decompress("pics.aez", "x.npy")
    os.chmod("x.npy", 0o600)
    aecodec.decompress("pics.aez", "x.npy", force=True)
    assert mode_of("x.npy") == 0o600
    os.chmod("pics.aez", 0o600)
    aecodec.compress("pics", "pics.aez", model="none", force=True)
    assert mode_of("pics.aez") == 0o600


@posix_only
def test_a_private_folder_or_picture_makes_a_private_file(pics):
    for path, mode in ((pics, 0o700), (pics / "1.png", 0o600)):
        old = mode_of(path)
        path.chmod(mode)
        aecodec.compress("pics", "private.aez", model="none", force=True)
        assert mode_of("private.aez") == 0o600
        os.remove("private.aez")
        path.chmod(old)
    aecodec.compress("pics", "public.aez", model="none")
    assert mode_of("public.aez") == 0o666 & mode_of("public.aez")
    assert mode_of("public.aez") & 0o044 == mode_of(pics / "1.png") & 0o044
