"""The lock that a forked child finds open."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from aecodec.io.locks import ForkLock


def test_one_thread_at_a_time():
    lock, inside, most = ForkLock(), [], []

    def work(i):
        with lock, lock:
            inside.append(i)
            most.append(len(inside))
            inside.remove(i)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(500)))
    assert max(most) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_does_not_wait_for_a_thread_of_its_parent():
    lock, held, leave = ForkLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if child == 0:
        with lock:
            os._exit(7)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with lock:
        pass


def test_a_copy_is_another_lock():
    lock = ForkLock()
    with lock, pickle.loads(pickle.dumps(lock)) as other:
        assert other is None
