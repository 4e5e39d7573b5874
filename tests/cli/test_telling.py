"""What was left out is told whatever else is not, and the exit status says it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.cli import main
from aecodec.cli.exits import EXIT_LEFT_OUT, EXIT_USAGE
from aecodec.demo import load_sample


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("pics")
    for i in range(4):
        Image.fromarray(np.full((8, 8), 9 * i, np.uint8)).save(f"pics/{i}.png")
    return tmp_path


COMPRESS = ["compress", "pics", "--model", "none", "-f"]


def test_nothing_is_said_of_nothing(capsys):
    assert main([*COMPRESS, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("talk", [["-q"], ["--json"], [], ["-v"]])
def test_pictures_that_are_left_out(talk, capsys):
    for i in range(4, 10):
        Path(f"pics/{i}.png").write_bytes(b"junk")
    assert main([*COMPRESS, *talk]) == EXIT_LEFT_OUT
    out, err = capsys.readouterr()
    assert "pics: skipped 6:\n" in err
    assert "6 cannot be decoded as a picture, cannot identify image file: 4.png, 5.png, 6.p" in err
    if talk == ["--json"]:
        skipped = json.loads(out)["skipped"]
        assert [entry["name"] for entry in skipped] == [f"{i}.png" for i in range(4, 10)]


def test_entries_that_are_no_pictures(capsys):
    Path("pics/notes.txt").touch()
    assert main(COMPRESS) == 0
    assert "1 not the name of a picture: notes.txt" in capsys.readouterr().err
    assert main([*COMPRESS, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*COMPRESS, "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["skipped"], err) == (
        [{"name": "notes.txt", "reason": "not the name of a picture"}],
        "",
    )


def test_what_is_not_kept_of_pictures(capsys):
    Image.new("L", (8, 8)).save("pics/a.png", icc_profile=b"some profile")
    assert main([*COMPRESS, "-q"]) == 0
    told = "pics: 1 picture with a colour profile, which is not kept: a.png\n"
    assert capsys.readouterr().err == told
    assert main([*COMPRESS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [told.removeprefix("pics: ").rstrip()]


@pytest.mark.parametrize(
    "line",
    [
        "compress pics --model none -o -",
        "verify pics.aez --against pics",
        "view pics.aez --against pics -o page.html",
        "bench pics --limit 2 --model none",
    ],
)
def test_every_command_tells_what_it_skips(line, capsys):
    if line.startswith("bench"):
        pytest.importorskip("zstandard")
        line = "bench pics --limit 2"
    assert main([*COMPRESS, "-q"]) == 0
    Path("pics/x.png").write_bytes(b"junk")
    capsys.readouterr()
    if line.endswith("-o -"):
        line = f"{line[:-1]}{os.devnull}"
    assert main([*line.split(), "-q"]) == EXIT_LEFT_OUT
    err = capsys.readouterr().err
    assert err.startswith("pics: skipped 1:\n  1 cannot be decoded")
    assert err.count("x.png") == 1


def test_arrays_of_an_npz_that_are_no_columns(capsys):
    np.savez("x.npz", images=np.zeros((2, 8, 8), np.uint8), odd=np.zeros((5, 5)))
    assert main(["compress", "x.npz", "--model", "none", "-q"]) == EXIT_LEFT_OUT
    assert "x.npz: skipped 1:" in capsys.readouterr().err


def test_strict(capsys):
    assert main([*COMPRESS, "--strict", "-q"]) == 0
    Path("pics/x.png").write_bytes(b"junk")
    os.remove("pics.aez")
    assert main([*COMPRESS, "--strict"]) == EXIT_USAGE
    err = capsys.readouterr().err
    assert "pics: would be skipped: x.png (cannot be decoded" in err
    assert not Path("pics.aez").exists()


def test_a_file_that_is_damaged_is_told_quietly_too(capsys):
    labels = [0] * 4
    x = np.zeros((4, 8, 8), np.uint8)
    blob = bytearray(aecodec.encode(x, model="none", chunk_images=2, labels=labels))
    blob[blob.index(b"\n\x1a\n\rZEA\x89") - 1] ^= 1  # the footer's
    Path("x.aez").write_bytes(blob)
    main(["decompress", "x.aez", "-o", "y.npy", "--skip-damaged", "-q"])
    assert "left out, which npy cannot hold: column label" in capsys.readouterr().err


def test_denoised_images_tell_what_they_lack(capsys):
    images = load_sample()[:3]
    aecodec.compress(images, "set.aez", labels=[1, 2, 3], columns={"stem": ["a", "b", "c"]})
    command = ["denoise", "set.aez", "--model", "fashion", "-q", "-o"]
    assert main([*command, "out.npy"]) == 6
    told = capsys.readouterr().err
    assert "out.npy: skipped 2:" in told
    assert "written without labels and columns" in told
    aecodec.compress(images, "set.aez", force=True)
    assert main([*command, "other.npy"]) == 0
    assert capsys.readouterr().err == ""
