"""The second decoder agrees with ours on every vector, and on what the bundled models code."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import COLOUR, smooth_images
from second_decoder import PATH, tiny_reader
from test_vectors import BAD, GOOD, MANIFEST, UNSUPPORTED, VECTORS

import aecodec
from aecodec.demo import load_sample
from aecodec.models.finding import BUNDLED

EXITS = {"corrupt": 3, "unsupported": 4, "limit": 4, "missing": 5}


KINDS = {
    "corrupt": tiny_reader.Corrupt,
    "unsupported": tiny_reader.Unsupported,
    "limit": tiny_reader.Limit,
    "missing": tiny_reader.Missing,
}


def models_of(name: str):
    """The models of a vector."""
    paths = [VECTORS / path for path in MANIFEST[name]["models"]]
    return [tiny_reader.read_model(path.read_bytes(), path.name) for path in paths]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    command = [sys.executable, str(PATH), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_imports_nothing_of_ours():
    allowed = {"numpy", "zstandard"} | set(sys.stdlib_module_names)
    for node in ast.walk(ast.parse(PATH.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in allowed
        if isinstance(node, ast.Name):
            assert node.id not in ("__import__", "importlib", "exec", "eval")


def test_it_runs_where_ours_is_not():
    code = (
        "import sys; sys.modules['aecodec'] = sys.modules['torch'] = None; "
        f"sys.path.insert(0, {str(PATH.parent)!r}); import tiny_reader as t; "
        f"print(t.decode(open({str(VECTORS / 'good/embedded-model.aez')!r}, 'rb').read()).shape)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "(12, 8, 8, 1)\n"


def test_it_is_laid_out_as_the_specification():
    clauses = re.findall(r"^# -+ (\d+) (.*)$", PATH.read_text(encoding="utf-8"), re.MULTILINE)
    headings = re.findall(
        r"^## (\d+) ([^,\n]*)", (PATH.parent / "aez.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [int(number) for number, _ in clauses] == list(range(3, 15))
    assert set(clauses) <= set(headings)


@pytest.mark.parametrize(
    ("table", "start"), [("SIGMOID", "fc792b98"), ("INVERSE", "20127617"), ("WEIGHT", "5bdffe09")]
)
def test_tables_are_those_of_the_specification(table, start):
    packed = getattr(tiny_reader, table).astype("<u4").tobytes()
    assert hashlib.sha256(packed).hexdigest().startswith(start)
    assert start in (PATH.parent / "aez.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOOD)
def test_good_file(name):
    images = tiny_reader.decode((VECTORS / name).read_bytes(), models_of(name))
    expected = MANIFEST[name]
    assert list(images.shape)[: len(expected["shape"])] == expected["shape"]
    assert hashlib.sha256(images.tobytes()).hexdigest() == expected["pixels_sha256"]


@pytest.mark.parametrize("name", [*UNSUPPORTED, *BAD])
def test_refused_file(name):
    with pytest.raises(tiny_reader.Refused, match=MANIFEST[name]["match"]) as caught:
        tiny_reader.decode((VECTORS / name).read_bytes(), models_of(name))
    assert type(caught.value) is KINDS[MANIFEST[name]["refused"]]


@pytest.mark.parametrize(
    "asked",
    [
        {"quality": 5},
        {"quality": 8.3, "coder": "ans"},
        {"lossless": True},
        {"max_error": 7, "variant": "small"},
        {"psnr": 30},
        {"quality": 3, "embed_model": True},
    ],
    ids=str,
)
def test_bundled_model(asked):
    images = np.concatenate([load_sample()[:12], np.zeros((1, 28, 28), np.uint8)])
    images[-1, ::3, ::5] = 255
    blob = aecodec.encode(images, model="fashion", **asked)
    path = BUNDLED / "fashion.safetensors"
    models = [] if "embed_model" in asked else [tiny_reader.read_model(path.read_bytes(), "it")]
    np.testing.assert_array_equal(
        tiny_reader.decode(blob, models)[..., 0], aecodec.decode(blob, model="fashion")
    )


def test_colour(refined_colour):
    images = smooth_images(COLOUR, 10)
    for asked in ({"quality": 6}, {"max_error": 3}):
        blob = aecodec.encode(images, model=refined_colour, embed_model=True, **asked)
        np.testing.assert_array_equal(tiny_reader.decode(blob), aecodec.decode(blob))


def test_every_flipped_bit_is_noticed():
    name = "good/latents-mixed.aez"
    data, models = (VECTORS / name).read_bytes(), models_of(name)
    whole = tiny_reader.decode(data, models)
    unnoticed = 0
    for bit in range(0, 8 * len(data), 7):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            images = tiny_reader.decode(bytes(flipped), models)
        except tiny_reader.Refused:
            continue
        unnoticed += 1
        np.testing.assert_array_equal(images, whole)
    assert unnoticed == 0


# ---------------------------------------------------------------- the command


def test_command_writes_an_array(tmp_path):
    name = "good/pixels-e8.aez"
    model, out = VECTORS / "models" / "pixels-8x8.safetensors", tmp_path / "out.npy"
    result = run(VECTORS / name, "--model", model, "-o", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"(40, 8, 8, 1) sha256 {MANIFEST[name]['pixels_sha256']}\n"
    found = hashlib.sha256(np.load(out).tobytes()).hexdigest()
    assert found == MANIFEST[name]["pixels_sha256"]


@pytest.mark.parametrize(
    "name", ["bad/chunk-payload-crc32.aez", "unsupported/mode-6.aez", "bad/model-missing.aez"]
)
def test_command_says_how_a_file_is_refused(name, tmp_path):
    result = run(VECTORS / name, "-o", tmp_path / "out.npy")
    kind = MANIFEST[name]["refused"]
    assert result.returncode == EXITS[kind]
    assert f": {kind}: " in result.stderr
    assert re.search(MANIFEST[name]["match"], result.stderr)
    assert not list(tmp_path.iterdir())
