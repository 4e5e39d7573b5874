"""All targets of the fuzzer: each reads bytes that may be bad, and may raise only AezError.

``files`` reads through the library, ``commands`` runs whole commands, ``stores`` opens arrays and
``urls`` what servers answer. Every input is held to what it may cost, and may touch nothing but the
folder for its output.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from making.hostile import small_files

from aecodec.entropy import packed_symbols
from aecodec.errors import AezError
from fuzzing import commands, files, mutating, stores, urls
from fuzzing.common import CODEC, LIMITS, MODEL, VECTORS, Finding
from fuzzing.costs import Allowance, held_to
from fuzzing.sandbox import BOX

__all__ = ["CODEC", "LIMITS", "MODEL", "TARGETS", "Finding", "mutate", "run", "seeds"]

REFUSED, READ = "refused", "read"
TARGETS: dict[str, Callable[[bytes], None]] = {
    **files.TARGETS,
    **commands.TARGETS,
    **stores.TARGETS,
    **urls.TARGETS,
}
MIB = 1 << 20
ALLOWANCES = {  # of those that run networks, or have the default limits
    "decode": Allowance(10.0, 40 * MIB),
    "folder": Allowance(10.0),
    "arrays": Allowance(10.0, 40 * MIB),
    "command": Allowance(10.0, 40 * MIB),
    "model": Allowance(5.0),
    "view": Allowance(10.0, 88 * MIB),
    "sheet": Allowance(10.0, 88 * MIB),
    "map": Allowance(20.0, 128 * MIB),
    "store": Allowance(5.0, 88 * MIB),
    "url": Allowance(5.0, 40 * MIB),
}
WRITES = frozenset(commands.TARGETS) - {"page"}


def run(target: str, data: bytes) -> str:
    """READ or REFUSED; whatever else is raised is a finding."""

    _warm(target)

    def once() -> None:
        if target in WRITES:
            BOX.clean()
        with BOX.watched(named_by_file=target == "store"):
            TARGETS[target](data)

    written = BOX.nbytes if target in WRITES else int
    try:
        held_to(ALLOWANCES.get(target, Allowance()), once, len(data), written)
    except AezError:
        return REFUSED
    return READ


@functools.cache
def _warm(target: str) -> None:
    """Let the target import what it needs, and fill the caches of libraries, unwatched."""
    done = 0
    for data in seeds(target):
        with contextlib.suppress(Exception):
            BOX.clean()
            TARGETS[target](data)
            done += 1
        if done == 3:
            break
    BOX.clean()


def mutate(target: str, seeds: Sequence[bytes]) -> Callable[[bytes, int], bytes]:
    """The mutation for a target: of an input, by a number."""
    made = {"model": mutating.mutate_model, "store": stores.mutate, "url": urls.mutate}
    return partial(_swapped, made.get(target, mutating.mutate), seeds)


def _swapped(
    change: Callable[[bytes, int, Sequence[bytes]], bytes],
    seeds: Sequence[bytes],
    data: bytes,
    seed: int,
) -> bytes:
    return change(data, seed, seeds)


def seeds(target: str) -> list[bytes]:
    """The inputs to start from: vectors and hostile files, or payloads of the target's own kind."""
    if target == "model":
        return [path.read_bytes() for path in sorted((VECTORS / "models").iterdir())]
    if target == "store":
        return stores.seeds()
    if target == "symbols":
        rng = np.random.default_rng(0)
        sizes = [(1, 1), (9, 5), (40, 3), (17, 8)]
        drawn = [rng.normal(0, 40, size).astype(np.int16) for size in sizes]
        return [bytes([len(x) - 1, x.shape[1] - 1]) + packed_symbols.pack_symbols(x) for x in drawn]
    if target == "column":
        return [bytes([len(values)]) + payload for values, payload in _columns()]
    good, others = (sorted(VECTORS.glob(f"{pattern}/*.aez")) for pattern in ("good", "[bu]*"))
    found = [path.read_bytes() for path in [*good, *others[::6]]]  # most are good: they go deepest
    if target == "url":
        return urls.seeds(found)
    return [*found, *small_files(4096)] if target != "decode" else found


def _columns() -> list[tuple[list[object], bytes]]:
    from aecodec.annotations.column import Column
    from aecodec.annotations.payload import pack_column

    texts: list[object] = ["a", "b", "a", "c" * 30]
    made: list[list[object]] = [[1, 2, 300], [0.5, 1e300], [True, False], texts, [], [-5] * 200]
    columns = [Column.of("name", values) for values in made]  # type: ignore[arg-type]
    return [(values, pack_column(column)) for values, column in zip(made, columns, strict=True)]
