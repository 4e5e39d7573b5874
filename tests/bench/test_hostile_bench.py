"""The bench of hostile files, run small: it measures, and it sees what breaks a promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "formats"))

import hostile
from forked import Outcome
from making.hostile import KINDS, Kind
from making.hostile.kind import file_with

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="no /proc/self/clear_refs"
)


def run(tmp_path, *arguments):
    command = [sys.executable, ROOT / "bench" / "hostile.py", *arguments, "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, json.loads((tmp_path / "hostile.json").read_text())["rows"]


def test_few_kinds_and_commands(tmp_path):
    kinds = [
        "--kind",
        "names: dots",
        "--kind",
        "META: lone surrogates",
        "--kind",
        "zstd of more",
    ]
    done, rows = run(tmp_path, *kinds, "--command", "info", "--command", "to folder")
    assert done.returncode == 0, done.stderr
    assert [(row["kind"], row["command"]) for row in rows[:2]] == [
        ("META: lone surrogates", "info"),
        ("META: lone surrogates", "to folder"),
    ]
    assert {row["status"] for row in rows} <= {0, 3, 4, 6}
    assert all(row["over_idle_nbytes"] <= hostile.MOST_NBYTES for row in rows)
    assert "| names: dots |" in done.stdout


def test_a_folder_of_files(tmp_path):
    (tmp_path / "sound.aez").write_bytes(file_with([]))
    (tmp_path / "cut.aez").write_bytes(file_with([])[:-9])
    done, rows = run(tmp_path, tmp_path, "--command", "verify", "--command", "repair")
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in rows] == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("status", "peak_nbytes", "changes", "broken"),
    [
        (0, 10, {}, []),
        (6, 10, {}, []),
        (1, 10, {"has_traceback": True}, ["a traceback"]),
        (1, 10, {}, ["status 1"]),
        (-24, 10, {}, ["status -24"]),
        (0, 80 << 20, {}, ["80 MiB"]),
        (0, 80 << 20, {"written_nbytes": 20 << 20}, []),
        (3, 10, {"left_behind": [".OUT.tmp"]}, ["left .OUT.tmp"]),
        (0, 10, {"is_json": False}, ["what it printed is no JSON"]),
    ],
)
def test_what_breaks_a_promise(tmp_path, monkeypatch, status, peak_nbytes, changes, broken):
    found = Outcome(status, 0.1, peak_nbytes, 0, False, True, [], "")._replace(**changes)
    idle = Outcome(0, 0.1, 0, 0, False, True, [], "")
    bench = hostile.Bench(tmp_path)
    monkeypatch.setattr(bench, "idle", lambda *_: idle)
    monkeypatch.setattr(bench, "run", lambda *_: found)
    path = tmp_path / "in.aez"
    path.write_bytes(b"")
    kind = Kind("k", "of so many", file_with)
    (row,) = bench.measure(kind, 1, path, ["info --json"])
    assert row.broken == broken


def test_what_is_not_linear():
    def rows(*times):
        sizes = zip((1, 2, 4), times, strict=True)
        return [hostile.Row("k", "info", size, 9, 0, cpu_s, 0, 0, "") for size, cpu_s in sizes]

    assert not list(hostile.not_linear(rows(0.0, 0.1, 0.2)))
    assert not list(hostile.not_linear(rows(1.0, 2.0, 4.4)))
    ((row, text),) = hostile.not_linear(rows(1.0, 4.0, 16.0))
    assert (row.size, text) == (4, "1.00 s, then 16.00 s for 4 times")


def test_kinds_are_made_in_small_sizes():
    for kind in KINDS.values():
        if kind.name not in ("one image of noise", "one chunk as told"):  # which take seconds
            assert kind.make(min(kind.size, 8)), kind.name


@pytest.mark.slow
def test_every_kind_keeps_the_promises(tmp_path):
    done, _ = run(tmp_path)
    assert done.returncode == 0, done.stderr
