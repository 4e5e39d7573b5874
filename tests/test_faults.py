"""Faults, really brought about: processes killed, disks full, reads that fail, pipes that close."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

import aecodec
from aecodec.cli import main, models
from aecodec.errors import AezChangedError
from aecodec.io.atomic import atomic_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes, limits and permissions")

IMAGES = np.random.default_rng(0).integers(0, 256, (400, 8, 8), np.uint8)
CHUNK = 16
COMPRESS = ["compress", "in.npy", "-o", "out.aez", "--model", "none", "--chunk", str(CHUNK)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", IMAGES)
    return tmp_path


@pytest.fixture(scope="module")
def packed() -> bytes:
    return aecodec.encode(IMAGES, model="none", chunk_images=CHUNK)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aecodec", *arguments]


# In one process, which forks for each command: a new interpreter would import torch every time.
# From there on a child is as a new process: it has files of its own and ends as Python ends.
FORKING = """
import gc, json, os, runpy, sys, time
import aecodec, aecodec.cli

_ = [getattr(aecodec, name) for name in aecodec.__all__]  # all is imported, once
gc.freeze()  # else a child copies it all as it ends, only to free it
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child:
        if order["kill_after_s"] is not None:
            time.sleep(order["kill_after_s"])
            os.kill(child, 9)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(order["cwd"])
    for number, path in enumerate(order["files"]):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    sys.stdin = open(0)
    sys.argv = ["aecodec", *order["arguments"]]
    runpy.run_module("aecodec", run_name="__main__")
"""
forking: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module", autouse=True)
def end_forking() -> Iterator[None]:
    yield
    for process in forking:
        process.communicate()
    forking.clear()


def run(
    *arguments: str, stdin: str = os.devnull, stdout: str = "", kill_after_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; ``stdin`` and ``stdout`` are paths."""
    if not forking:
        starting = [sys.executable, "-c", FORKING]
        forking.append(subprocess.Popen(starting, stdin=-1, stdout=-1, text=True))
    (process,) = forking
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        err.touch()  # a command may be killed before it opens it
        order = {"arguments": arguments, "cwd": os.getcwd(), "kill_after_s": kill_after_s}
        print(
            json.dumps({**order, "files": [stdin, stdout or str(out), str(err)]}),
            file=process.stdin,
            flush=True,
        )
        status = int(process.stdout.readline())
        told = out.read_text() if out.exists() else ""
        return subprocess.CompletedProcess(arguments, status, told, err.read_text())


def leftovers(folder: Path, *known: str) -> list[str]:
    return sorted(set(os.listdir(folder)) - {"in.npy", *known})


# In one process, which forks for each try: a new interpreter for every byte would take minutes.
KILLED = """
import os, resource, signal, sys
import aecodec
import numpy as np

source, output, action, *sizes = sys.argv[1:]
images = np.load(source)
aecodec.encode(images[:1], model="none")  # all is imported, once
for size in map(int, sizes):
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status),
              os.path.exists(output), flush=True)
        if os.path.exists(output):
            os.unlink(output)
        continue
    # The system ends the process, or the write, at exactly this byte of the file.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if action == "kill" else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        aecodec.compress(images, output, model="none", chunk_images=16)
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)
"""


@pytest.mark.parametrize("action", ["kill", "refuse"])
def test_ended_at_any_byte_of_the_output(folder, packed, action):
    """Killed, or out of room: the output is not there, but for what is whole."""
    nbytes = len(packed)
    sizes = [*range(0, nbytes, 149), *range(nbytes - 60, nbytes), nbytes, nbytes + 1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "in.npy", "out.aez", action, *map(str, sizes)],
        capture_output=True,
        text=True,
        check=True,
    )
    ends = [line.split() for line in done.stdout.splitlines()]
    assert len(ends) == len(sizes)
    ended = str(int(signal.SIGXFSZ)) if action == "kill" else "-27"  # EFBIG
    for size, (status, is_there) in zip(sizes, ends, strict=True):
        assert (status, is_there) == (("0", "True") if size >= nbytes else (ended, "False")), size
    parts = leftovers(folder)
    if action == "refuse":
        assert parts == []
    else:  # nobody is left to tidy up; the names say what they are
        assert all(name.startswith(".out.aez.") and name.endswith(".tmp") for name in parts)


@pytest.mark.parametrize("existing", [False, True])
def test_killed_at_any_moment(folder, existing):
    """kill -9 while it reads, encodes and writes: the old file, or the new one."""
    np.save("in.npy", np.tile(IMAGES, (20, 1, 1)))
    if existing:
        aecodec.compress(IMAGES, "out.aez", model="none")
        old = Path("out.aez").read_bytes()
    start = time.monotonic()
    assert run(*COMPRESS, "-f").returncode == 0
    whole_s = time.monotonic() - start
    new = Path("out.aez").read_bytes()
    killed = 0
    for i in range(16):
        Path("out.aez").unlink()
        if existing:
            Path("out.aez").write_bytes(old)
        status = run(*COMPRESS, "-f", kill_after_s=whole_s * 0.05 * i).returncode
        killed += status == -signal.SIGKILL
        found = Path("out.aez").read_bytes() if Path("out.aez").exists() else None
        assert found in ((old, new) if existing else (None, new))
        if found is None:
            Path("out.aez").write_bytes(new)
    assert killed
    np.testing.assert_array_equal(np.load("in.npy"), np.tile(IMAGES, (20, 1, 1)))


def test_stopped_by_a_signal(folder):
    """SIGTERM, SIGINT and SIGHUP leave nothing behind and say so."""
    np.save("in.npy", np.tile(IMAGES, (500, 1, 1)))
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
        process = subprocess.Popen(
            command(*COMPRESS), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        while not leftovers(folder) and process.poll() is None:  # until it begins to write
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        assert (process.returncode, told) == (status, "aecodec: interrupted\n")
        assert leftovers(folder) == []


def test_signals_that_are_ignored_stay_so(monkeypatch):
    """As ``nohup`` has it."""
    monkeypatch.setattr(models, "run", lambda _: signal.raise_signal(signal.SIGHUP) or 0)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["models"]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert main(["models"]) == 129
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


CLOSED = """
import os, pty, signal, sys
import aecodec.cli
from aecodec.cli import models

def close(_):
    os.close(theirs)  # the terminal is gone, and the system sends SIGHUP
    signal.pause()
    return 0

models.run = close
theirs, ours = pty.openpty()
os.setsid()
os.close(os.open(os.ttyname(ours), os.O_RDWR))  # it becomes the terminal of this process
status = os.dup(1)
os.dup2(ours, 1)
os.dup2(ours, 2)
os.close(ours)
signal.alarm(20)
os.write(status, str(aecodec.cli.main(["models"])).encode())
"""


def test_the_terminal_is_closed():
    """Nothing can be said any more, and that is no error of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSED],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=False,
    )
    assert (done.returncode, done.stdout) == (0, "129")


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype("u1")), "Unable to allocate"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 43 bytes"), "allocate memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "failed to map"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "Cannot allocate memory"),
    ],
)
def test_memory_that_is_short(error, told, folder, monkeypatch, capsys):
    def run(_: object) -> int:
        with atomic_path("out.npy") as temporary:
            temporary.write_bytes(b"some")
            raise error

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("aecodec: not enough memory")
    assert told in err
    assert err.count("\n") == 1
    assert leftovers(folder) == []


SHORT = """
import re, resource, sys
import aecodec.cli
import numpy as np

aecodec.decode(aecodec.encode(np.zeros((2, 8, 8), np.uint8), model="none"))  # all is imported
text = open("/proc/self/status").read()
used = int(re.search(r"VmSize:\\s+([0-9]+) kB", text)[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), used + (4 << 20)))
sys.exit(aecodec.cli.main(["decompress", "x.aez", "-o", "y.npy", "-q"]))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
def test_memory_that_is_really_short(folder):
    images = np.zeros((20, 1000, 1000), np.uint8)
    aecodec.compress(images, "x.aez", model="none", chunk_images=20)
    done = subprocess.run(
        [sys.executable, "-c", SHORT], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith("aecodec: not enough memory")
    assert done.returncode == 1
    assert leftovers(folder, "x.aez") == []


def test_memory_errors_stay_what_they_are(folder):
    def fail(*_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        aecodec.compress(IMAGES, "out.aez", model="none", progress=fail)
    assert leftovers(folder) == []


# ---------------------------------------------------------------- full disks


@contextlib.contextmanager
def mounted(options: str) -> Iterator[Path]:
    """A file system in memory, mounted with these options."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a file system needs root")
    place = Path(tempfile.mkdtemp())
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        place.rmdir()
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 64 KiB."""
    with mounted("size=64k") as place:
        yield place


def test_full_disk(folder, small_disk, packed):
    np.save("in.npy", np.tile(IMAGES, (5, 1, 1)))  # 128,000 bytes of noise
    output = small_disk / "out.aez"
    done = run(*COMPRESS[:3], str(output), *COMPRESS[4:])
    assert (done.returncode, os.listdir(small_disk)) == (1, [])
    assert done.stderr == f"aecodec: {output}: No space left on device\n"
    output.write_bytes(packed)
    done = run(*COMPRESS[:3], str(output), *COMPRESS[4:], "-f")
    assert (done.returncode, os.listdir(small_disk)) == (1, ["out.aez"])
    assert output.read_bytes() == packed
    Path("all.aez").write_bytes(aecodec.encode(np.load("in.npy"), model="none", chunk_images=16))
    for arguments in (
        ["decompress", "all.aez", "-o", str(small_disk / "out.npy")],
        ["decompress", "all.aez", "-o", str(small_disk / "out"), "--to", "folder"],
        ["decompress", "all.aez", "-o", str(small_disk / "out.npz")],
        ["decompress", "all.aez", "-o", str(small_disk / "out-idx3-ubyte")],
        ["repair", "all.aez", "-o", str(small_disk / "new.aez")],
        ["view", "all.aez", "-o", str(small_disk / "page.html")],
    ):
        done = run(*arguments)
        assert (done.returncode, os.listdir(small_disk)) == (1, ["out.aez"]), arguments
        assert "No space left on device" in done.stderr
        assert arguments[arguments.index("-o") + 1] in done.stderr
        assert ".tmp" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_standard_output(folder, packed):
    Path("x.aez").write_bytes(packed)
    for arguments in (
        ["compress", "in.npy", "-o", "-", "--model", "none"],
        ["decompress", "x.aez", "-o", "-"],
        ["info", "x.aez"],
    ):
        done = run(*arguments, stdout="/dev/full")
        assert done.returncode == 1, arguments
        assert done.stderr == "aecodec: standard output: No space left on device\n"


# ---------------------------------------------------------------- inputs that fail


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no /proc/self/mem")
def test_read_error(folder):
    """A file whose first byte cannot be read: the system says EIO."""
    for arguments in (
        ["info", "/proc/self/mem"],
        ["verify", "/proc/self/mem"],
        ["decompress", "/proc/self/mem", "-o", "out.npy"],
        ["repair", "/proc/self/mem", "-o", "out.aez"],
        ["compress", "/proc/self/mem", "-o", "out.aez", "--model", "none"],
    ):
        done = run(*arguments)
        assert done.returncode in (1, 3), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert leftovers(folder) == []


class FailingFile:
    """A file that stops answering after so many bytes."""

    def __init__(self, file: BinaryIO, nbytes: int) -> None:
        self._file, self._left = file, nbytes

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(5, "Input/output error")
        return data

    def __getattr__(self, name: str):
        return getattr(self._file, name)


@pytest.mark.parametrize("nbytes", [0, 100, 5000, 20000])
def test_read_error_in_the_middle(folder, packed, nbytes):
    Path("x.aez").write_bytes(packed)
    with open("in.npy", "rb") as images, pytest.raises(OSError, match="Input/output error"):
        aecodec.compress(FailingFile(images, nbytes), "out", model="none")
    with open("x.aez", "rb") as file, pytest.raises(OSError, match="Input/output error"):
        aecodec.decompress(FailingFile(file, nbytes), "out", kind="npy")
    assert leftovers(folder, "x.aez") == []


def test_input_that_shrinks(folder, packed):
    """Cut by another process after it was opened."""
    Path("x.aez").write_bytes(packed)
    with aecodec.open("x.aez") as archive:
        os.truncate("x.aez", 5000)
        with pytest.raises(AezChangedError, match="was overwritten after it was opened"):
            archive[300]
    Path("x.aez").write_bytes(packed)
    with aecodec.open("x.aez") as archive:
        os.unlink("x.aez")  # an open file is still there
        np.testing.assert_array_equal(archive[300], IMAGES[300])


def test_pictures_that_vanish(folder):
    image = pytest.importorskip("PIL.Image")
    os.mkdir("set")
    for i in range(60):
        image.fromarray(IMAGES[i]).save(f"set/{i:02}.png")
    seen = []

    def vanish(done: int, total: int) -> None:
        seen.append((done, total))
        with contextlib.suppress(FileNotFoundError):
            os.unlink("set/59.png")

    with pytest.raises((OSError, aecodec.AezError, ValueError), match=r"59\.png"):
        aecodec.compress("set", "out.aez", model="none", chunk_images=8, progress=vanish)
    assert seen
    assert leftovers(folder, "set") == []


def test_inputs_that_are_not_there(folder):
    os.mkdir("empty")
    for arguments, status in (
        (["compress", "no.npy", "-o", "out.aez"], 1),
        (["decompress", "no.aez", "-o", "out.npy"], 1),
        (["info", "empty"], 1),
        (["repair", "no.aez", "-o", "out.aez"], 1),
        (["compress", "empty", "-o", "out.aez"], 1),
    ):
        done = run(*arguments)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert leftovers(folder, "empty") == []


# ---------------------------------------------------------------- outputs that refuse


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that may not be written to; to root none is but on a disk that is read-only."""
    if os.geteuid() == 0:
        with mounted("ro") as place:
            yield place
        return
    place = Path(tempfile.mkdtemp())
    place.chmod(0o555)
    yield place
    place.rmdir()


def test_folder_that_may_not_be_written(folder, packed, locked):
    Path("x.aez").write_bytes(packed)
    for arguments in (
        ["compress", "in.npy", "-o", f"{locked}/out.aez", "--model", "none"],
        ["decompress", "x.aez", "-o", f"{locked}/out.npy"],
        ["repair", "x.aez", "-o", f"{locked}/out.aez"],
    ):
        done = run(*arguments)
        assert done.returncode == 1, done.stderr
        assert "Permission denied" in done.stderr or "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr
    assert os.listdir(locked) == []
    assert Path("x.aez").read_bytes() == packed


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_goes_away(folder, unbuffered):
    """A pipe that closes early: status 1, and not a word."""
    noise = np.random.default_rng(0).integers(0, 256, (16_000, 8, 8), np.uint8)
    np.save("in.npy", noise)  # however it is coded, more than the pipe holds
    aecodec.compress("in.npy", "x.aez", model="none")
    for arguments in (
        ["decompress", "x.aez", "-o", "-"],
        ["compress", "in.npy", "-o", "-", "--model", "none"],
    ):
        process = subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        told = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), told) == (1, b"")


def test_writer_that_goes_away(folder):
    """A pipe that ends before its images do: nothing is written."""
    data = Path("in.npy").read_bytes()
    for nbytes in (0, 50, 1000, len(data) - 1):
        Path("start.npy").write_bytes(data[:nbytes])
        done = run("compress", "-", "-o", "out.aez", "--model", "none", stdin="start.npy")
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert leftovers(folder, "start.npy") == []


@pytest.mark.parametrize("force", [False, True])
def test_two_writers_to_one_output(folder, force):
    """The file is one's or the other's, whole; without -f the first keeps it."""
    np.save("a.npy", np.tile(IMAGES, (3, 1, 1)))
    np.save("b.npy", np.tile(IMAGES[::-1], (3, 1, 1)))
    options = ["-o", "out.aez", "--model", "none", "--lossless", *(["-f"] if force else [])]
    processes = [
        subprocess.Popen(
            command("compress", name, *options, "--json"), stdout=-1, stderr=-1, text=True
        )
        for name in ("a.npy", "b.npy")
    ]
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    statuses = [status for _, status in ends]
    assert set(statuses) <= {0, 1}
    assert 0 in statuses
    assert aecodec.verify("out.aez", full=True) == 1200
    found = aecodec.decode(Path("out.aez").read_bytes())
    sets = [np.load("a.npy"), np.load("b.npy")]
    assert any(np.array_equal(found, images) for images in sets)
    if force:
        assert statuses == [0, 0]
    for (told, errors), status in ends:
        if status:
            assert "out.aez: exists" in errors or "out.aez exists" in errors
        else:
            assert json.loads(told)["images"] == 1200
    assert leftovers(folder, "a.npy", "b.npy", "out.aez") == []


def test_sources_are_never_written_to(folder, packed):
    """Whatever is asked for, what is read stays: as output of itself, of a repair, in a folder."""
    Path("x.aez").write_bytes(packed)
    for arguments in (
        ["compress", "in.npy", "-o", "in.npy", "-f"],
        ["decompress", "x.aez", "-o", "x.aez", "-f"],
        ["repair", "x.aez", "-o", "x.aez", "-f"],
        ["decompress", "x.aez", "-o", ".", "--to", "folder", "-f"],
    ):
        done = run(*arguments)
        assert done.returncode in (1, 2), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert Path("x.aez").read_bytes() == packed
    np.testing.assert_array_equal(np.load("in.npy"), IMAGES)
    assert leftovers(folder) == ["x.aez"]
