"""What commands that show, map and clean images of a stranger's file take over an idle process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "formats"))

from making.hostile.kind import zeros_file

MOST_NBYTES = 64 << 20
# In a process of its own, where each command ran once before on a small file of the same kind.
PROBE = """
import json, os, sys
from aecodec.cli import main

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))

for words in json.loads(sys.argv[1]):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    outcome = main([*words, "-f", "-q"])
    written = sum(os.path.getsize(word) for word in words if word.startswith("OUT"))
    print(json.dumps([outcome, status("VmHWM") - before - written]), flush=True)
"""
FILES = {
    "few.aez": (40, 28, 1),
    "black.aez": (20_000, 28, 1),
    "small.aez": (400_000, 4, 1),
    "wide.aez": (300, 90, 1),
    "large.aez": (1, 5600, 1),
}
LINEAR = ["--linear", "--steps", "1"]


def commands(name: str) -> dict[str, list[str]]:
    """The commands on a file, by what they are called here."""
    return {
        "map": ["map", name, *LINEAR, "-o", "OUT.npy"],
        "map page": ["map", name, *LINEAR, "-o", "OUT.html"],
        "view": ["view", name, "-o", "OUT.html"],
        "sheet": ["sheet", name, "--against", name.replace("aez", "npy"), "-o", "OUT.png"],
        "denoise": ["denoise", name, "--model", "mnist", "-o", "OUT.npy"],
    }


ASKED = {
    "few.aez": ["map page", "view"],
    "black.aez": ["map page"],
    "small.aez": ["map", "view"],
    "wide.aez": ["map"],
    "large.aez": ["map", "view", "denoise"],
}
REFUSED = {("wide.aez", "map"), ("large.aez", "map"), ("large.aez", "denoise")}


def test_little_files_take_little_memory(tmp_path):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("no /proc/self/clear_refs to measure memory with")
    for name, (count, side, chunks) in FILES.items():
        (tmp_path / name).write_bytes(zeros_file(count, side, chunks=chunks))
        np.save(tmp_path / name.replace("aez", "npy"), np.zeros((count, side, side), np.uint8))
    runs = [(name, command) for name, asked in ASKED.items() for command in asked]
    words = json.dumps([commands(name)[command] for name, command in runs])
    run = subprocess.run(
        [sys.executable, "-c", PROBE, words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = dict(zip(runs, map(json.loads, run.stdout.splitlines()), strict=True))
    for of, (status, nbytes) in measured.items():
        if of[0] != "few.aez":
            assert nbytes <= MOST_NBYTES, (of, nbytes >> 20)
        assert status == (4 if of in REFUSED else 0), (of, run.stderr)
