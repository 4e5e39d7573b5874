"""Models are data: nothing in the repository can load or run a pickle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WRITES_A_PICKLE = ROOT / "formats/making/refused/models.py"  # readers must refuse the pickle
FILES = sorted(p for part in ("aecodec", "bench", "formats") for p in (ROOT / part).rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package"}


def faults(source: str) -> list[str]:
    """What could run code from data: modules, torch's own loaders, allow_pickle not False."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [module] if module.split(".")[0] in MODULES else []
            found += [n for a in node.names if (n := f"{module}.{a.name}") in CALLS]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CALLS:
            found.append(ast.unparse(node))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            safe = isinstance(node.value, ast.Constant) and node.value.value is False
            found += [] if safe else [ast.unparse(node)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle(path):
    source = path.read_text(encoding="utf-8")
    if path == WRITES_A_PICKLE:
        assert faults(source) == ["pickle"]
        assert source.count("pickle.") == source.count("pickle.dumps(")
    else:
        assert faults(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=flag)",
    ],
)
def test_the_test_sees_pickle(source):
    assert faults(source)
