import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aecodec.io import temporary
from aecodec.io.atomic import atomic_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes")

WRITING = """
import sys, time
from aecodec.io.atomic import atomic_path

with atomic_path(sys.argv[1], force=True, directory=sys.argv[2] == "d") as path:
    print(path, flush=True)
    time.sleep(600)
"""


def start(name, *, directory=False):
    """A process that writes, and its temporary file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, name, "d" if directory else "f"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def kill(process):
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def write(name, *, directory=False):
    with atomic_path(name, force=True, directory=directory) as path:
        if directory:
            (path / "0.png").touch()


def test_the_next_run_removes_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dead, left = start("out.aez")
    living, kept = start("out.aez")
    other, others = start("other.aez")
    folder, tree = start("pics", directory=True)
    try:
        assert left.name.startswith(".out.aez.aecodec-")
        assert f"-{dead.pid}-" in left.name
        for process in (dead, other, folder):
            kill(process)
        write("out.aez")
        assert not left.exists()
        assert kept.exists()  # its process runs
        assert others.exists()  # of another output
        write("pics", directory=True)
        assert not tree.exists()
    finally:
        kill(living)


def test_what_an_empty_folder_keeps_of_a_killed_run_is_no_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("pics")
    process, left = start("pics", directory=True)
    assert left.parent == tmp_path / "pics"
    kill(process)
    with atomic_path("pics", directory=True) as path:
        (path / "0.png").touch()
    assert os.listdir("pics") == ["0.png"]


def test_another_host_is_left_alone(tmp_path, monkeypatch):
    process, left = start(str(tmp_path / "out"))
    kill(process)
    elsewhere = left.with_name(left.name.replace("aecodec-", "aecodec-elsewhere"))
    left.rename(elsewhere)
    write(tmp_path / "out")
    assert elsewhere.exists()


def test_a_number_of_our_own_that_is_not_in_use_is_a_dead_run(tmp_path):
    with atomic_path(tmp_path / "out", force=True) as ours:
        stale = ours.with_name(ours.name[: -len("000000000000.tmp")] + "0" * 12 + ".tmp")
        stale.touch()
        with atomic_path(tmp_path / "out", force=True) as second:
            assert ours.exists()
            assert second.exists()
            assert not stale.exists()


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path):
    aside = temporary.new_temporary(tmp_path, "pics", mode=0o700, directory=True, suffix=".old")
    (aside / "pics").mkdir()
    (aside / "pics" / "0.png").write_bytes(b"old")
    temporary._LIVE.discard(aside.name)
    temporary.remove_leftovers(tmp_path, "pics")
    assert (tmp_path / "pics" / "0.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["pics"]


def test_a_moment_of_two_writers(tmp_path):
    """Writers in one process remove none of each other's files."""
    with atomic_path(tmp_path / "a", force=True) as first:
        with atomic_path(tmp_path / "a", force=True):
            time.sleep(0)
        assert first.exists()
