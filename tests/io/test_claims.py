import os
import sys

import numpy as np
import pytest

from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed, readable_by

posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.npy").write_bytes(b"mine")
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "0.png").write_bytes(b"mine")
    (tmp_path / "pics" / "notes.txt").write_bytes(b"mine")
    return tmp_path


def refused(inputs, outputs, message="would replace"):
    with pytest.raises(ValueError, match=message), claimed(inputs=inputs, outputs=outputs):
        pass


def test_an_output_is_no_input_by_whatever_name(folder):
    os.symlink("in.npy", "link")
    os.symlink("link", "second")
    os.link("in.npy", "hard")
    os.symlink("pics", "to_pics", target_is_directory=True)
    (folder / "to_here").symlink_to(folder, target_is_directory=True)
    names = ("in.npy", "./in.npy", "pics/../in.npy", "link", "second", "hard", "to_here/in.npy")
    for name in (*names, str(folder / "in.npy"), folder / "in.npy"):
        refused(["in.npy"], [name])
        refused([name], ["in.npy"])
    assert (folder / "in.npy").read_bytes() == b"mine"


def test_inputs_are_known_by_what_they_are_read_from(folder):
    np.save("a.npy", np.zeros((2, 3, 4), np.uint8))
    mapped = np.load("a.npy", mmap_mode="r")
    with open("a.npy", "rb") as file:
        url = (folder / "a.npy").as_uri()
        for source in (file, mapped, mapped[1:], url, f"zip://x.png::{url}", "a.npy:images"):
            refused([source], ["a.npy"])
    with claimed(inputs=[None, b"bytes", np.zeros(3), "memory://a.npy"], outputs=["a.npy", None]):
        pass


def test_a_folder_that_holds_an_input(folder):
    refused(["pics/0.png"], ["pics"], "which it holds")
    refused(["pics/0.png"], [folder], "which it holds")
    with claimed(inputs=["pics/0.png"], outputs=["other", "pics.aez"]):
        pass


def test_a_file_that_is_read_in_a_folder(folder):
    os.link("pics/0.png", "elsewhere.png")
    refused(["pics"], ["pics"])
    for name in ("pics/0.png", "elsewhere.png"):
        refused(["pics"], [name], "a part of the input pics")
    with claimed(inputs=["pics"], outputs=["pics/notes.txt", "pics/new.png"], reads=is_png):
        pass
    (folder / "pics" / "sub").mkdir()
    with claimed(inputs=["pics"], outputs=["pics/sub"]):
        pass
    (folder / "pics" / "sub" / "1.png").touch()
    refused(["pics"], ["pics/sub"], "a part of the input pics")


def is_png(name):
    return name.endswith(".png")


def test_two_outputs_are_two_places():
    refused([], ["x", "./x"], "two outputs would be written there")
    refused([], ["x/labels", "x"], "lies in x")
    refused([], ["x", "x/labels"], "lies in x")
    with claimed(inputs=(), outputs=["x", "xy", os.devnull, os.devnull]):
        pass


def test_an_output_that_is_found_late_is_refused_too(folder):
    with (
        claimed(inputs=["in.npy"], outputs=["out"]),
        pytest.raises(ValueError, match="would replace the input"),
        atomic_path("in.npy", force=True),
    ):
        pass
    assert (folder / "in.npy").read_bytes() == b"mine"
    with atomic_path("in.npy", force=True) as temporary:  # nothing is claimed any more
        temporary.write_bytes(b"new")


def test_claims_add_up():
    with (
        claimed(inputs=["in.npy"], outputs=()),
        claimed(inputs=["pics"], outputs=()),
    ):
        refused([], ["in.npy"])
        refused([], ["pics"])


def test_a_model_counts_where_it_is_a_file(folder):
    with claimed(inputs=(), models=["mnist", None], outputs=["mnist"]):
        pass
    (folder / "mnist").touch()
    with (
        pytest.raises(ValueError, match="would replace the input mnist"),
        claimed(inputs=(), models=["mnist"], outputs=["mnist"]),
    ):
        pass


def test_standard_input_is_a_file(folder):
    saved = os.dup(0)
    try:
        with open("in.npy", "rb") as file:
            os.dup2(file.fileno(), 0)
        with open(0, closefd=False) as stdin:
            refused([stdin], ["in.npy"])
        if sys.platform != "win32":
            refused(["/dev/stdin"], ["in.npy"])
    finally:
        os.dup2(saved, 0)
        os.close(saved)


@posix_only
def test_who_may_read_all_inputs(folder):
    os.chmod("in.npy", 0o644)
    os.chmod("pics", 0o755)
    os.chmod("pics/notes.txt", 0o644)
    for mode, allowed in ((0o644, 0o777), (0o640, 0o770), (0o600, 0o700), (0o604, 0o777)):
        os.chmod("pics/0.png", mode)
        with claimed(inputs=["in.npy", "pics"], outputs=()):
            assert readable_by() == allowed
        with claimed(inputs=["in.npy"], models=["pics/0.png"], outputs=()):
            assert readable_by() == 0o777
