"""Networks in forked processes, and in a parent whose other threads are at work.

The scripts run in a process of their own, with two threads of OpenMP. A child that hangs is ended
by an alarm, and its exit status then tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from aecodec.forks import _Gate

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

START = """
import multiprocessing, os, signal, threading, traceback
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import torch
"""
USE = """
import aecodec
from aecodec.demo import load_sample

torch.set_num_threads(2)
images = load_sample()[:40]
OPTIONS = [{"quality": 3}, {"lossless": True}, {"quality": 3, "coder": "ans", "effort": 4}]

def encode():
    return [aecodec.encode(images, model="fashion", **options) for options in OPTIONS]

def work():
    signal.alarm(60)  # in place of hanging for ever
    assert encode() == blobs
    assert all(np.array_equal(aecodec.decode(b), d) for b, d in zip(blobs, decoded))
    assert torch.get_num_threads() == 2
    return True

def in_fork(work):
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

blobs = encode()
decoded = [aecodec.decode(blob) for blob in blobs]
"""
SCRIPTS = {
    "os.fork": "assert in_fork(work) == 0",
    "a child of a child": "assert in_fork(lambda: work() and in_fork(work) == 0 or 1 / 0) == 0",
    "multiprocessing": """
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0
""",
    "concurrent.futures": """
context = multiprocessing.get_context("fork")
with ProcessPoolExecutor(2, mp_context=context) as pool:
    assert [pool.submit(work).result() for _ in range(3)] == [True] * 3
""",
    "from a thread": """
found = []
thread = threading.Thread(target=lambda: (work(), found.append(in_fork(work))))
thread.start()
thread.join()
assert found == [0]
""",
    "a new network in the child": """
def fresh():
    codec = aecodec.Codec(aecodec.load_model("fashion"))
    for blob, images in zip(blobs, decoded):
        with aecodec.open(blob, codec=codec) as archive:
            assert np.array_equal(archive[:], images)

assert in_fork(lambda: (signal.alarm(60), fresh())) == 0
""",
    "while other threads are at work": """
done = threading.Event()

def busy():
    while not done.is_set():
        aecodec.decode(blobs[0])
        aecodec.Codec(aecodec.load_model("fashion")).networks.pixels()

threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
try:
    assert [in_fork(work) for _ in range(3)] == [0] * 3
finally:
    done.set()
""",
}


def run(script: str) -> None:
    """Run a script with two threads of OpenMP."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_fork
def test_networks_work_after_a_fork():
    parts = [f"print({name!r}, flush=True)\n{script}" for name, script in SCRIPTS.items()]
    run("\n".join([START, USE, *parts]))  # in one process, which takes seconds to start


@needs_fork
def test_networks_work_where_torch_was_used_before_the_fork_and_the_package_was_not():
    run(f"""{START}
torch.set_num_threads(2)
x = torch.ones(512, 512)
(x @ x + x).sum()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    signal.alarm(60)
    {"; ".join(line for line in USE.splitlines() if line.startswith(("import", "from")))}
    images = load_sample()[:64]
    blob = aecodec.encode(images, model="fashion", lossless=True)
    assert np.array_equal(aecodec.decode(blob), images)
    os._exit(0)
""")


# ---------------------------------------------------------------- the gate


def in_thread(work) -> threading.Thread:
    """A thread that does the work."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_fork_waits_for_the_work_of_other_threads():
    gate, order, entered = _Gate(), [], threading.Event()

    def fork() -> None:
        gate.before_fork()
        order.append("fork")
        gate.after_fork()

    def late() -> None:
        gate.enter()
        order.append("late")
        gate.leave()

    gate.enter()
    gate.enter()  # work within work
    forking = in_thread(lambda: (entered.set(), fork()))
    entered.wait(10)
    while not gate._forking:
        pass
    coming = in_thread(late)
    gate.leave()
    order.append("still at work")
    gate.leave()
    forking.join(10)
    coming.join(10)
    assert order == ["still at work", "fork", "late"]


def test_a_thread_at_work_may_fork():
    gate = _Gate()
    gate.enter()
    gate.before_fork()
    gate.after_fork_in_child()
    gate.leave()
    gate.before_fork()
    gate.after_fork()
