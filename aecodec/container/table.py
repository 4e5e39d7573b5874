"""The table of a chunk: its sub-payloads, and which images are in which (aez.md 5.2, 5.3, 5.5)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aecodec.container.checks import U8_MAX, U32_MAX, range_fault
from aecodec.container.header import Header
from aecodec.container.modes import MODES
from aecodec.container.runs import Runs, unpack_runs
from aecodec.errors import AezCorruptError, AezUnsupportedError

_TABLE_ENTRY = struct.Struct("<BHI")
TABLE_ENTRY_NBYTES: Final = _TABLE_ENTRY.size  # of each sub-payload
MIN_TABLE_NBYTES: Final = 1 + TABLE_ENTRY_NBYTES
MAX_TABLE_NBYTES: Final = 16 << 20  # aez.md 5.1
ANS_IMAGES_PER_BYTE: Final = 8  # aez.md 12.4


class TableEntry(NamedTuple):
    """What the table says of a sub-payload: everything but the data."""

    mode: int
    parameter: int
    nbytes: int


def pack_table(modes: Sequence[TableEntry], runs: Runs) -> bytes:
    """The table; a lone sub-payload has no runs (aez.md 5.3)."""
    entries = b"".join(_TABLE_ENTRY.pack(*entry) for entry in modes)
    return bytes([len(modes)]) + entries + (runs.pack() if len(modes) > 1 else b"")


def unpack_table(
    table: bytes, image_count: int, header: Header, where: str
) -> tuple[tuple[TableEntry, ...], Runs]:
    """The sub-payloads and runs that ``table``, 1 byte or more, holds for ``image_count`` images.

    AezUnsupportedError for an unknown mode, AezCorruptError for anything else that is wrong.
    """
    sub_payload_count = table[0]
    if sub_payload_count == 0:
        raise AezCorruptError(f"{where}: sub_payload_count is 0, expected 1..{U8_MAX}")
    runs_at = 1 + sub_payload_count * TABLE_ENTRY_NBYTES
    if runs_at > len(table):
        raise AezCorruptError(
            f"{where}: table of {sub_payload_count} sub-payloads needs {runs_at} bytes, "
            f"found {len(table)}"
        )
    modes = tuple(TableEntry(*fields) for fields in _TABLE_ENTRY.iter_unpack(table[1:runs_at]))
    for entry in modes:
        if entry.mode not in MODES:
            raise AezUnsupportedError(f"{where}: mode {entry.mode} is unknown to this reader")
    runs = _unpack_runs(table[runs_at:], len(modes), image_count, where)
    if fault := table_fault(modes, runs, image_count, header):
        raise AezCorruptError(f"{where}: {fault}")
    return modes, runs


def _unpack_runs(data: bytes, sub_payload_count: int, image_count: int, where: str) -> Runs:
    if sub_payload_count == 1:
        if data:
            raise AezCorruptError(
                f"{where}: {len(data)} bytes of runs for one sub-payload, expected 0"
            )
        return Runs([(0, image_count)])  # aez.md 5.3: a lone sub-payload has no runs
    return unpack_runs(data, where)


def table_fault(
    modes: Sequence[TableEntry], runs: Runs, image_count: int, header: Header
) -> str | None:
    """The first rule that a table breaks, or None; the same rules for writing and for reading."""
    if not 1 <= len(modes) <= U8_MAX:
        return f"sub_payload_count is {len(modes)}, expected 1..{U8_MAX}"
    for entry in modes:
        if fault := _mode_fault(entry, header):
            return fault
    if len({entry[:2] for entry in modes}) != len(modes):
        return "two sub-payloads have the same mode and parameter"
    if fault := runs.fault(len(modes), image_count):
        return fault
    for entry, images in zip(modes, runs.image_counts(len(modes)), strict=True):
        if is_crowded(entry.mode, images, entry.nbytes):
            return (
                f"mode {entry.mode}: {images} images in an ANS payload of {entry.nbytes} bytes, "
                f"expected at most {ANS_IMAGES_PER_BYTE} for each"
            )
    return None


def _mode_fault(entry: TableEntry, header: Header) -> str | None:
    mode = MODES.get(entry.mode)
    if mode is None:
        return f"mode is {entry.mode}, expected one of {sorted(MODES)}"
    # aez.md 7: the header announces what a chunk needs.
    if missing := mode.required_flags & ~header.required_flags:
        return f"mode {entry.mode} needs flags {missing:#x} in required_flags"
    ranges = {"parameter": mode.parameter_range, "nbytes": (0, U32_MAX)}
    fault = range_fault(entry._asdict(), ranges)
    return f"mode {entry.mode}: {fault}" if fault else None


def is_crowded(mode: int, images: int, nbytes: int) -> bool:
    """Whether an ANS payload holds more images than its bytes allow (aez.md 12.4)."""
    return MODES[mode].is_under_ans and images > ANS_IMAGES_PER_BYTE * nbytes
