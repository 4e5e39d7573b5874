"""Work on native threads, in a process that forks or was forked.

torch computes on the threads of OpenMP. GNU's OpenMP keeps a pool of them for each thread that
gives it work, and a fork copies the pool without its threads: the one thread that goes on in the
child would wait for them for ever. Any other thread of the child gets a pool of its own. So a
helper thread does the work of that thread in the child.

A fork also copies the locks that other threads hold, of ours and of libraries, and in the child
nobody opens them. So a fork waits until no other thread is at work here.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_S = 10.0  # a fork waits no longer for other threads
FORKED_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC, among the flags of a process in Linux


class _Gate:
    """Knows the threads at work; while one forks, no other one comes in."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._start()

    def _start(self) -> None:
        self._changed = threading.Condition()
        self._inside: set[int] = set()  # identifiers of threads
        self._forking = False

    def _depth(self) -> int:
        return getattr(self._mine, "depth", 0)

    def enter(self) -> None:
        """Begin to work, at once if this thread is at work already."""
        if not self._depth():
            with self._changed:
                self._changed.wait_for(lambda: not self._forking)
                self._inside.add(threading.get_ident())
        self._mine.depth = self._depth() + 1

    def leave(self) -> None:
        """End the work that :meth:`enter` began."""
        self._mine.depth -= 1
        if not self._mine.depth:
            with self._changed:
                self._inside.discard(threading.get_ident())
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside; this one goes on holding the lock."""
        mine = {threading.get_ident()}
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._forking, PATIENCE_S)
        self._forking = True
        self._changed.wait_for(lambda: self._inside <= mine, PATIENCE_S)

    def after_fork(self) -> None:
        """Let the other threads of the parent in again."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Start anew, without the other threads."""
        self._start()


class _Child:
    """Whether this process was forked, and the helper of the thread that went on in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: ThreadPoolExecutor | None = None
        self._survivor: int | None = os.getpid() if _was_forked() else None

    def after_fork(self) -> None:
        """This thread is the one that goes on."""
        self._lock, self._helper = threading.Lock(), None
        self._survivor = threading.get_native_id()

    def needs_helper(self) -> bool:
        """Whether this thread may have a pool without threads, which it would use."""
        if self._survivor is None or self._survivor != threading.get_native_id():
            return False
        torch = sys.modules.get("torch")
        return torch is None or bool(torch.get_num_threads() > 1)

    def help(self, work: Callable[[], R]) -> R:
        """The result of the work, done on the helper thread."""
        with self._lock:
            if self._helper is None:
                self._helper = ThreadPoolExecutor(1, "aecodec-after-fork")
            helper = self._helper
        return helper.submit(work).result()


def _was_forked() -> bool:
    """Whether this process began by a fork, before this module was imported; Linux alone tells."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        return bool(int(stat.rpartition(")")[2].split()[6]) & FORKED_NOT_EXECUTED)
    except (OSError, ValueError, IndexError):
        return False


_GATE, _CHILD = _Gate(), _Child()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_GATE.before_fork,
        after_in_parent=_GATE.after_fork,
        after_in_child=_GATE.after_fork_in_child,
    )
    os.register_at_fork(after_in_child=_CHILD.after_fork)


def fork_safe(function: Callable[P, R]) -> Callable[P, R]:
    """The function, for work of moderate length on native threads or under locks of a library.

    It works in a forked child, and a fork waits until the work of other threads is done.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if _CHILD.needs_helper():
            return _CHILD.help(functools.partial(wrapper, *args, **kwargs))
        _GATE.enter()
        try:
            return function(*args, **kwargs)
        finally:
            _GATE.leave()

    return wrapper


def after_fork_on_helper(function: Callable[P, R]) -> Callable[P, R]:
    """The function, for long work such as training: no fork waits for it."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if _CHILD.needs_helper():
            return _CHILD.help(functools.partial(function, *args, **kwargs))
        return function(*args, **kwargs)

    return wrapper
