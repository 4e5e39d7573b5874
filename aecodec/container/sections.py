"""Sections: typed, checksummed blocks before and after the chunks (aez.md 4)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from aecodec.container.checks import seal, unseal
from aecodec.errors import AezCorruptError, AezUnsupportedError
from aecodec.limits import Limits

PART: Final = "PART"
HEAD: Final = "HEAD"
INDX: Final = "INDX"
MODL: Final = "MODL"
META: Final = "META"
NAME: Final = "NAME"
COLM: Final = "COLM"
KNOWN_SECTIONS: Final = frozenset({PART, HEAD, INDX})

MAX_SECTIONS: Final = 4096  # aez.md 4.6
SECTION_FRAME_NBYTES: Final = 28

SECTION_MARKER: Final = b"\x89SEC"
_FRAME = struct.Struct("<4s4sIQI")
_REQUIRED_FLAG: Final = 1
_REQUIRED_BY_KIND: Final = {PART: True, HEAD: False, INDX: True}  # aez.md 4.3
_LIMITS: Final = {
    MODL: ("max_model_nbytes",),
    NAME: ("max_column_nbytes",),
    COLM: ("max_column_nbytes",),
}


@dataclass(frozen=True)
class Section:
    """A section to be written; ``kind`` is four ASCII letters or digits."""

    kind: str
    required: bool
    payload: bytes | bytearray

    def pack_frame(self) -> bytes:
        """The 28 bytes before the payload; ValueError for an invalid ``kind`` or ``required``."""
        if fault := _kind_fault(self.kind) or _required_fault(self.kind, self.required):
            raise ValueError(f"section: {fault}")
        kind, flags = self.kind.encode("ascii"), _REQUIRED_FLAG if self.required else 0
        crc32 = zlib.crc32(self.payload)
        return seal(_FRAME.pack(SECTION_MARKER, kind, flags, len(self.payload), crc32))


@dataclass(frozen=True)
class SectionEntry:
    """A section that was found; ``offset`` is that of its frame, from the file start."""

    kind: str
    required: bool
    offset: int
    payload_nbytes: int
    payload_crc32: int

    @property
    def payload_offset(self) -> int:
        """Where the payload begins, from the file start."""
        return self.offset + SECTION_FRAME_NBYTES

    @property
    def end_offset(self) -> int:
        """Where the section ends, from the file start."""
        return self.payload_offset + self.payload_nbytes


def unpack_section_frame(
    data: bytes, offset: int, name: str, known_kinds: frozenset[str] = KNOWN_SECTIONS
) -> SectionEntry:
    """The entry of the section whose 28-byte frame ``data`` was read at ``offset``."""
    where = f"{name}: section at byte {offset}"
    if data[:4] != SECTION_MARKER:
        raise AezCorruptError(f"{where}: marker is {data[:4]!r}, expected {SECTION_MARKER!r}")
    fields = _FRAME.unpack(unseal(data, "frame_crc32", where))
    _, kind_bytes, flags, payload_nbytes, payload_crc32 = fields
    kind = kind_bytes.decode("latin-1")  # any bytes, so that the check below can name them
    if fault := _kind_fault(kind):
        raise AezCorruptError(f"{where}: {fault}")
    if flags & ~_REQUIRED_FLAG:
        raise AezUnsupportedError(f"{where}: {kind} flags are {flags:#x}, expected 0 or 1")
    required = flags == _REQUIRED_FLAG
    if required and kind not in known_kinds:
        raise AezUnsupportedError(f"{where}: required section {kind} is unknown to this reader")
    if fault := _required_fault(kind, required):
        raise AezCorruptError(f"{where}: {fault}")
    return SectionEntry(kind, required, offset, payload_nbytes, payload_crc32)


def section_limit(kind: str, limits: Limits) -> tuple[str, int]:
    """Name and bytes of the limit that applies to the payload of a section of this kind."""
    names = ("max_memory_nbytes", *_LIMITS.get(kind, ()))
    return min(((name, getattr(limits, name)) for name in names), key=lambda limit: limit[1])


def _kind_fault(kind: str) -> str | None:
    if len(kind) == 4 and kind.isascii() and kind.isalnum():
        return None
    return f"kind is {kind!r}, expected 4 ASCII letters or digits"


def _required_fault(kind: str, required: bool) -> str | None:
    expected = _REQUIRED_BY_KIND.get(kind, required)
    return None if required == expected else f"{kind} REQUIRED is {required}, expected {expected}"
