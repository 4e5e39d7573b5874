"""What commands read and write: no output replaces an input, and pipes stand for files."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import GRAY, smooth_images

import aecodec
from aecodec.cli import main
from aecodec.cli.options import InputPath, ModelPath, OutputPath, SecondPath
from aecodec.cli.parser import build_parser
from aecodec.models.finding import BUNDLED

IMAGES = smooth_images(GRAY, 40)[..., 0]
PATHS = (InputPath, ModelPath, OutputPath, SecondPath)
# Options whose texts are no paths.
TEXTS = {
    *("title", "origin", "licence", "images", "name", "layers", "noise", "device", "add_noise"),
    *("max_decoded_nbytes", "max_memory_nbytes", "max_model_nbytes", "max_column_nbytes"),
}
no_pipes = pytest.mark.skipif(os.name == "nt", reason="/dev/fd, named pipes")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("set.npy", IMAGES)
    Path("labels.txt").write_text("".join(f"{i % 10}\n" for i in range(40)))
    Path("columns.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(40)))
    labels = np.arange(40) % 10
    aecodec.compress(IMAGES, "set.aez", model="none", labels=labels)
    shutil.copy(BUNDLED / "fashion.safetensors", "model.safetensors")
    return tmp_path


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("no commands")


def test_every_option_that_takes_a_text_says_whether_it_is_a_path():
    """What is not said is not claimed, and an output could replace it."""
    for command, parser in commands().items():
        for action in parser._actions:
            takes_text = action.nargs != 0 and action.choices is None and action.type in (None, str)
            assert not takes_text or action.dest in TEXTS, f"{command}: {action.dest}"


REPLACING = [
    "compress set.npy -o set.npy",
    "compress set.npy -o labels.txt --labels labels.txt",
    "compress set.npy -o columns.csv --columns columns.csv",
    "compress set.npy -o model.safetensors --model model.safetensors",
    "decompress set.aez -o set.aez --to npy",
    "decompress set.aez -o x.idx --labels set.aez",
    "decompress set.aez -o model.safetensors --to npy --model model.safetensors",
    "repair set.aez -o set.aez",
    "view set.aez -o set.aez",
    "view set.aez --against set.npy -o set.npy",
    "bench set.npy -o set.npy",
    "bench set.npy --labels labels.txt -o labels.txt",
    "map set.npy -o set.npy",
    "map set.npy --labels labels.txt -o labels.txt",
    "generate --model fashion --elbo set.npy -o set.npy",
    "generate --model fashion --interpolate 0 1 --from set.npy -o set.npy",
    "denoise set.npy --model fashion -o set.npy",
    "denoise set.npy --model fashion --sheet set.npy",
    "denoise set.npy --model fashion --against set.aez -o set.aez",
    "sheet set.aez --against set.npy -o set.npy",
    "sheet set.aez --against set.npy -o set.aez",
    "train set.npy -o set.npy",
    "train set.npy -o model.safetensors --base model.safetensors",
    "train set.npy -o m --exact set.npy",
]


@pytest.mark.parametrize("line", REPLACING[:-1])
def test_no_output_replaces_an_input(line, capsys):
    before = {path: Path(path).read_bytes() for path in os.listdir()}
    assert main([*line.split(), "-f"]) == 2
    assert "writing there would replace the input" in capsys.readouterr().err
    assert {path: Path(path).read_bytes() for path in os.listdir()} == before


def test_checkpoints_replace_no_input(capsys):
    for name in ("m.ckpt", "m.pixel_fast.ckpt"):
        shutil.copy("set.npy", name)
        assert main(["train", name, "-o", "m", "--steps", "1"]) == 2
        assert f"{name}: writing there would replace the input" in capsys.readouterr().err
        assert np.load(name).shape == IMAGES.shape


def test_the_checks_need_no_force(capsys):
    assert main(["compress", "set.npy", "-o", "./set.npy"]) == 2
    assert "would replace the input" in capsys.readouterr().err


def test_a_model_by_name_is_an_input(monkeypatch, capsys, folder):
    (folder / "models").mkdir()
    shutil.move("model.safetensors", "models/mine.safetensors")
    monkeypatch.setenv("AECODEC_MODEL_PATH", "models")
    argv = ["compress", "set.npy", "--model", "mine", "-o", "models/mine.safetensors", "-f"]
    assert main(argv) == 2
    assert "would replace the input" in capsys.readouterr().err


def test_two_outputs_are_two_files(capsys):
    argv = ["denoise", "set.npy", "--model", "fashion", "-o", "x.npy", "--sheet", "./x.npy"]
    assert main(argv) == 2
    assert "two outputs would be written there" in capsys.readouterr().err
    argv = ["decompress", "set.aez", "-o", "x.idx", "--labels", "x.idx", "-q"]
    assert main(argv) == 6  # the images are there, and labels are not where they were asked for
    assert "--labels x.idx names the file of the images" in capsys.readouterr().err
    assert Path("x.idx").stat().st_size > IMAGES.nbytes
    with pytest.raises(ValueError, match="two outputs would be written there"):
        aecodec.decompress("set.aez", "y.idx", labels="y.idx")


def test_the_python_functions_refuse_too():
    for call in (
        lambda: aecodec.compress("set.npy", "set.npy", model="none", force=True),
        lambda: aecodec.compress(np.load("set.npy", "r"), "set.npy", model="none", force=True),
        lambda: aecodec.compress("set.npy", "model.safetensors", model="model.safetensors"),
        lambda: aecodec.decompress("set.aez", "set.aez", kind="npy", force=True),
        lambda: aecodec.decompress("set.aez", "x.idx", labels="set.aez", force=True),
        lambda: aecodec.repair("set.aez", "set.aez", force=True),
    ):
        with pytest.raises(ValueError, match="would replace the input"):
            call()
    assert np.load("set.npy").shape == IMAGES.shape


# ---------------------------------------------------------------- pipes


def through(line: str, stdin: str | None = None) -> subprocess.CompletedProcess[bytes]:
    """A command whose standard input is a pipe from a file."""
    root = str(Path(aecodec.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "aecodec", *line.split()],
        input=None if stdin is None else Path(stdin).read_bytes(),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )


@no_pipes
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_file_through_a_pipe(name):
    told = through(f"info {name} --json", "set.aez")
    assert json.loads(told.stdout)["images"] == 40
    assert through(f"decompress {name} -o -", "set.aez").stdout == Path("set.npy").read_bytes()


@no_pipes
def test_commands_read_pipes_again_where_they_must(capsys, monkeypatch):
    for line in (
        "verify - --full",
        "verify - --against set.npy",
        "repair - -o repaired.aez",
        "view - -o page.html --against set.npy",
    ):
        with open("set.aez", "rb") as file:
            read, write = os.pipe()
            os.write(write, file.read())
            os.close(write)
        with open(read, closefd=False) as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            assert main(line.split()) == 0, capsys.readouterr().err
    assert Path("repaired.aez").read_bytes() == Path("set.aez").read_bytes()
    assert "40" in Path("page.html").read_text(encoding="utf-8")


@no_pipes
def test_outputs_that_are_no_files(capsys):
    expected = Path("set.npy").read_bytes()
    for line, wanted in (
        ("decompress set.aez -o {}", expected),
        ("compress set.npy --model none --labels labels.txt -o {}", None),
        ("repair set.aez -o {}", Path("set.aez").read_bytes()),
        ("view set.aez -o {}", None),
    ):
        read, write = os.pipe()
        os.set_blocking(read, False)
        with open(read, "rb") as reader:
            status = main(line.format(f"/dev/fd/{write}").split())
            os.close(write)
            found = reader.read()
        assert status == (6 if line.startswith("decompress") else 0), capsys.readouterr().err
        assert found == wanted or (wanted is None and len(found) > 100)
    assert main(["decompress", "set.aez", "-o", os.devnull, "-q"]) == 6  # labels are left out
    assert main(["compress", "set.npy", "--model", "none", "-o", os.devnull]) == 0
    capsys.readouterr()
    os.mkfifo("pipe")
    for argv, status in (
        (["decompress", "set.aez", "-o", "pipe", "--to", "folder", "-f"], 1),
        (["train", "set.npy", "-o", "pipe"], 2),
        (["bench", "set.npy", "-o", "-"], 2),
        (["map", "set.npy", "-o", "-"], 2),
    ):
        assert main(argv) == status
        assert "expected a" in (told := capsys.readouterr().err) or "not a folder" in told


# ---------------------------------------------------------------- endings, ranges


@pytest.mark.parametrize("name", ["y.jpg", "x.nyp", "x.zip", "x.npy.gz", "x.tar.gz", "x.png"])
def test_an_unknown_ending_is_refused(name, capsys):
    assert main(["decompress", "set.aez", "-o", name]) == 2
    assert "names no kind of set" in capsys.readouterr().err
    with pytest.raises(ValueError, match="names no kind of set"):
        aecodec.decompress("set.aez", name)
    assert not Path(name).exists()
    assert main(["denoise", "set.npy", "--model", "fashion", "-o", name]) == 2
    assert main(["decompress", "set.aez", "-o", name, "--to", "npz"]) == 0
    with np.load(name) as file:
        np.testing.assert_array_equal(file["images"], IMAGES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.NPZ", "npz"),
        ("x.npy", "npy"),
        ("x.idx", "idx"),
        ("t10k-images-idx3-ubyte", "idx"),
        ("t10k-images.idx3-ubyte.gz", "idx.gz"),
        ("x.gz", "idx.gz"),
        ("x.idx.gz", "idx.gz"),
        ("x", "npy"),
        ("x.d/", "folder"),
    ],
)
def test_endings(name, kind):
    assert aecodec.decompress("set.aez", name).kind == kind


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("-10:", 30, 40),
        ("-10:-5", 30, 35),
        (":", 0, 40),
        ("5:", 5, 40),
        (":7", 0, 7),
        ("39:40", 39, 40),
    ],
)
def test_ranges(text, start, stop):
    for i, argv in enumerate((["--images", text], [f"--images={text}"])):
        assert main(["decompress", "set.aez", "-o", f"{i}.npz", *argv]) == 0
        with np.load(f"{i}.npz") as file:
            np.testing.assert_array_equal(file["images"], IMAGES[start:stop])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10:5", "10:5 holds no image, of 40"),
        ("3:3", "3:3 holds no image"),
        ("39:50", "39:50 reaches over the end, the file holds 40"),
        (":41", ":41 reaches over the end"),
        ("-41:", "-41: reaches over the end"),
        ("40:", "the first is 40, the file holds 40"),
        ("5", "expected A:B, got '5'"),
        ("a:b", "expected A:B, got 'a:b'"),
    ],
)
def test_wrong_ranges(text, message, capsys):
    assert main(["decompress", "set.aez", "-o", "x.npy", f"--images={text}"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("x.npy").exists()
