"""The vectors: their bytes, what they hold, and why they are refused, never change."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

import aecodec
from aecodec import entropy
from aecodec.entropy import ans
from aecodec.errors import AezError
from aecodec.models.model import Model

VECTORS = Path(__file__).parents[2] / "formats" / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))
GOOD = [name for name in MANIFEST if name.startswith("good/")]
UNSUPPORTED = [name for name in MANIFEST if name.startswith("unsupported/")]
BAD = [name for name in MANIFEST if name.startswith("bad/")]
FROZEN = "c35536c582517df85240e6774d83869261d78f3441eb43cb4bde5c82595c8815"  # of version-1.1.sha256
CODERS = pytest.mark.parametrize("compiled", [True, False], ids=["as installed", "numpy"])
ERRORS = {  # of the four ways of aez.md 1.5
    "corrupt": {"AezCorruptError"},
    "unsupported": {"AezUnsupportedError"},
    "limit": {"AezLimitError"},
    "missing": {"ModelMismatchError", "ModelMissingError"},
}


def model_of(name: str) -> Model | None:
    """All parts that a file needs, which may lie in several model files."""
    models = [aecodec.load_model(VECTORS / path) for path in MANIFEST[name]["models"]]
    if not models:
        return None
    return replace(models[0], parts={k: v for each in models for k, v in each.parts.items()})


# ---------------------------------------------------------------- the set


def test_manifest_lists_every_file():
    assert {str(path.relative_to(VECTORS)) for path in VECTORS.glob("*/*.aez")} == set(MANIFEST)
    assert sorted(MANIFEST) == sorted([*GOOD, *UNSUPPORTED, *BAD])


@pytest.mark.parametrize("name", MANIFEST)
def test_file_is_what_it_always_was(name):
    data = (VECTORS / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == MANIFEST[name]["file_sha256"]
    assert len(data) <= 8192
    assert MANIFEST[name]["clause"]
    assert MANIFEST[name]["about"]


@pytest.mark.parametrize("path", sorted((VECTORS / "models").iterdir()), ids=lambda path: path.name)
def test_models_are_tiny(path):
    assert path.stat().st_size <= 8192


def test_frozen_files_are_listed_for_good():
    """The vectors with which version 1.1 was frozen; later ones are in the manifest alone."""
    text = (VECTORS / "version-1.1.sha256").read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == FROZEN
    lines = [line.split("  ") for line in text.splitlines()]
    assert len(lines) == 311
    for digest, name in lines:
        assert hashlib.sha256((VECTORS / name).read_bytes()).hexdigest() == digest


def test_no_reason_is_given_twice():
    reasons = [(name.split("/")[0], MANIFEST[name]["about"]) for name in MANIFEST]
    assert len(set(reasons)) == len(reasons)


def test_every_way_of_coding_is_there():
    modes = [set(MANIFEST[name]["images_by_mode"]) for name in GOOD]
    for wanted in ({"pixels e0"}, {"pixels e8"}, {"pixels e32"}, {"pixels e127"}, {"zstd"}):
        assert wanted in modes
    assert {"dequantized e17", "dequantized e18"} in modes
    every = {label.split(" e")[0].split(" q")[0] for each in modes for label in each}
    assert every == {"stored", "zstd", "latents", "latents ans", "pixels", "dequantized"}
    assert any(len({label.split(" q")[0] for label in each}) == 6 for each in modes)
    shapes = [MANIFEST[name]["shape"] for name in GOOD]
    assert {0, 1} < {shape[0] for shape in shapes}
    assert {1, 2, 3, 4} <= {shape[3] for shape in shapes if len(shape) == 4}


CONTAINER = (
    "section-",
    "part-",
    "chunk-",
    "table-",
    "runs-",
    "index-",
    "footer-",
    "cut-",
    "header-",
)


def test_making_them_again_gives_the_same(monkeypatch):
    """What the manifest says of them; their bytes too, unless a library compressed some."""
    monkeypatch.syspath_prepend(str(VECTORS.parent))
    good, refused = import_module("making.good"), import_module("making.refused")
    names = ("pixels-8x8", "dequantizer-8x8")
    models = [aecodec.load_model(VECTORS / "models" / f"{name}.safetensors") for name in names]
    made = {f"good/{name}": vector for name, vector in good.vectors(*models)}
    made |= dict(refused.vectors())
    trained = [name for name in GOOD if name.removesuffix(".aez") not in made]
    assert len(trained) == 8
    assert {f"{name}.aez" for name in made} == set(MANIFEST) - set(trained)
    compared = 0
    for name, vector in made.items():
        entry = MANIFEST[f"{name}.aez"]
        assert (vector.clause, vector.about) == (entry["clause"], entry["about"])
        if name.startswith("unsupported/") or name.split("/")[1].startswith(CONTAINER):
            assert hashlib.sha256(vector.data).hexdigest() == entry["file_sha256"]
            compared += 1
    assert compared > 100


# ---------------------------------------------------------------- what is read


@CODERS
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.usefixtures("no_models")
def test_good_file(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(entropy, "coder", lambda: ans)
    expected = MANIFEST[name]
    data = (VECTORS / name).read_bytes()
    with aecodec.open(data, model=model_of(name)) as archive:
        info, images = archive.info, archive[:]
    assert list(images.shape) == expected["shape"]
    assert info["max_error"] == expected["max_error"]
    assert info["images_by_mode"] == expected["images_by_mode"]
    assert hashlib.sha256(images.tobytes()).hexdigest() == expected["pixels_sha256"]
    assert aecodec.verify(data, full=True, model=model_of(name)) == len(images)


@CODERS
@pytest.mark.parametrize("name", [*UNSUPPORTED, *BAD])
@pytest.mark.usefixtures("no_models")
def test_refused_file(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(entropy, "coder", lambda: ans)
    expected = MANIFEST[name]
    data = (VECTORS / name).read_bytes()
    error = None
    try:
        with aecodec.open(data, model=model_of(name)) as archive:
            _ = archive[:]
    except AezError as caught:
        error = caught
    assert type(error).__name__ == expected["error"]
    assert expected["error"] in ERRORS[expected["refused"]]
    assert re.search(expected["match"], str(error)), str(error)


def test_folders_say_how_files_are_refused():
    assert {MANIFEST[name]["refused"] for name in UNSUPPORTED} == {"unsupported"}
    assert {MANIFEST[name]["refused"] for name in BAD} == {"corrupt", "missing"}


def test_every_flipped_bit_is_noticed():
    name = "good/pixels-one.aez"
    data, model = (VECTORS / name).read_bytes(), model_of(name)
    whole = aecodec.decode(data, model=model)
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            images = aecodec.decode(bytes(flipped), model=model)
        except AezError:
            continue
        assert images.tobytes() == whole.tobytes()
