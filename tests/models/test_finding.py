"""Looking models up: whatever lies in their folders is passed over, and told where it is asked."""

from __future__ import annotations

import os
import re
import socket

import numpy as np
import pytest

from aecodec.cli import main
from aecodec.errors import AezLimitError, ModelMissingError
from aecodec.io.left_out import Aside, collecting
from aecodec.models import finding
from aecodec.models.file import pack_model
from aecodec.models.finding import (
    PATH_VARIABLE,
    installed_models,
    load_installed,
    load_model,
    model_paths,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and links as POSIX has them")


@pytest.fixture
def odd_folder(tiny, tmp_path, no_models, monkeypatch):
    """A folder of one model, and of all kinds of what only has the name of one."""
    folder = tmp_path / "models"
    folder.mkdir()
    os.symlink("nothing", folder / "a-link.safetensors")
    os.symlink("b-loop.safetensors", folder / "b-loop.safetensors")
    (folder / "c-folder.safetensors").mkdir()
    os.mkfifo(folder / "d-pipe.safetensors")
    (folder / "e-junk.safetensors").write_bytes(b"the first bytes of a secret")
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(folder)  # a socket's path may not be long
        bound.bind("f-socket.safetensors")
    os.symlink("/dev/zero", folder / "g-device.safetensors")
    with open(folder / "h-huge.safetensors", "wb") as file:
        file.truncate(1 << 40)
    (folder / "tiny.safetensors").write_bytes(pack_model(tiny))
    os.symlink("d-pipe.safetensors", folder / "z-pipe.safetensors")
    gone = tmp_path / "gone"
    (tmp_path / "file").touch()
    places = [str(gone), "", str(tmp_path / "file"), "x" * 300, str(folder)]
    monkeypatch.setenv(PATH_VARIABLE, os.pathsep.join(places))
    return folder


def test_what_is_no_model_is_passed_over(odd_folder):
    with collecting() as found:
        assert [model.name for model in installed_models()] == ["tiny"]
    told = {os.path.basename(entry.name): entry.reason for _, entry in found}
    assert all(isinstance(entry, Aside) for _, entry in found)
    assert set(told) == {"gone", "file", "x" * 300, "no such folder"} | {
        f"{name}.safetensors"
        for name in (
            "a-link", "b-loop", "c-folder", "d-pipe", "e-junk", "f-socket", "g-device", "h-huge",
            "z-pipe",
        )
    }  # fmt: skip
    assert told["a-link.safetensors"] == "link to nothing"
    assert told["c-folder.safetensors"] == "folder"
    assert told["d-pipe.safetensors"] == "pipe, socket or device"
    assert "not an aecodec model" in told["e-junk.safetensors"]
    assert "max_model_nbytes allows" in told["h-huge.safetensors"]
    assert told["gone"] == "No such file or directory"
    assert told["file"] == "Not a directory"


def test_names_are_found_beside_it(odd_folder):
    assert load_model("tiny").name == "tiny"
    for name in ("a-link", "d-pipe", str(odd_folder / "d-pipe.safetensors"), "/dev/zero"):
        with pytest.raises(ModelMissingError, match=f"no model '{name}'"):
            load_model(name)
    with pytest.raises(AezLimitError, match="max_model_nbytes allows"):
        load_model("h-huge")


def test_an_installed_name_is_no_path(installed, monkeypatch):
    assert load_installed("tiny").name == "tiny"
    for name in (str(installed), "../tiny", "./tiny", f"tiny{finding.SUFFIX}", ""):
        with pytest.raises(ModelMissingError, match=re.escape(f"no model {name!r}")):
            load_installed(name)


def test_a_file_that_vanishes(odd_folder, monkeypatch):
    paths = list(model_paths())
    os.remove(odd_folder / "e-junk.safetensors")
    monkeypatch.setattr(finding, "model_paths", lambda: iter(paths))
    assert [model.name for model in installed_models()] == ["tiny"]


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    os.mkfifo(path)
    monkeypatch.setattr(os.path, "isfile", lambda _: True)  # as it was a moment ago
    with pytest.raises(OSError, match=r"x\.safetensors: is a pipe or a device, expected a file"):
        load_model(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc")
def test_what_is_read_counts_and_not_what_a_file_is_said_to_have():
    """All files of /proc are said to have no bytes."""
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(AezLimitError, match="bytes, max_model_nbytes allows 100"):
        load_model("/proc/self/maps", max_model_nbytes=100)
    with open("/proc/self/status", "rb") as file:
        assert finding._read_bounded("/proc/self/status", 1 << 20)[:5] == file.read(5)


def test_commands_tell_of_it(odd_folder, tmp_path, capsys):
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("tiny")
    assert "2 link to nothing: " in err
    assert "pipe, socket or device: " in err
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8), np.uint8))
    command = ["compress", str(tmp_path / "x.npy"), "-f"]
    assert main(command) == 0
    assert "link to nothing" not in capsys.readouterr().err
    assert main([*command, "-v"]) == 0
    assert "2 link to nothing: " in capsys.readouterr().err
    assert main([*command, "--model", "a-link", "-v"]) == 5
    assert "2 link to nothing: " in capsys.readouterr().err
