"""A wrong file for every option that takes one: a line that says what is wrong, and a status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec import cli
from aecodec.demo import load_sample

COMMANDS = [
    "compress WRONG -o o.aez",
    "compress ok.npy -o o.aez --labels WRONG",
    "compress ok.npy -o o.aez --columns WRONG",
    "compress ok.npy -o o.aez --model WRONG",
    "decompress WRONG -o o.npy",
    "decompress WRONG -o o.npy --skip-damaged",
    "info WRONG",
    "verify WRONG",
    "verify ok.aez --against WRONG",
    "repair WRONG -o o.aez",
    "view WRONG -o o.html",
    "view ok.aez --against WRONG -o o.html",
    "map WRONG -o o.npy --steps 1",
    "map ok.npy -o o.npy --steps 1 --labels WRONG",
    "map ok.npy -o o.npy --steps 1 --model WRONG",
    "generate --model WRONG -o o.npy",
    "generate --model fashion --elbo WRONG",
    "denoise WRONG --model fashion -o o.npy",
    "denoise ok.npy --model WRONG -o o.npy",
    "sheet WRONG --against ok.npy -o o.png",
    "sheet ok.aez --against WRONG -o o.png",
    "train WRONG -o o.safetensors --layers d --steps 1",
    "train ok.npy -o o.safetensors --layers r --steps 1 --exact WRONG",
    "train ok.npy -o o.safetensors --layers d --steps 1 --base WRONG",
    "bench WRONG --limit 3",
    "bench ok.npy --limit 3 --labels WRONG",
]


def save(path: str, **arrays: np.ndarray) -> None:
    np.savez(path, **arrays)


WRONG: dict[str, Callable[[], object]] = {
    "cut.npy": lambda: Path("cut.npy").write_bytes(Path("ok.npy").read_bytes()[:500]),
    "header.npy": lambda: Path("header.npy").write_bytes(b"\x93NUMPY\x01\x00junk"),
    "objects.npy": lambda: np.save("objects.npy", np.array([{}, 1], object), allow_pickle=True),
    "two.npz": lambda: save("two.npz", a=np.zeros(3), b=np.zeros(3)),
    "junk.gz": lambda: Path("junk.gz").write_bytes(b"\x1f\x8bjunk"),
    "bytes.txt": lambda: Path("bytes.txt").write_bytes(bytes(range(256))),
    "empty": lambda: Path("empty").mkdir(),
    "missing": lambda: None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sound set and a file made of it."""
    folder = tmp_path_factory.mktemp("wrong")
    np.save(folder / "ok.npy", load_sample()[:30])
    aecodec.compress(folder / "ok.npy", folder / "ok.aez", model="fashion")
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named(folder, name, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    WRONG[name]()
    for command in COMMANDS:
        status = cli.main([name if word == "WRONG" else word for word in command.split()])
        said = capsys.readouterr().err
        assert status in (1, 2, 3, 4, 5), (command, status, said)
        assert said.splitlines()[-1].startswith("aecodec: "), (command, said)
    assert not list(folder.glob("o.*")), "an output of a command that failed"
