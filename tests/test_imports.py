"""What may import what, and what must be imported late."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "aecodec"
FILES = sorted(PACKAGE.rglob("*.py"))

# Packages by line, the lowest first: a package imports only from packages on lower lines.
LINES = (
    {
        "errors",
        "advice",
        "arguments",
        "limits",
        "targets",
        "arrays",
        "held_rows",
        "forks",
        "_version",
    },  # words that all share
    {"io"},  # whole-or-nothing output, URLs, bytes of strangers
    {"container", "entropy", "nets"},  # bytes of a file; symbols <-> payloads; decoding networks
    {"models", "twins", "annotations", "measures"},
    {"images", "latents"},  # image sets; layer L at work
    {"pixels"},  # layer R at work
    {"codec", "training"},  # images <-> one chunk; images -> a model's parts
    {"archive"},  # image sets <-> files
    {"integrations", "view", "benchmark", "uses", "demo", "__init__"},
    {"cli"},
    {"__main__"},
)
LINE = {package: number for number, packages in enumerate(LINES, 1) for package in packages}
TOP_MODULES = {
    "__init__", "__main__", "_version", "advice", "arguments", "arrays", "demo", "errors", "forks",
    "held_rows",
    "limits",
    "targets",
}  # fmt: skip
TORCH_AT_ONCE = {
    "nets",
    "twins",
    "latents",
    "pixels",
    "training",
    "integrations",
    "uses",
}
BARE = {
    "_version",
    "advice",
    "arguments",
    "errors",
    "forks",
    "limits",
    "targets",
    "io",
    "container",
    "annotations",
    "cli",
    "__main__",
    "__init__",
}
# What starts on the standard library alone, of packages of which other modules do not.
BARE_MODULES = {
    "archive": {
        "__init__", "array", "damage", "facts", "lazy", "origin", "parts", "repair", "salvage",
        "repaired_sections", "sections", "source",
    },
}  # fmt: skip


def package_of(path: Path) -> str:
    """The package that a file belongs to, or the module at the top that it is."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(path: Path) -> str:
    """The dotted name of a file below the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def is_bare(path: Path) -> bool:
    package = package_of(path)
    return package in BARE or path.stem in BARE_MODULES.get(package, ())


def imported(path: Path, *, late: bool) -> set[str]:
    """Dotted names that a file imports: at module level, or anywhere when ``late``.

    What stands under ``if TYPE_CHECKING`` is not imported at all, and does not count.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not late:
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


def packages_in(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("aecodec.")}


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


def test_every_package_has_its_line():
    assert {package_of(path) for path in FILES} - {"weights"} == set(LINE)


def test_contributing_shows_the_same_lines():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = {
        name: int(number)
        for number, cell in re.findall(r"^\| (\d+) \| (.*?) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)/?`", cell)
    }
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"weights"}
    assert packages <= set(shown)
    assert shown == {name: LINE[name] for name in shown}


def test_no_other_module_stands_at_the_top():
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP_MODULES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_up(path):
    package = package_of(path)
    if package in ("__init__", "weights"):
        return  # __init__ is lazy: see test_import_is_light
    for other in packages_in(imported(path, late=True)) - {package}:
        assert LINE[other] < LINE[package], f"{package} imports {other}"


def test_no_package_imports_in_circles():
    """Nor does any module of one package, by whatever way round."""
    files = {module_of(path): path for path in FILES}
    arrows = {
        name: {
            other.removeprefix("aecodec.")
            for other in imported(path, late=True)
            if other.removeprefix("aecodec.") in files
        }
        - {name}
        for name, path in files.items()
        if name != "__init__"
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for other in arrows[name]:
            if not name.startswith(other + "."):  # a package's own __init__
                visit(other, (*way, name))
        done.add(name)

    for name in arrows:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_late(path):
    at_once = {name.split(".")[0] for name in imported(path, late=False)}
    if package_of(path) not in TORCH_AT_ONCE:
        assert "torch" not in at_once


@pytest.mark.parametrize("path", [path for path in FILES if is_bare(path)], ids=module_of)
def test_bare_modules_need_the_standard_library_alone(path):
    names = imported(path, late=False)
    assert {name.split(".")[0] for name in names} - {"aecodec"} <= set(sys.stdlib_module_names)
    for other in files_of(names):
        assert is_bare(other), f"{module_of(path)} imports {module_of(other)} at once"


def files_of(names: set[str]) -> Iterator[Path]:
    """The files of the package among dotted names."""
    for name in names:
        path = PACKAGE.joinpath(*name.split(".")[1:])
        if name.startswith("aecodec.") and path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")


def test_the_arrows_are_seen():
    """The parser above finds late imports, and tells them from early ones."""
    compress = PACKAGE / "cli/compress.py"
    assert "archive" in packages_in(imported(compress, late=True))
    assert "archive" not in packages_in(imported(compress, late=False))
    assert "container" in packages_in(imported(PACKAGE / "archive/array.py", late=False))


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
