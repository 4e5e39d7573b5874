"""``aecodec train``: how it is named, stopped and continued, whatever became of its checkpoint."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import GRAY, smooth_images

from aecodec.cli import main, train_layers, train_use
from aecodec.models.finding import load_model

LAYERS = {"l": "train l", "p": "train p", "r": "train r, fast", "d": "train d"}
TRAIN = ["train", "set.npy", "--steps", "2", "--batch", "9", "-q"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("set.npy", smooth_images(GRAY, 40)[..., 0])
    return tmp_path


def interrupting(wanted: str, act):
    """A bar of steps that calls ``act`` after each step of the training with this title."""

    @contextlib.contextmanager
    def bar(title: str, steps: int, **_: object):
        yield lambda step, numbers: act() if title == wanted else None

    return bar


def ctrl_c() -> None:
    raise KeyboardInterrupt


def sigterm() -> None:
    signal.raise_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A model that was never interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    np.save(folder / "set.npy", smooth_images(GRAY, 40)[..., 0])
    argv = ["train", str(folder / "set.npy"), "--steps", "2", "--batch", "9", "-q"]
    assert main([*argv, "-o", str(folder / "m.safetensors")]) == 0
    return load_model(folder / "m.safetensors")


def require_same(found, wanted) -> None:
    assert found.fingerprints() == wanted.fingerprints()
    for name, tensor in wanted.encoder.items():
        np.testing.assert_array_equal(found.encoder[name], tensor)


# ---------------------------------------------------------------- interrupted


@pytest.mark.parametrize(("layer", "act", "status"), [
    *((layer, ctrl_c, 130) for layer in LAYERS), ("p", sigterm, 143),
])  # fmt: skip
def test_every_layer_can_be_interrupted_and_goes_on(
    straight, layer, act, status, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        patch.setattr(train_layers, "steps_bar", interrupting(LAYERS[layer], act))
        assert main([*TRAIN, "-o", "m.safetensors"]) == status
    assert capsys.readouterr().err == (
        "aecodec: interrupted after 1 of 2 steps; m.safetensors is an unfinished model: "
        "the same command with --resume -f goes on\n"
    )
    assert load_model("m.safetensors").name == "m (unfinished)"
    assert main([*TRAIN, "-o", "m.safetensors", "--resume", "-f"]) == 0
    assert capsys.readouterr().err == ""
    found = load_model("m.safetensors")
    assert found.name == "m"
    require_same(found, straight)
    assert [path.name for path in Path().iterdir() if "ckpt" in path.name] == []


@pytest.mark.parametrize("use", [["--map"], ["--vae"], ["--denoise", "0.5"]])
@pytest.mark.parametrize(("act", "status"), [(ctrl_c, 130), (sigterm, 143)])
def test_every_other_use_can_be_interrupted_and_goes_on(use, act, status, monkeypatch, capsys):
    argv = [*TRAIN, *use, "-o", "u.safetensors"]
    with monkeypatch.context() as patch:
        patch.setattr(train_use, "steps_bar", interrupting(f"train {use[0][2:]}", act))
        assert main(argv) == status
    assert "u.safetensors is an unfinished model" in capsys.readouterr().err
    model = load_model("u.safetensors")
    assert (model.name, model.training["finished"]) == ("u (unfinished)", False)
    assert main([*argv, "--resume", "-f"]) == 0
    model = load_model("u.safetensors")
    assert (model.name, model.training["finished"]) == ("u", True)


@pytest.mark.parametrize(("act", "status"), [(ctrl_c, 130), (sigterm, 143)])
def test_an_interrupted_map_writes_nothing(act, status, monkeypatch, capsys):
    from aecodec.cli import map as map_command

    monkeypatch.setattr(map_command, "steps_bar", interrupting("train map", act))
    assert main(["map", "set.npy", "-o", "map.npy", "--linear"]) == status
    assert capsys.readouterr().err.endswith("aecodec: interrupted\n")
    assert not Path("map.npy").exists()


def test_models_and_files_call_an_unfinished_model_so(monkeypatch, capsys):
    monkeypatch.setattr(train_layers, "steps_bar", interrupting("train l", ctrl_c))
    Path("models").mkdir()
    monkeypatch.setenv("AECODEC_MODEL_PATH", "models")
    assert main([*TRAIN, "-o", "models/m.safetensors"]) == 130
    main(["models"])
    assert "m (unfinished)" in capsys.readouterr().out
    assert main(["compress", "set.npy", "-o", "x.aez", "--model", "m", "--quality", "1"]) in (0, 6)
    main(["info", "x.aez"])
    model_line = next(s for s in capsys.readouterr().out.splitlines() if s.startswith("model"))
    assert "m (unfinished)" in model_line or "none" in model_line


def test_until_the_last_layer_the_model_is_unfinished(monkeypatch):
    """A process that is killed leaves what it wrote last."""
    names = []

    def note(model):
        names.append(model.name)
        return b"model"

    monkeypatch.setattr("aecodec.models.file.pack_model", note)
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l,d"]) == 0
    assert names == ["m (unfinished)", "m"]


def test_a_model_that_cannot_be_written_leaves_its_checkpoint(straight, monkeypatch, capsys):
    def full_disk(model):
        raise OSError(28, "No space left on device", "m.safetensors")

    with monkeypatch.context() as patch:
        patch.setattr("aecodec.models.file.pack_model", full_disk)
        assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l"]) == 1
    assert Path("m.safetensors.ckpt").is_file()
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l", "--resume"]) == 0
    assert capsys.readouterr().err == "aecodec: m.safetensors: No space left on device\n"
    assert (
        load_model("m.safetensors").fingerprint()
        == straight.decoding(["latent_decoder"]).fingerprint()
    )


def test_an_interruption_after_training_tells_of_the_checkpoint(monkeypatch, capsys):
    def interrupted(model):
        raise KeyboardInterrupt

    monkeypatch.setattr("aecodec.models.file.pack_model", interrupted)
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l"]) == 130
    assert capsys.readouterr().err == (
        "aecodec: m.safetensors.ckpt keeps what was trained: "
        "the same command with --resume goes on\naecodec: interrupted\n"
    )


# ---------------------------------------------------------------- checkpoints


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"junk" * 99,
        lambda data: bytes(len(data)),
        lambda data: data[:8] + b"[" * 9000 + data[9008:],
    ],
)
def test_a_damaged_checkpoint_is_told(damage, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(train_layers, "steps_bar", interrupting("train l", ctrl_c))
        assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l"]) == 130
    path = Path("m.safetensors.ckpt")
    path.write_bytes(damage(path.read_bytes()))
    model = Path("m.safetensors").read_bytes()
    capsys.readouterr()
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l", "--resume", "-f"]) == 5
    err = capsys.readouterr().err
    assert err.startswith("aecodec: m.safetensors.ckpt: damaged checkpoint: ")
    assert err.endswith("without --resume (and with -f, if the model is there) it starts anew\n")
    assert len(err.splitlines()) == 1
    assert Path("m.safetensors").read_bytes() == model
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l", "-f"]) == 0


def test_a_checkpoint_of_another_run_is_told(monkeypatch, capsys):
    monkeypatch.setattr(train_layers, "steps_bar", interrupting("train l", ctrl_c))
    assert main([*TRAIN, "-o", "m.safetensors", "--layers", "l"]) == 130
    capsys.readouterr()
    again = [*TRAIN, "-o", "m.safetensors", "--layers", "l", "--resume", "-f"]
    assert main([*again, "--batch", "18", "--seed", "3"]) == 5
    err = capsys.readouterr().err
    assert "its batch_images is 9, this run's is 18; its seed is 0, this run's is 3; " in err
    np.save("set.npy", smooth_images(GRAY, 41)[..., 0])
    assert main(again) == 5
    assert "it is of other images, or of another kind of model" in capsys.readouterr().err


def test_resuming_from_nothing_is_told(straight, capsys):
    argv = [arg for arg in TRAIN if arg != "-q"]
    assert main([*argv, "-o", "m.safetensors", "--layers", "l", "--resume"]) == 0
    told = "there is no m.safetensors.ckpt: layer l is trained from the beginning\n"
    assert told in capsys.readouterr().err


# ---------------------------------------------------------------- names


def test_a_model_from_a_base_has_a_name_of_its_own(tiny_path, capsys):
    argv = [*TRAIN, "--layers", "d", "--base", str(tiny_path)]
    assert main([*argv, "-o", "gm.safetensors"]) == 0
    assert load_model("gm.safetensors").name == "gm" != load_model(tiny_path).name
    assert main([*argv, "-o", "gm.safetensors", "-f", "--name", "mine"]) == 0
    assert load_model("gm.safetensors").name == "mine"


def test_a_name_that_is_no_text(capsys):
    """A name becomes part of a file in UTF-8; nothing may fail after hours of training."""
    assert main([*TRAIN, "-o", "m\udce9.safetensors", "--layers", "d"]) == 0
    assert load_model("m\udce9.safetensors").name == "m?"
    assert main([*TRAIN, "-o", "x.safetensors", "--name", "m\udce9"]) == 2
    assert "--name: expected text in UTF-8" in capsys.readouterr().err
