"""The command line: every exit status by each of its causes, pipes, and starting bare."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec.cli import exits, main
from aecodec.cli.train_input import load_set
from aecodec.models.file import pack_model
from aecodec.models.finding import BUNDLED, load_model
from aecodec.targets import Target

IMAGES = smooth_images(GRAY, 40)[..., 0]
NOISE = noise_images(GRAY, 12)[..., 0]
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("set.npy", IMAGES)
    np.save("noise.npy", NOISE)
    return tmp_path


@pytest.fixture
def archive(tiny_path) -> str:
    assert main(["compress", "set.npy", "-o", "set.aez", "--model", str(tiny_path), "-q"]) == 0
    return "set.aez"


def fails(capsys, status: int, message: str, *argv: str) -> None:
    """The command ends with this status and says one line, without a traceback."""
    capsys.readouterr()
    assert main(argv) == status
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("aecodec: ")
    assert len(err.splitlines()) == 1
    assert out == ""


def usage_error(capsys, message: str, *argv: str) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(argv)
    assert message in capsys.readouterr().err


def run(*argv: str, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "aecodec", *argv]
    root = Path(aecodec.__file__).parent.parent
    return subprocess.run(
        command,
        check=False,
        timeout=120,
        env={"PYTHONPATH": str(root), "PATH": ""},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


# ---------------------------------------------------------------- 0


def test_compress_and_decompress(tiny_path, capsys):
    assert main(["compress", "set.npy", "--model", str(tiny_path), "--quality", "7"]) == 0
    assert "set.npy.aez: 40 images, 2,560 -> " in capsys.readouterr().err
    model = ["--model", str(tiny_path)]
    assert main(["decompress", "set.npy.aez", "-o", "back.npy", *model]) == 0
    assert "back.npy: 40 images as npy" in capsys.readouterr().err
    back = np.load("back.npy")
    assert back.shape == IMAGES.shape
    with aecodec.open("set.npy.aez", model=tiny_path) as opened:
        np.testing.assert_array_equal(opened[:], back)
    assert main(["decompress", "set.npy.aez", "-o", "b.npz", "--images", "5:9", *model, "-q"]) == 0
    with np.load("b.npz") as file:
        np.testing.assert_array_equal(file[file.files[0]], back[5:9])
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("installed")
def test_default_outputs(folder):
    assert main(["compress", "set.npy", "-q"]) == 0
    Path("set.npy").unlink()
    assert main(["decompress", "set.npy.aez", "-q"]) == 0
    assert np.load("set.npy").shape == IMAGES.shape
    assert sorted(p.name for p in folder.iterdir()) == ["noise.npy", "set.npy", "set.npy.aez"]


def test_without_a_model(capsys):
    assert main(["compress", "noise.npy", "--model", "none", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["output"] == "noise.npy.aez"
    assert facts["images"] == 12
    assert facts["model"] == "none"
    assert facts["max_error"] == 0
    assert facts["nbytes"] == Path("noise.npy.aez").stat().st_size
    assert main(["decompress", "noise.npy.aez", "-o", "out.npy", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "output": "out.npy",
        "kind": "npy",
        "images": 12,
        "left_out": [],
        "notes": [],
        "lost": [],
        "repair": None,
    }
    np.testing.assert_array_equal(np.load("out.npy"), NOISE)


def test_chunks_and_embedding(tiny_path, capsys, no_models):
    options = ["--model", str(tiny_path), "--chunk", "16", "--embed-model", "-q"]
    assert main(["compress", "set.npy", "-o", "x.aez", *options]) == 0
    assert main(["info", "x.aez", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["chunks"], info["chunk_images"], info["model_embedded"]) == (3, 16, True)
    assert main(["verify", "x.aez", "--full", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    expected = {"input": "x.aez", "images": 40, "full": True, "against": None, "ok": True}
    assert facts == expected


def test_info_for_people(archive, capsys):
    capsys.readouterr()
    assert main(["info", archive]) == 0
    out = capsys.readouterr().out
    assert "images      40 of 8x8x1" in out
    assert "model       tiny" in out
    assert "part        latent_decoder " in out


def test_verify_for_people(archive, tiny_path, capsys):
    assert main(["verify", archive]) == 0
    assert "set.aez: 40 images, checksums right" in capsys.readouterr().out
    assert main(["verify", archive, "--full", "--model", str(tiny_path)]) == 0
    assert "set.aez: 40 images, checksums and pixel hashes right" in capsys.readouterr().out


@pytest.mark.usefixtures("installed")
def test_models(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["tiny"]["shape"] == [8, 8, 1]
    assert set(rows["tiny"]["parts"]) == {"latent_decoder"}
    assert {path.stem for path in BUNDLED.glob("*.safetensors")} <= set(rows)
    assert main(["models"]) == 0
    assert "tiny         8x8x1" in capsys.readouterr().out


def test_version_and_help(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"aecodec {aecodec.__version__}\n"
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    assert "exit status: 0 done" in capsys.readouterr().out


# ---------------------------------------------------------------- 1: input and output


def test_missing_input(capsys):
    fails(capsys, 1, "nothing.npy", "compress", "nothing.npy", "--model", "none")
    fails(capsys, 1, "nothing.aez", "info", "nothing.aez")
    fails(capsys, 1, "nothing.aez", "decompress", "nothing.aez")
    assert not Path("nothing.npy.aez").exists()


def test_empty_folder(capsys):
    Path("empty").mkdir()
    fails(capsys, 1, "empty", "compress", "empty", "--model", "none")
    assert not Path("empty.aez").exists()


def test_existing_output(archive, tiny_path, capsys):
    before = Path(archive).read_bytes()
    argv = ["compress", "noise.npy", "-o", archive, "--model", "none"]
    fails(capsys, 1, "set.aez", *argv)
    assert Path(archive).read_bytes() == before
    assert main([*argv, "-f", "-q"]) == 0
    assert Path(archive).read_bytes() != before
    fails(capsys, 1, "-f", "decompress", archive, "-o", "set.npy")
    fails(capsys, 1, "-f", "train", "set.npy", "-o", str(tiny_path))


def test_output_into_no_folder(capsys):
    fails(capsys, 1, "no such folder", "compress", "set.npy", "-o", "a/b.aez", "--model", "none")


@full_disk
def test_device_is_written_to_and_not_replaced(capsys):
    argv = ["compress", "set.npy", "-o", "/dev/full", "-f", "--model", "none"]
    fails(capsys, 1, "/dev/full", *argv)
    assert Path("/dev/full").is_char_device()


@full_disk
def test_full_disk():
    with open("/dev/full", "wb") as full:
        result = run("compress", "noise.npy", "-o", "-", "--model", "none", stdout=full)
    assert result.returncode == 1
    assert b"No space left on device" in result.stderr
    assert b"Traceback" not in result.stderr
    assert b"Exception ignored" not in result.stderr


def test_reader_that_leaves():
    """``aecodec ... | head -c 1``: no traceback, no complaint, and not status 0."""
    np.save("large.npy", np.random.default_rng(0).integers(0, 256, (3000, 8, 8), np.uint8))
    command = [sys.executable, "-m", "aecodec", "compress", "large.npy", "-o", "-"]
    root = Path(aecodec.__file__).parent.parent
    with subprocess.Popen(
        [*command, "--model", "none"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(root), "PATH": ""},
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert err == b""


# ---------------------------------------------------------------- 2: usage, and no image set


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.txt", b"not an image set, but a text", "text.txt"),
        ("set.aez", b"\x89AEZ\r\n\x1a\n" + bytes(200), "set.aez"),
        ("empty.npy", b"", "empty.npy"),
    ],
)
def test_not_an_image_set(name, content, message, capsys):
    Path(name).write_bytes(content)
    fails(capsys, 2, message, "compress", name, "--model", "none")
    assert not Path(name + ".aez").exists()


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.astype(np.float32) / 255,
        IMAGES.astype(np.uint16) * 257,
        IMAGES.astype(np.int64),
        IMAGES > 127,
    ],
    ids=lambda images: str(images.dtype),
)
def test_other_types(images, capsys):
    np.save("other.npy", images)
    fails(capsys, 2, f"found dtype {images.dtype}", "compress", "other.npy", "--model", "none")


def test_other_dimensions(capsys):
    np.save("flat.npy", IMAGES[0])
    fails(capsys, 2, "flat.npy", "compress", "flat.npy", "--model", "none")
    np.save("deep.npy", np.zeros((2, 8, 8, 7), np.uint8))
    fails(capsys, 2, "7 channels", "compress", "deep.npy", "--model", "none")


def test_sixteen_bit_pictures(capsys):
    from PIL import Image

    Path("pictures").mkdir()
    Image.fromarray(IMAGES[0].astype(np.uint16) * 257).save("pictures/a.png")
    fails(capsys, 2, "16-bit", "compress", "pictures", "--model", "none")


def test_bad_numbers(archive, capsys):
    fails(capsys, 2, "quality: expected 1 to 9, got 12", "compress", "set.npy", "--quality", "12")
    fails(capsys, 2, "quality: expected 1 to 9, got nan", "compress", "set.npy", "--quality", "nan")
    fails(capsys, 2, "--chunk: expected 1 or more, got 0", "compress", "set.npy", "--chunk", "0")
    for text in ("5", "a:b", "1:2:3", "", ":x", "1.5:"):
        argv = ["decompress", archive, "-o", "x.npy", "--images", text]
        fails(capsys, 2, f"--images: expected A:B, got {text!r}", *argv)
    assert not Path("x.npy").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--batch", "10"], "--batch: expected a multiple of nine, got 10"),
        (["--batch", "0"], "--batch: expected 1 or more, got 0"),
        (["--validation", "1"], "--validation: expected 0 to 1, got 1"),
        (["--layers", "r,x"], "--layers: expected some of l,p,r,d, got 'r,x'"),
        (["--validation", "nan"], "--validation: expected 0 to 1, got nan"),
    ],
)
def test_bad_training_numbers(options, message, capsys):
    fails(capsys, 2, message, "train", "set.npy", "-o", "m.safetensors", *options)


def test_sets_that_cannot_be_trained(capsys):
    np.save("large.npy", np.zeros((2, 65, 8), np.uint8))
    fails(capsys, 2, "65x8, sides 8 to 64", "train", "large.npy", "-o", "m.safetensors")
    np.save("none.npy", np.zeros((0, 8, 8), np.uint8))
    fails(capsys, 2, "the set is empty", "train", "none.npy", "-o", "m.safetensors")


def test_unknown_options(capsys):
    usage_error(capsys, "required: COMMAND")
    usage_error(capsys, "--faster", "compress", "set.npy", "--faster", "9")
    usage_error(capsys, "invalid int value", "compress", "set.npy", "--effort", "much")
    usage_error(capsys, "not allowed with", "compress", "set.npy", "--lossless", "--psnr", "30")
    usage_error(capsys, "invalid choice: 'tiny'", "compress", "set.npy", "--variant", "tiny")
    usage_error(capsys, "invalid choice: 'xz'", "compress", "set.npy", "--coder", "xz")
    usage_error(capsys, "not allowed with", "compress", "set.npy", "-q", "-v")
    usage_error(capsys, "invalid float value", "compress", "set.npy", "--quality", "good")


# ---------------------------------------------------------------- 3: damaged files


@pytest.mark.parametrize("command", [["info"], ["verify"], ["decompress", "-o", "x.npy"]])
def test_foreign_file(command, capsys):
    fails(capsys, 3, "set.npy", *command, "set.npy")
    Path("empty.aez").write_bytes(b"")
    fails(capsys, 3, "empty.aez", *command, "empty.aez")


@pytest.mark.parametrize("command", [["info"], ["verify"], ["decompress", "-o", "x.npy"]])
def test_cut_file(archive, command, capsys):
    Path("cut.aez").write_bytes(Path(archive).read_bytes()[:-7])
    fails(capsys, 3, "cut.aez", *command, "cut.aez")
    assert not Path("x.npy").exists()


def test_flipped_byte(archive, tiny_path, capsys):
    data = bytearray(Path(archive).read_bytes())
    with aecodec.open(archive) as opened:
        payload = opened.reader.read_chunk(0).sub_payloads[0].data
    data[data.index(payload) + 20] ^= 1
    Path("bad.aez").write_bytes(data)
    fails(capsys, 3, "bad.aez: chunk 0", "verify", "bad.aez")
    argv = ["decompress", "bad.aez", "-o", "x.npy", "--model", str(tiny_path)]
    fails(capsys, 3, "bad.aez: chunk 0", *argv)
    assert not Path("x.npy").exists()


# ---------------------------------------------------------------- 4: too new


def test_later_version(archive, capsys):
    data = bytearray(Path(archive).read_bytes())
    data[8] = 2  # version_major
    Path("new.aez").write_bytes(data)
    fails(capsys, 4, "version", "info", "new.aez")
    fails(capsys, 4, "version", "verify", "new.aez")


# ---------------------------------------------------------------- 5: models


@pytest.mark.usefixtures("no_models")
def test_no_model_fits(capsys):
    fails(capsys, 5, "no installed model is for 8x8x1 images; make one", "compress", "set.npy")
    fails(capsys, 5, "no model 'x'", "compress", "set.npy", "--model", "x")
    assert not Path("set.npy.aez").exists()


def test_wrong_shape(tiny_path, capsys):
    np.save("wide.npy", np.zeros((3, 9, 8), np.uint8))
    message = "model 'tiny' is for 8x8x1 images, these are 9x8x1"
    fails(capsys, 5, message, "compress", "wide.npy", "--model", str(tiny_path))
    assert not Path("wide.npy.aez").exists()


@pytest.mark.usefixtures("no_models")
def test_missing_model(archive, capsys):
    fails(capsys, 5, "which is not here", "decompress", archive, "-o", "x.npy")
    fails(capsys, 5, "sheet take it by --model too", "verify", "--full", archive)
    assert not Path("x.npy").exists()


@pytest.mark.usefixtures("no_models")
def test_a_sheet_takes_the_model_of_its_file(archive, tiny_path, capsys):
    pytest.importorskip("matplotlib")
    arguments = ["sheet", archive, "--against", "set.npy", "-o", "sheet.png"]
    fails(capsys, 5, "sheet take it by --model too", *arguments)
    assert main([*arguments, "--model", str(tiny_path)]) == 0
    assert Path("sheet.png").exists()


def test_mismatching_model(archive, tiny_colour, capsys):
    Path("other.safetensors").write_bytes(pack_model(tiny_colour))
    argv = ["decompress", archive, "-o", "x.npy", "--model", "other.safetensors"]
    fails(capsys, 5, "model 'tiny-colour' has", *argv)


def test_damaged_model(tiny_path, archive, capsys):
    data = bytearray(tiny_path.read_bytes())
    data[-100] ^= 1
    Path("bad.safetensors").write_bytes(data)
    for argv in (["compress", "set.npy"], ["decompress", archive, "-o", "x.npy"]):
        message = "bad.safetensors: model checksum is"
        fails(capsys, 5, message, *argv, "--model", "bad.safetensors")
    Path("text.safetensors").write_text("not a model at all")
    message = "text.safetensors: not an aecodec model"
    fails(capsys, 5, message, "compress", "set.npy", "--model", "text.safetensors")


# ---------------------------------------------------------------- pipes and bare starts


def test_pipes():
    packed = run("compress", "-", "--model", "none", input=Path("noise.npy").read_bytes())
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout[:4] == b"\x89AEZ"
    unpacked = run("decompress", "-", input=packed.stdout)
    assert unpacked.returncode == 0, unpacked.stderr
    np.testing.assert_array_equal(np.load(io.BytesIO(unpacked.stdout)), NOISE)


def test_info_needs_no_package(archive):
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'zstandard', 'safetensors', 'tqdm'):\n"
        "    sys.modules[name] = None\n"
        "from aecodec.cli import main\n"
        f"status = main(['info', {archive!r}, '--json'])\n"
        "loaded = sorted(n for n in ('torch', 'numpy') if sys.modules.get(n))\n"
        "sys.exit(status or bool(loaded))"
    )
    root = Path(aecodec.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": str(root)},
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 40


def test_info_does_not_import_what_is_there(archive):
    code = (
        "import sys\n"
        "from aecodec.cli import main\n"
        f"main(['info', {archive!r}])\n"
        "print(sorted({'torch', 'numpy', 'zstandard', 'safetensors'} & set(sys.modules)))"
    )
    root = Path(aecodec.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root)},
        timeout=60,
    )
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


# ---------------------------------------------------------------- train, demo

TRAIN = ["train", "set.npy", "--steps", "3", "--batch", "9", "-q"]


def test_train_then_compress(capsys):
    assert main([*TRAIN, "-o", "mine.safetensors", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == "mine"
    assert list(facts["layers"]) == ["l", "p", "r", "d"]
    for layer in facts["layers"].values():
        assert (layer["finished"], layer["steps_done"]) == (True, 3)
    assert list(facts["parts_nbytes"]) == [
        "latent_decoder",
        "latent_prior",
        "pixel_fast",
        "dequantizer",
    ]
    assert facts["shape"] == [8, 8, 1]
    assert not Path("mine.safetensors.ckpt").exists()
    model = ["--model", "mine.safetensors"]
    assert main(["compress", "set.npy", "-o", "x.aez", *model, "-q"]) == 0
    assert main(["verify", "x.aez", "--full", *model, "-q"]) == 0
    assert main(["compress", "set.npy", "-o", "y.aez", *model, "-q", "--max-error", "3"]) == 0
    assert main(["verify", "y.aez", "--against", "set.npy", *model, "-q"]) == 0


def test_interrupted_training_goes_on(monkeypatch, capsys):
    import tqdm

    def interrupt(self, n=1):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tqdm.tqdm, "update", interrupt)
        assert main([*TRAIN, "-o", "a.safetensors", "--name", "m", "--json"]) == 130
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert "interrupted after 1 of" in err
    assert "a.safetensors is an unfinished model: the same command with --resume -f goes on" in err
    assert list(facts["layers"]) == ["l"]
    assert facts["name"] == load_model("a.safetensors").name == "m (unfinished)"
    assert load_model("a.safetensors").training["finished"] is False
    assert (facts["layers"]["l"]["steps_done"], facts["layers"]["l"]["finished"]) == (1, False)
    assert Path("a.safetensors.ckpt").is_file()
    assert main([*TRAIN, "-o", "a.safetensors", "--resume", "-f"]) == 0
    assert not Path("a.safetensors.ckpt").exists()
    assert main([*TRAIN, "-o", "b.safetensors", "--name", "m"]) == 0
    resumed, straight = load_model("a.safetensors"), load_model("b.safetensors")
    assert resumed.fingerprint() == straight.fingerprint()
    assert resumed.name == straight.name == "m"
    assert resumed.training["finished"] is True
    for name, tensor in straight.encoder.items():
        np.testing.assert_array_equal(resumed.encoder[name], tensor)


@pytest.mark.skipif(
    not (BUNDLED / "fashion.safetensors").exists(), reason="no fashion weights in this tree"
)
def test_demo(monkeypatch, capsys):
    from aecodec import demo

    whole = demo.load_sample
    monkeypatch.setattr(demo, "load_sample", lambda: whole()[:256])
    assert main(["demo", "-o", "demo.png"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("256 Fashion-MNIST test images, 28x28, model fashion\n")
    for name in ("raw", "zstd -19", "PNG", "PCA", "aecodec -q 5, decoding"):
        assert name in out
    assert Path("demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(
    not (BUNDLED / "fashion.safetensors").exists(), reason="no fashion weights in this tree"
)
def test_demo_replaces_its_own_picture_alone(monkeypatch, capsys):
    from aecodec import demo
    from aecodec.benchmark import demo as measured

    whole = demo.load_sample
    monkeypatch.setattr(demo, "load_sample", lambda: whole()[:32])
    monkeypatch.setattr(measured, "COMPONENTS", (4,))
    for _ in range(2):
        assert main(["demo", "--json"]) == 0
        assert Path("aecodec-demo.png").read_bytes().startswith(b"\x89PNG")
    Path("other.png").write_bytes(b"mine")
    capsys.readouterr()
    fails(capsys, 1, "other.png exists; -f replaces it", "demo", "-o", "other.png")
    assert Path("other.png").read_bytes() == b"mine"
    assert main(["demo", "-o", "other.png", "-f", "--json"]) == 0
    assert Path("other.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------- faults of this package


@pytest.mark.parametrize(
    "fault",
    [
        lambda *_, **__: np.zeros(2) + np.zeros(3),
        lambda *_, **__: int("x"),
        lambda *_, **__: __import__("aecodec.nothing"),
    ],
    ids=["numpy", "python", "import"],
)
def test_a_fault_of_this_package_keeps_its_traceback(fault, monkeypatch):
    monkeypatch.setattr("aecodec.archive.compress.compress_with", fault)
    with pytest.raises((ValueError, ImportError)) as caught:
        main(["compress", "set.npy", "--model", "none"])
    assert len(caught.traceback) >= 3


def test_text_in_another_encoding(capsys):
    Path("table.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    argv = ["compress", "set.npy", "--model", "none", "--columns", "table.csv"]
    fails(capsys, 2, "can't decode byte 0xff", *argv)


def test_a_package_that_is_missing_is_said_in_a_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fails(capsys, 2, "tqdm", "compress", "set.npy", "--model", "none")


# ---------------------------------------------------------------- what training reads


def test_the_set_is_read_once_and_whole():
    images, facts = load_set("set.npy")
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    assert images.shape == (*IMAGES.shape, 1)
    assert images.flags.writeable
    digest = hashlib.sha256(IMAGES.tobytes()).hexdigest()
    assert facts == {"data": "set.npy", "data_sha256": digest, "images": 40}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "p"], "--layers p: the latents' prior needs layer l"),
        (["--flip", "2"], "--flip: expected 0 to 1, got 2.0"),
        (["--shift", "-1"], "--shift: expected 0 to 1, got -1.0"),
        (["--weight-decay", "nan"], "--weight-decay: expected 0 to 10, got nan"),
        (["--lr-scale", "0"], "--lr-scale: expected 0 to 10, got 0.0"),
        (["--layers", "r", "--exact", "set.npy"], "--exact: expected a row of whole numbers"),
        (["--layers", "r", "--exact", "far.npy"], "--exact: expected indices 0 to 39, got 40"),
    ],
)
def test_other_bad_options_of_training(options, message, capsys):
    np.save("far.npy", np.array([40]))
    fails(capsys, 2, message, "train", "set.npy", "-o", "m.safetensors", *options)


def test_layers_go_on_from_a_base(tiny_path, capsys):
    options = ["--steps", "2", "--batch", "9", "-q", "--json", "--base", str(tiny_path)]
    assert main(["train", "set.npy", "-o", "a.safetensors", "--layers", "d,p", *options]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts["layers"]) == ["p", "d"]
    assert set(facts["layers"]["p"]) == {"steps_done", "finished", "validation_bpp"}
    model, base = load_model("a.safetensors"), load_model(tiny_path)
    assert set(model.parts) == {"latent_decoder", "latent_prior", "dequantizer"}
    assert model.fingerprints()["latent_decoder"] == base.fingerprints()["latent_decoder"]


def test_lossless_has_no_psnr_in_json(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((9, 8, 8), np.uint8))
    argv = ["compress", str(tmp_path / "x.npy"), "--lossless", "--model", "none", "--json", "-q"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["psnr_db"] is None


def test_an_error_is_for_the_user_if_this_package_raises_it():
    """Python may raise in a line of this package too: that is no raise statement."""

    def caught(run) -> ValueError | ImportError:
        with pytest.raises((ValueError, ImportError)) as info:
            run()
        return info.value

    assert exits.is_for_user(caught(lambda: Target("quality", 12)))
    within = Target("max_error", 3)
    object.__setattr__(within, "value", float("nan"))  # whose whole number Python refuses
    assert not exits.is_for_user(caught(lambda: within.stored))
    assert not exits.is_for_user(caught(lambda: int("x")))
    assert exits.is_for_user(caught(lambda: __import__("nothing_of_this_name")))
