"""Errors of writing name the output as the user did, never its temporary file."""

from __future__ import annotations

import errno
import os

import pytest

from aecodec.io.atomic import atomic_path


def failing(error):
    """What is told of an output in the folder ``out``, from a block that raises this."""
    with pytest.raises(OSError) as caught, atomic_path("out") as temporary:  # noqa: PT011
        raise error(temporary)
    return caught.value


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_an_error_without_a_name(number):
    error = failing(lambda _: OSError(number, os.strerror(number)))
    assert (error.errno, error.filename) == (number, "out")


def test_an_error_of_the_temporary_file():
    error = failing(lambda path: PermissionError(errno.EACCES, "no", str(path)))
    assert (type(error), error.filename) == (PermissionError, "out")


def test_a_file_in_a_folder():
    with pytest.raises(OSError, match="no") as caught, atomic_path("out", directory=True) as folder:
        raise OSError(errno.ENOSPC, "no", str(folder / "a" / "b.png"))
    assert caught.value.filename == os.path.join("out", "a", "b.png")


def test_another_file_keeps_its_name():
    error = failing(lambda _: OSError(errno.EIO, "no", "in.npy"))
    assert error.filename == "in.npy"
    assert failing(lambda _: OSError(errno.EIO, "no")).filename is None  # an input's, maybe


@pytest.mark.parametrize(
    "text", ["1000 requested and 24 written", "encoder error -2 when writing image file"]
)
def test_libraries_that_lose_the_reason(text):
    assert str(failing(lambda _: OSError(text))) == f"out: cannot be written: {text}"


@pytest.mark.parametrize("moment", ["_fsync", "_move_into_place"])
def test_the_last_steps(moment, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(f"aecodec.io.atomic.{moment}", fail)
    with pytest.raises(OSError, match="Input/output") as caught, atomic_path("out"):
        pass
    assert caught.value.filename == "out"
