"""The functions of :mod:`aecodec.entropy.ans`, compiled by numba; the payloads are the same.

It is imported only where numba is installed (the extra ``fast``). One thread decodes a stream.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.entropy import ans
from aecodec.entropy import kernels as compiling
from aecodec.entropy.ans import LANES, STATE_MIN, ByteSymbols, Intervals, Raw
from aecodec.entropy.kernels import Kernels
from aecodec.entropy.mixture import inverse_table, level_count, sigmoid_table, weight_table
from aecodec.errors import AezCorruptError
from aecodec.forks import fork_safe

_preparing = threading.Lock()
_prepared: list[Kernels] = []


def kernels() -> Kernels:
    """The compiled loops, tried out; any error of numba where it does not work."""
    if not _prepared:
        _prepare()
    return _prepared[0]


@fork_safe  # numba compiles under a lock of its own
def _prepare() -> None:
    with _preparing:
        if _prepared:
            return
        folder = compiling.kernels_folder()
        if folder is not None:
            try:
                _prepared.append(_tried(compiling.kernels(folder)))
                return
            except Exception:  # noqa: BLE001, S110  # a folder that is full or damaged, no locator
                pass
        _prepared.append(_tried(compiling.kernels(None)))


def _tried(loops: Kernels) -> Kernels:
    """The loops; RuntimeError if they compute other numbers than NumPy does."""
    raw = np.arange(-400, 500, 10, dtype=np.int32).reshape(-1, 6)
    symbols = np.arange(len(raw), dtype=np.uint8)
    expected = ans.intervals(raw, symbols, 0)
    first, frequency = np.empty_like(expected)
    loops.intervals(raw, symbols, level_count(0), 1, _tables(), first, frequency)
    payload = ans.encode([expected])
    states, words = np.full(LANES, STATE_MIN, np.uint64), np.empty(len(raw), np.uint32)
    position = int(loops.encode_plane(expected, states, words, len(raw)))
    coded = states.astype("<u8").tobytes() + words[position:].astype("<u4").tobytes()
    states, words = ans.read_states(payload, "trial"), ans.read_words(payload, "trial")
    decoded = np.empty_like(symbols)
    end = loops.decode_plane(raw, words, 0, states, level_count(0), 1, _tables(), decoded)
    found = (np.stack([first, frequency]).tobytes(), coded, decoded.tobytes(), int(end))
    if found != (expected.tobytes(), payload, symbols.tobytes(), len(words)):
        raise RuntimeError("numba computes other numbers than NumPy")
    return loops


def _as_compiled(array: npt.NDArray[Any], dtype: type) -> npt.NDArray[Any]:
    """The array in the form that the loops are compiled for: contiguous and writable."""
    return np.require(array, dtype, ["C", "W"])


def _tables() -> tuple[npt.NDArray[np.int64], ...]:
    return sigmoid_table(), inverse_table(), weight_table()


def _on_threads(threads: int, work: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
    if threads == 1 or len(columns[0]) == 1:
        return list(map(work, *columns))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, *columns))


def intervals(raw: Raw, symbols: ByteSymbols, bound: int) -> Intervals:
    """As :func:`aecodec.entropy.ans.intervals`."""
    out = np.empty((2, len(symbols)), np.int32)
    levels, step = level_count(bound), 2 * bound + 1
    kernels().intervals(
        _as_compiled(raw, np.int32),
        _as_compiled(symbols, np.uint8),
        levels,
        step,
        _tables(),
        out[0],
        out[1],
    )
    return out


def encode(planes: Sequence[Intervals]) -> bytes:
    """As :func:`aecodec.entropy.ans.encode`."""
    states = np.full(LANES, STATE_MIN, np.uint64)
    position = sum(plane.shape[1] for plane in planes)
    words = np.empty(position, np.uint32)  # a symbol emits one word at most
    encode_plane = kernels().encode_plane
    for plane in reversed(planes):
        position = int(encode_plane(_as_compiled(plane, np.int32), states, words, position))
    return states.astype("<u8").tobytes() + words[position:].astype("<u4").tobytes()


class Decoder:
    """As :class:`aecodec.entropy.ans.Decoder`."""

    def __init__(self, payloads: Sequence[bytes], where: Sequence[str], threads: int = 1) -> None:
        self.where, self.threads = where, threads
        self.words = [ans.read_words(*each) for each in zip(payloads, where, strict=True)]
        self.states = [ans.read_states(*each) for each in zip(payloads, where, strict=True)]
        self.positions = [0] * len(self.words)

    def decode(self, raw: Sequence[Raw], bound: int) -> list[ByteSymbols]:
        """raw (M, 3K) of each stream, M may differ -> the next M symbols of each."""
        tables, levels, step = _tables(), level_count(bound), 2 * bound + 1
        decode_plane = kernels().decode_plane

        def work(i: int, r: Raw) -> ByteSymbols:
            symbols = np.empty(len(r), np.uint8)
            position = decode_plane(
                _as_compiled(r, np.int32),
                self.words[i],
                self.positions[i],
                self.states[i],
                levels,
                step,
                tables,
                symbols,
            )
            if position < 0:
                raise AezCorruptError(f"{self.where[i]}: ANS payload ends before its images do")
            self.positions[i] = int(position)
            return symbols

        return _on_threads(self.threads, work, range(len(raw)), raw)

    def finish(self) -> None:
        """AezCorruptError unless all words are used and all states are as encoding began."""
        for name, words, position, states in zip(
            self.where, self.words, self.positions, self.states, strict=True
        ):
            ans.check_end(name, len(words) - position, states)
