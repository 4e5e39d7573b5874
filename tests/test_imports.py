"""What may import what, and what must be imported late."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "aecodec"
FILES = sorted(PACKAGE.rglob("*.py"))

# An arrow points from a layer to any of a lower rank; equals never import each other.
RANKS = {
    "_version": 0,
    "errors": 0,
    "limits": 0,
    "unpacking": 1,
    "files": 0,
    "remote": 0,
    "container": 1,
    "metrics": 1,
    "columns": 2,
    "annotations": 3,
    "images": 4,
    "targets": 0,
    "quantizer": 1,
    "entropy": 1,
    "optimizer": 1,
    "nets": 1,
    "models": 2,
    "nets.reading": 3,  # these three put a loaded model to work: all of nets that knows models
    "nets.latent_layer": 4,
    "nets.pixel_layer": 4,
    "nets.prior_layer": 5,
    "latent_coding": 6,
    "latent_symbols": 7,
    "underlay": 8,
    "ways": 0,
    "refinement": 6,
    "bound_search": 7,
    "encoding": 8,
    "targeting": 9,
    "decoding": 8,
    "codec": 10,
    "archive": 11,
    "training": 11,
    "latent_training": 12,
    "pixel_training": 12,
    "prior_training": 12,
    "choosing": 11,
    "scanning": 2,
    "repairing": 12,
    "writing": 12,
    "transfer": 13,
    "integrations": 14,
    "pca": 13,
    "fitting": 13,
    "demo": 14,
    "set_options": 5,
    "help_texts": 0,
    "terminal": 0,
    "completion": 0,
    "view": 14,
    "view.command": 15,
    "benchmark": 14,
    "uses": 14,
    "uses.options": 0,
    "report": 15,
    "benchmark.command": 16,
    "cli": 17,
    "__main__": 18,
}
TORCH_AT_ONCE = {
    "nets",
    "training",
    "latent_training",
    "pixel_training",
    "prior_training",
    "optimizer",
    "integrations",
    "uses",
}
BARE = {
    "_version",
    "errors",
    "targets",
    "files",
    "columns",
    "annotations",
    "remote",
    "container",
    "archive",
    "repairing",
    "set_options",
    "view.command",
    "help_texts",
    "terminal",
    "completion",
    "cli",
    "uses.options",
    "__main__",
    "__init__",
}


def layer_of(path: Path) -> str:
    return layer_in(path.relative_to(PACKAGE).with_suffix("").parts)


def layer_in(parts: Sequence[str]) -> str:
    """The key of RANKS for a module's path below the package."""
    whole = ".".join(parts)
    return whole if whole in RANKS else parts[0]


def imported(path: Path, *, late: bool) -> set[str]:
    """Dotted names that a file imports: at module level, or anywhere when ``late``.

    What stands under ``if TYPE_CHECKING`` is not imported at all, and does not count.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.FunctionDef) and not late:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.add(module)
            if module == "aecodec":
                found.update(f"aecodec.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def own_layers(names: set[str]) -> set[str]:
    return {layer_in(name.split(".")[1:]) for name in names if name.startswith("aecodec.")}


def test_every_module_is_in_what_is_installed(tmp_path):
    """A wheel has all of the package and nothing else; an editable install would not tell."""
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "aecodec", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PACKAGE.parent / name, source)
    for other in ("tests", "formats", "bench"):
        (source / other).mkdir()
        (source / other / "stray.py").touch()
    code = (
        "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named 'setuptools'" in run.stderr:
        pytest.skip("setuptools is not installed here")
    assert run.returncode == 0, run.stderr
    with zipfile.ZipFile(tmp_path / run.stdout.split()[-1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected


def test_every_module_has_a_rank():
    layers = {layer_of(path) for path in FILES} - {"__init__", "weights"}
    assert layers == set(RANKS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    layer = layer_of(path)
    if layer in ("__init__", "weights"):
        return  # __init__ is lazy: see test_import_is_light
    for other in own_layers(imported(path, late=True)) - {layer}:
        assert RANKS[other] < RANKS[layer], f"{layer} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nets_and_container_meet_in_codec_alone(path):
    layer = layer_of(path)
    others = own_layers(imported(path, late=True))
    if layer.startswith("nets"):
        assert "container" not in others
    if layer == "container":
        assert others <= {"container", "errors", "limits"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_late(path):
    at_once = {name.split(".")[0] for name in imported(path, late=False)}
    if layer_of(path).split(".")[0] not in TORCH_AT_ONCE:
        assert "torch" not in at_once


@pytest.mark.parametrize(
    "path", [path for path in FILES if layer_of(path) in BARE], ids=lambda path: path.name
)
def test_bare_modules_need_the_standard_library_alone(path):
    names = {name.split(".")[0] for name in imported(path, late=False)} - {"aecodec"}
    assert names <= set(sys.stdlib_module_names)


def test_the_arrows_are_seen():
    """The parser above finds late imports, and tells them from early ones."""
    cli = PACKAGE / "cli/commands.py"
    assert "transfer" in own_layers(imported(cli, late=True))
    assert "transfer" not in own_layers(imported(cli, late=False))
    assert "container" in own_layers(imported(PACKAGE / "archive.py", late=False))


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light():
    code = (
        "import sys, threading, aecodec; aecodec.AezError; aecodec.__version__\n"
        "aecodec.open\n"
        "print(sorted({'torch', 'numpy', 'zstandard', 'safetensors'} & set(sys.modules)))\n"
        "print(threading.active_count())"
    )
    assert run_python(code) == "[]\n1\n"


def test_unknown_attribute():
    import aecodec

    with pytest.raises(AttributeError, match="module 'aecodec' has no attribute 'nothing'"):
        _ = aecodec.nothing


def test_all_names_exist():
    import aecodec

    for name in aecodec.__all__:
        assert getattr(aecodec, name) is not None
    assert set(aecodec._HOMES) | {"open"} <= set(aecodec.__all__)
