"""The checks that all records share: checksums, ranges, limits (aez.md 1)."""

from __future__ import annotations

import operator
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from aecodec.errors import AezCorruptError, AezLimitError

U8_MAX: Final = 0xFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF
U64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF

CRC_NBYTES: Final = 4


def seal(record: bytes) -> bytes:
    """``record`` with its CRC-32 appended."""
    return record + struct.pack("<I", zlib.crc32(record))


def unseal(sealed: bytes, field: str, where: str) -> bytes:
    """The record in ``sealed``; AezCorruptError if its CRC-32 is wrong."""
    record = sealed[:-CRC_NBYTES]
    (stored,) = struct.unpack("<I", sealed[-CRC_NBYTES:])
    check_crc32(field, stored, zlib.crc32(record), where)
    return record


def check_crc32(field: str, stored: int, computed: int, where: str) -> None:
    """AezCorruptError unless the two checksums are equal."""
    if stored != computed:
        raise AezCorruptError(f"{where}: {field} is {stored:#010x}, computed {computed:#010x}")


def check_equal(field: str, found: int, expected: int, where: str) -> None:
    """AezCorruptError unless a field has the value that other fields imply."""
    if found != expected:
        raise AezCorruptError(f"{where}: {field} is {found}, expected {expected}")


def check_limit(field: str, found: int, limit: tuple[str, int], where: str) -> None:
    """AezLimitError if ``found`` is more than the limit, which is a name and bytes."""
    limit_name, most = limit
    if found > most:
        raise AezLimitError(f"{where}: {field} is {found}, {limit_name} allows {most}")


def range_fault(values: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> str | None:
    """What is wrong with the first value outside its range (both ends included), or None."""
    for field, (low, high) in ranges.items():
        value = operator.index(values[field])  # TypeError for a float, which struct would refuse
        if not low <= value <= high:
            return f"{field} is {value}, expected {low}..{high}"
    return None
