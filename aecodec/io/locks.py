"""A lock that survives a fork."""

from __future__ import annotations

import os
import threading


class ForkLock:
    """A lock, which each process has for itself.

    A fork copies a lock as it is, and the thread that would open it is not there in the child. So
    the child takes a new one. A thread may take it again while it holds it. A copy of it, pickled
    or not, is a lock of its own.
    """

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.RLock()}

    def __enter__(self) -> None:
        self._of_process().acquire()

    def __exit__(self, *_: object) -> None:
        self._of_process().release()

    def __reduce__(self) -> tuple[type[ForkLock], tuple[()]]:
        return ForkLock, ()

    def _of_process(self) -> threading.RLock:
        lock = self._locks.get(os.getpid())
        return lock or self._locks.setdefault(os.getpid(), threading.RLock())  # one, in any thread
