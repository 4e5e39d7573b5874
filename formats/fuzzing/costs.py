"""CPU time and peak memory of one input, and what it may cost."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

from fuzzing.common import Finding

FIXED_S, S_PER_NBYTE = 1.5, 5e-6  # CPU time allowed, and for each byte that is read or written
FIXED_NBYTES, NBYTES_PER_NBYTE = 24 << 20, 3  # memory, likewise: of bytes in, and bytes out
TRIES = 3  # a cost too high is measured again, and the least of all counts


class Allowance(NamedTuple):
    """What a target may take besides what grows with its input and output."""

    cpu_s: float = FIXED_S
    nbytes: int = FIXED_NBYTES


class Cost(NamedTuple):
    """CPU seconds of this thread, and peak memory over what was there before."""

    cpu_s: float
    nbytes: int


class Meter:
    """Measures calls by the kernel's own peak, which it can set back; elsewhere time alone."""

    def __init__(self) -> None:
        self._reset: int | None = None
        with contextlib.suppress(OSError):
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def measure(self, work: Callable[[], None]) -> tuple[Cost, BaseException | None]:
        """What a call costs, and what it raises."""
        before = self._peak_after_reset()
        start = time.thread_time()
        raised: BaseException | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001  # it is raised again by who asked
            raised = error
        cpu_s = time.thread_time() - start
        nbytes = 0 if self._reset is None else self._peak() - before
        return Cost(cpu_s, nbytes), raised

    def _peak_after_reset(self) -> int:
        if self._reset is None:
            return 0
        os.write(self._reset, b"5")
        return self._peak()

    @staticmethod
    def _peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


METER = Meter()


def held_to(
    allowance: Allowance, work: Callable[[], None], data_nbytes: int, written: Callable[[], int]
) -> None:
    """Run ``work``; Finding if every one of TRIES runs costs too much. It raises what that does."""
    least = Cost(float("inf"), 1 << 60)
    for n in range(TRIES):
        if n:
            gc.collect()
        cost, raised = METER.measure(work)
        least = Cost(min(cost.cpu_s, least.cpu_s), min(cost.nbytes, least.nbytes))
        if isinstance(raised, Finding):
            raise raised
        moved = data_nbytes + written()
        most = Cost(
            allowance.cpu_s + S_PER_NBYTE * moved, allowance.nbytes + NBYTES_PER_NBYTE * moved
        )
        if least.cpu_s <= most.cpu_s and least.nbytes <= most.nbytes:
            break
    else:
        raise Finding(
            f"{least.cpu_s:.2f} s and {least.nbytes / 2**20:.0f} MiB of at most {most.cpu_s:.2f} s "
            f"and {most.nbytes / 2**20:.0f} MiB for {moved:,} bytes in and out"
        )
    if raised is not None:
        raise raised
