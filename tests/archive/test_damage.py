"""Errors of damaged files point to what keeps the rest, in the words of who reads them."""

from __future__ import annotations

import numpy as np
import pytest

import aecodec
from aecodec.cli import main

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
GOOD = aecodec.encode(IMAGES, model="none", chunk_images=16)
CUT, FLIPPED = GOOD[:-60], bytearray(GOOD)
FLIPPED[1500] ^= 1
IN_PYTHON = "aecodec.repair keeps what is whole, decompress(..., skip_damaged=True) writes it"
IN_COMMANDS = "'aecodec repair' keeps what is whole, 'aecodec decompress --skip-damaged' writes it"
PYTHON_WORDS = ("=True", "skip_damaged", "force=", "max_memory", "aecodec.")


@pytest.mark.parametrize("data", [CUT, bytes(FLIPPED)], ids=["cut", "flipped"])
@pytest.mark.parametrize(
    "read",
    [
        aecodec.decode,
        lambda data: aecodec.open(data)[:],
        lambda data: aecodec.open(data)[20],
        lambda data: list(aecodec.open(data).batches()),
        lambda data: aecodec.decompress(data, "out.npy"),
        aecodec.verify,
        lambda data: aecodec.verify(data, full=True),
    ],
)
def test_functions_point_to_functions(data, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(aecodec.AezCorruptError) as info:
        read(data)
    assert str(info.value).endswith(f"; {IN_PYTHON}")
    assert str(info.value).count("skip_damaged") == 1


@pytest.mark.parametrize("data", [CUT, bytes(FLIPPED)], ids=["cut", "flipped"])
@pytest.mark.parametrize("argv", [["decompress", "-o", "x.npy"], ["verify"], ["verify", "--full"]])
def test_commands_point_to_commands(data, argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.aez").write_bytes(data)
    assert main([argv[0], "x.aez", *argv[1:]]) == 3
    err = capsys.readouterr().err
    assert err.endswith(f"; {IN_COMMANDS}\n")
    assert not [word for word in PYTHON_WORDS if word in err]


def test_what_is_no_file_of_ours_cannot_be_repaired(tmp_path, capsys):
    path = tmp_path / "x.aez"
    path.write_bytes(b"junk" * 100)
    assert main(["verify", str(path)]) == 3
    assert main(["decompress", str(path), "--skip-damaged"]) == 3
    err = capsys.readouterr().err
    assert "not an .aez file" in err
    assert "repair" not in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("compress s.npy -o x.aez --model none", "x.aez: exists; -f replaces it"),
        ("compress s.npy -o y.aez --model none --quality 12", "--quality"),
        ("compress s.npy -o y.aez --model none --psnr nan", "--psnr"),
        ("compress s.npy -o y.aez --model none --max-error 900", "--max-error"),
        ("compress s.npy -o y.aez --effort 12", "--effort: expected"),
        (
            "compress s.npy -o y.aez --model none --target-bytes-per-image 1",
            "--target-bytes-per-image is 1, which leaves 0 bytes",
        ),
        ("decompress x.aez --max-decoded 10 -o z.npy", "--max-decoded allows 10"),
        ("decompress x.aez --max-memory 10 -o z.npy", "--max-memory allows 10"),
    ],
)
def test_no_message_of_a_command_names_arguments_of_python(
    argv, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.aez").write_bytes(GOOD)
    np.save("s.npy", IMAGES)
    assert main(argv.split()) in (1, 2, 4)
    err = capsys.readouterr().err
    assert message in err
    assert not [word for word in PYTHON_WORDS if word in err]


def test_functions_name_arguments(tmp_path):
    (tmp_path / "x.aez").write_bytes(GOOD)
    with pytest.raises(FileExistsError, match=r"x\.aez: exists; force=True replaces it$"):
        aecodec.compress(IMAGES, tmp_path / "x.aez", model="none")
    with pytest.raises(aecodec.AezLimitError, match="max_decoded_nbytes allows 10"):
        aecodec.decode(GOOD, limits=aecodec.Limits(max_decoded_nbytes=10))
