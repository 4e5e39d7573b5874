"""numba that is there and does not work, or cannot keep what it compiles: every operation works."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import pixel_part

import aecodec
from aecodec import entropy
from aecodec.entropy import ans
from aecodec.models.model import Model
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid

pytest.importorskip("numba")

from aecodec.entropy import compiled
from aecodec.entropy.kernels import Kernels


@pytest.fixture(autouse=True)
def as_at_start(monkeypatch):
    """A process in which numba was not asked for yet."""
    working = list(compiled._prepared)
    monkeypatch.setattr(compiled, "_prepared", [])
    monkeypatch.setattr(entropy, "_broken", [])
    monkeypatch.delenv("AECODEC_NO_NUMBA", raising=False)
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    return working


@pytest.fixture
def working(as_at_start):
    """Compiled loops that work."""
    return as_at_start[0] if as_at_start else compiled._tried(compiled.compiling.kernels(None))


@pytest.fixture(scope="module")
def model() -> Model:
    """A model that asks the entropy coder, with a pixel model of random weights."""
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 2))
    return Model("random", (8, 8, 1), {part.name: part})


def round_trip(model: Model) -> None:
    """Images come back from a lossless file, whatever the coder."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    blob = aecodec.encode(images, model=model, lossless=True)
    assert np.array_equal(aecodec.decode(blob, model=model), images)


def fail(*_: object) -> None:
    """What LLVM does on a processor that it does not know."""
    raise RuntimeError("LLVM: cannot select")


FAULTS = {
    "when it is told to compile": fail,
    "when it compiles": lambda folder: Kernels(fail, fail, fail),
    "in its numbers": lambda folder: Kernels(lambda *_: 0, lambda *_: 0, lambda *_: 0),
}
IMPORT_ERRORS = ("ImportError", "SystemError", "AttributeError")


def break_numba(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let numba fail in one of its ways: as it is imported, or later."""
    if kind in FAULTS:
        monkeypatch.setattr(compiled.compiling, "kernels", FAULTS[kind])
        return
    (folder / "numba.py").write_text(f"raise {kind}('numba needs another NumPy')")
    monkeypatch.syspath_prepend(folder)
    for name in [n for n in sys.modules if n.split(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("compiled", "kernels"):
        monkeypatch.delitem(sys.modules, f"aecodec.entropy.{name}")
        monkeypatch.delattr(entropy, name)


@pytest.mark.parametrize("kind", [*IMPORT_ERRORS, *FAULTS])
def test_numpy_codes_where_numba_fails(kind, model, tmp_path, monkeypatch):
    break_numba(kind, tmp_path, monkeypatch)
    with pytest.warns(RuntimeWarning, match="numba is installed and does not work here"):
        round_trip(model)
    round_trip(model)  # a second warning would be an error here
    assert entropy.coder() is ans


def test_numpy_codes_where_warnings_are_errors(model, tmp_path, monkeypatch):
    break_numba("SystemError", tmp_path, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        round_trip(model)


@pytest.mark.parametrize("absent", [None, object()])
def test_numba_that_is_out_of_the_way_is_not_missed(absent, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", absent)
    round_trip(model)
    assert entropy.coder() is ans


def test_numba_that_may_not_compile_is_not_used(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert entropy.coder() is ans


@pytest.mark.parametrize("error", [OSError("no space"), RuntimeError("no locator"), EOFError()])
def test_what_cannot_be_kept_is_compiled_for_the_process(error, working, tmp_path, monkeypatch):
    def kernels(folder: Path | None) -> compiled.Kernels:
        asked.append(folder)
        if folder is not None:
            raise error
        return working

    asked: list[Path | None] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled.compiling._CONFIG, "CACHE_DIR", "")
    monkeypatch.setattr(compiled.compiling, "kernels", kernels)
    assert entropy.coder() is compiled
    assert [each is None for each in asked] == [False, True]


@pytest.mark.parametrize("folder", ["caches", "numba"])
def test_compiled_loops_are_kept_outside_of_the_package(folder, tmp_path, monkeypatch):
    """Where $NUMBA_CACHE_DIR says, or else in the caches of the user; numba's setting stays."""
    theirs = str(tmp_path / "numba") if folder == "numba" else ""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(compiled.compiling._CONFIG, "CACHE_DIR", theirs)
    for loop in vars(compiled.compiling.kernels(compiled.compiling.kernels_folder())).values():
        kept = Path(loop.stats.cache_path)
        assert kept.is_relative_to(tmp_path / folder)
    assert theirs == compiled.compiling._CONFIG.CACHE_DIR


def test_nothing_is_kept_where_no_folder_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for theirs in (str(tmp_path / "file"), ""):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        monkeypatch.setattr(compiled.compiling._CONFIG, "CACHE_DIR", theirs)
        assert compiled.compiling.kernels_folder() is None
    loops = vars(compiled.compiling.kernels(None)).values()
    assert all(loop.stats.cache_path is None for loop in loops)


def test_read_only_arrays_are_coded(working, monkeypatch):
    """A loop is compiled for one form of arrays: another one would be compiled, and kept, again."""
    monkeypatch.setattr(compiled, "_prepared", [working])
    raw = np.arange(60, dtype=np.int32).reshape(-1, 6)
    symbols = np.arange(10, dtype=np.uint8)
    for array in (raw, symbols):
        array.flags.writeable = False
    coded = compiled.intervals(raw[::-1], symbols, 0)
    np.testing.assert_array_equal(coded, ans.intervals(raw[::-1], symbols, 0))
    coded.flags.writeable = False
    payload = compiled.encode([coded])
    decoder = compiled.Decoder([payload], ["it"])
    np.testing.assert_array_equal(decoder.decode([raw[::-1]], 0)[0], symbols)
    decoder.finish()
    assert [len(loop.signatures) for loop in vars(working).values()] == [1, 1, 1]
