"""A folder for outputs, and a watch over all that Python opens: nothing else may be touched."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzzing.common import VECTORS, Finding

INSTALLED = (sys.prefix, sys.base_prefix, "/usr", str(VECTORS.parent.parent / "aecodec"))
SYSTEM = ("/proc", "/sys", "/dev", "/etc")  # not for what takes names from a file
CHANGES = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "shutil.move", "shutil.rmtree", "shutil.copyfile",
}  # fmt: skip
RUNS = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
}


class Sandbox:
    """``output`` is where commands may write, under a name that begins with ``out``."""

    def __init__(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = tempfile.mkdtemp(prefix="aecodec-fuzzing-", dir=memory)
        self.input = os.path.join(self.root, "input")
        self.output = os.path.join(self.root, "a", "b", "output")
        spool = os.path.join(self.root, "spool")
        for folder in (self.input, self.output, spool):
            os.makedirs(folder)
        tempfile.tempdir = spool  # of files without a name
        os.environ["MPLCONFIGDIR"] = spool
        self._strange: list[str] = []
        self._reads: tuple[str, ...] | None = None
        self._pid = os.getpid()
        atexit.register(self._remove)
        sys.addaudithook(self._hook)

    def _remove(self) -> None:
        if os.getpid() == self._pid:
            shutil.rmtree(self.root, ignore_errors=True)

    def path(self, name: str) -> str:
        """A path for an output; the name begins with ``out``."""
        return os.path.join(self.output, name)

    @contextlib.contextmanager
    def watched(self, *, named_by_file: bool = False) -> Iterator[None]:
        """Finding at its end for what was opened for writing, changed or run elsewhere.

        With ``named_by_file``, nothing may be read either but what is installed.
        """
        self._strange.clear()
        self._reads = INSTALLED if named_by_file else (*INSTALLED, *SYSTEM, self.root)
        try:
            yield
        finally:
            self._reads = None
        if self._strange:
            raise Finding(f"touched {self._strange[0]}")
        self._check_folder()

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if self._reads is None:
            return
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int):
                return
            how = flags if isinstance(flags, int) else 0
            writes = how & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) or (
                isinstance(mode, str) and set(mode) & set("wax+")
            )
            self._judge(path, (self.root, "/dev/null") if writes else self._reads, event)
        elif event in CHANGES:
            self._judge(args[0], (self.root,), event)
        elif event in RUNS:
            self._strange.append(f"{event} {args[:1]}")

    def _judge(self, path: object, roots: tuple[str, ...], event: str) -> None:
        try:
            text = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return
        if "__pycache__" in text:
            return
        if not any(text == root or text.startswith(root + os.sep) for root in roots):
            self._strange.append(f"{event} {text!r}")

    def _check_folder(self) -> None:
        """Finding for a file where none belongs, and for one that is temporary."""
        above = os.path.dirname(self.output)
        places = [(self.root, {"input", "a", "spool"}), (os.path.dirname(above), {"b"})]
        places += [(above, {"output"})]
        for folder, names in places:
            if strange := set(os.listdir(folder)) - names:
                raise Finding(f"written outside: {strange}")
        for name in os.listdir(self.output):
            if not name.startswith("out"):
                raise Finding(f"left behind: {name}")

    def has_output(self) -> bool:
        """Whether anything was written."""
        return bool(os.listdir(self.output))

    def nbytes(self) -> int:
        """The bytes of all files that were written."""
        if not self.has_output():
            return 0
        return sum(p.lstat().st_size for p in Path(self.output).rglob("*") if p.is_file())

    def clean(self) -> None:
        """Remove what was written."""
        if self.has_output():
            shutil.rmtree(self.output, ignore_errors=True)
            os.makedirs(self.output, exist_ok=True)


BOX = Sandbox()
