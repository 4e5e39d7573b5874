"""Commands in processes forked from this one: status, CPU time, peak memory, bytes written."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

SAYS = 160  # characters of the last line that a command printed
ADDRESS_NBYTES = 12 << 30  # a process that wants more gets MemoryError
WALL_S = 120


class Outcome(NamedTuple):
    """What came of a command; ``left_behind`` are temporary names and others than its output.

    ``grown_nbytes`` is its peak of resident memory over what it began with.
    """

    status: int
    cpu_s: float
    grown_nbytes: int
    written_nbytes: int
    has_traceback: bool
    is_json: bool
    left_behind: list[str]
    says: str


def import_all() -> None:
    """Import the package with all its modules and what they use, in one thread."""
    import aecodec

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for module in pkgutil.walk_packages(aecodec.__path__, "aecodec."):
        with contextlib.suppress(ImportError):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in ("torch", "PIL.Image", "PIL.PngImagePlugin", "matplotlib.figure", "numba"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # its threads would not survive a fork


def run_forked(words: Sequence[str], output: Path, *, cpu_limit_s: int) -> Outcome:
    """Run ``aecodec`` with these arguments; ``output`` is an empty folder, removed at the end."""
    told = output.with_name("told.txt")
    pid = os.fork()
    if pid == 0:
        _child(words, told, cpu_limit_s)
    status, usage = _waited(pid)
    text = told.read_bytes()
    began_nbytes = int(told.with_suffix(".rss").read_text())
    written, left = size_of_tree(output), _left_behind(output)
    shutil.rmtree(output)
    lines = text.decode(errors="replace").strip().splitlines() or [""]
    return Outcome(
        os.waitstatus_to_exitcode(status),
        usage.ru_utime + usage.ru_stime,
        (usage.ru_maxrss << 10) - began_nbytes,
        written,
        b"Traceback (most recent call last)" in text,
        _is_json(text),
        left,
        lines[-1][:SAYS],
    )


def _child(words: Sequence[str], told: Path, cpu_limit_s: int) -> None:
    status = 70
    try:
        out = os.open(told, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_NBYTES, ADDRESS_NBYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit_s, cpu_limit_s + 1))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        from aecodec.cli import main

        told.with_suffix(".rss").write_text(str(_resident_nbytes()))
        Path("/proc/self/clear_refs").write_text("5")  # the peak of before is forgotten
        status = main(words)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  # all of it is told, and judged by who reads it
        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def written_by_fork(path: Path, make: Callable[[], bytes]) -> int:
    """Write a file from a process of its own, whose memory this one does not keep; its size."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            path.write_bytes(make())
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"{path.name} could not be made: status {status}")
    return path.stat().st_size


def _resident_nbytes() -> int:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _waited(pid: int) -> tuple[int, resource.struct_rusage]:
    """The status and usage of a process, which is killed if it takes too long."""
    end = time.monotonic() + WALL_S
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return status, usage
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage
        time.sleep(0.005)


def size_of_tree(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _left_behind(output: Path) -> list[str]:
    """Temporary files in the folder, and what is not called as the output is."""
    names = [path.name for path in output.iterdir()]
    return [name for name in names if name.endswith(".tmp") or not name.startswith("OUT")]


def _is_json(text: bytes) -> bool:
    """Whether a text is JSON as the standard has it, without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True
