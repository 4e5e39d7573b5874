"""The golden files: what they hold never changes, with any coder, and no byte of them is free."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

import aecodec
from aecodec import entropy
from aecodec.entropy import ans
from aecodec.errors import AezError
from aecodec.models import Model

VECTORS = Path(__file__).parent.parent / "formats" / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))


def model_of(name: str) -> Model:
    """All parts that a file needs, which may lie in several model files."""
    models = [aecodec.load_model(VECTORS / path) for path in MANIFEST[name]["models"]]
    return replace(models[0], parts={k: v for each in models for k, v in each.parts.items()})


def test_manifest_lists_every_file():
    assert {str(path.relative_to(VECTORS)) for path in VECTORS.glob("good/*.aez")} == set(MANIFEST)


@pytest.mark.parametrize("path", sorted((VECTORS / "models").iterdir()), ids=lambda path: path.name)
def test_models_are_tiny(path):
    assert path.stat().st_size <= 8192


@pytest.mark.parametrize("compiled", [True, False], ids=["as installed", "numpy"])
@pytest.mark.parametrize("name", MANIFEST)
def test_good_file(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(entropy, "coder", lambda: ans)
    expected = MANIFEST[name]
    data = (VECTORS / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["file_sha256"]
    with aecodec.open(data, model=model_of(name)) as archive:
        info, images = archive.info, archive[:]
    assert list(images.shape) == expected["shape"]
    assert info["max_error"] == expected["max_error"]
    assert info["images_by_mode"] == expected["images_by_mode"]
    assert hashlib.sha256(images.tobytes()).hexdigest() == expected["pixels_sha256"]


def test_every_way_of_layer_r_is_there():
    modes = [set(entry["images_by_mode"]) for entry in MANIFEST.values()]
    for wanted in ({"pixels e0"}, {"pixels e8"}, {"pixels e32"}):
        assert wanted in modes
    assert {"dequantized e17", "dequantized e18"} in modes
    assert any(len(each) > 1 and each & {"zstd", "stored"} for each in modes)


def test_every_flipped_bit_is_noticed():
    name = "good/pixels-one.aez"
    data, model = (
        (VECTORS / name).read_bytes(),
        model_of(name),
    )
    whole = aecodec.decode(data, model=model)
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            images = aecodec.decode(bytes(flipped), model=model)
        except AezError:
            continue
        assert images.tobytes() == whole.tobytes()
