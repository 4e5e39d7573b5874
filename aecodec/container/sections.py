"""Sections: typed, checksummed blocks around the chunks, and the PART payload (aez.md 4)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aecodec.container.checks import U8_MAX, seal, unseal
from aecodec.errors import AezCorruptError, AezUnsupportedError

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
FINGERPRINT_NBYTES: Final = 32

SECTION_MARKER: Final = b"\x89SEC"
_FRAME = struct.Struct("<4s4sIQI")
_REQUIRED_FLAG: Final = 1
_REQUIRED_BY_KIND: Final = {PART: True, HEAD: False, INDX: True}  # aez.md 4.3


@dataclass(frozen=True)
class Section:
    """A section to be written; ``kind`` is four ASCII letters or digits."""

    kind: str
    required: bool
    payload: bytes

    def pack_frame(self) -> bytes:
        """The 28 bytes that go before the payload; ValueError for a kind that cannot be."""
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
        return self.offset + SECTION_FRAME_NBYTES

    @property
    def end_offset(self) -> int:
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


def _kind_fault(kind: str) -> str | None:
    if len(kind) == 4 and kind.isascii() and kind.isalnum():
        return None
    return f"kind is {kind!r}, expected 4 ASCII letters or digits"


def _required_fault(kind: str, required: bool) -> str | None:
    expected = _REQUIRED_BY_KIND.get(kind, required)
    return None if required == expected else f"{kind} REQUIRED is {required}, expected {expected}"


@dataclass(frozen=True)
class PartRef:
    """A part that decoding needs: its name, and the SHA-256 that identifies it."""

    name: str
    fingerprint: bytes


def pack_parts(parts: Iterable[PartRef], model_name: str) -> bytes:
    """The payload of a PART section (aez.md 4.5); the order of ``parts`` is free."""
    ordered = sorted(parts, key=lambda part: part.name)
    encoded_name = model_name.encode("utf-8")
    if fault := _parts_fault(ordered) or _model_name_fault(encoded_name, model_name):
        raise ValueError(f"PART: {fault}")
    packed = [
        bytes([len(part.name)]) + part.name.encode("ascii") + part.fingerprint for part in ordered
    ]
    return b"".join([bytes([len(packed)]), *packed, bytes([len(encoded_name)]), encoded_name])


def unpack_parts(payload: bytes, where: str) -> tuple[tuple[PartRef, ...], str]:
    """The parts, by name, and the model's display name that a PART payload holds."""
    cursor = _Cursor(payload, f"{where}: PART")
    parts = []
    for _ in range(cursor.take(1, "part count")[0]):
        part_name = cursor.take_counted("part name").decode("latin-1")
        parts.append(PartRef(part_name, cursor.take(FINGERPRINT_NBYTES, "fingerprint")))
    encoded_name = cursor.take_counted("model name")
    cursor.finish()
    try:
        model_name = encoded_name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AezCorruptError(f"{where}: PART: model name is not UTF-8: {error}") from None
    if fault := _parts_fault(parts) or _model_name_fault(encoded_name, model_name):
        raise AezCorruptError(f"{where}: PART: {fault}")
    return tuple(parts), model_name


class _Cursor:
    """Takes counted bytes off a payload, never past its end."""

    def __init__(self, payload: bytes, where: str) -> None:
        self._payload = payload
        self._where = where
        self._at = 0

    def take(self, nbytes: int, field: str) -> bytes:
        taken = self._payload[self._at : self._at + nbytes]
        if len(taken) < nbytes:
            raise AezCorruptError(
                f"{self._where}: {field} needs {nbytes} bytes, {len(taken)} are left"
            )
        self._at += nbytes
        return taken

    def take_counted(self, field: str) -> bytes:
        return self.take(self.take(1, f"{field} length")[0], field)

    def finish(self) -> None:
        if left := len(self._payload) - self._at:
            raise AezCorruptError(f"{self._where}: {left} bytes after the model name, expected 0")


def _parts_fault(parts: list[PartRef]) -> str | None:
    if not 1 <= len(parts) <= U8_MAX:
        return f"part count is {len(parts)}, expected 1..{U8_MAX}"
    for part in parts:
        if not (1 <= len(part.name) <= U8_MAX and all("!" <= char <= "~" for char in part.name)):
            return f"part name is {part.name!r}, expected 1..{U8_MAX} printable ASCII characters"
        if len(part.fingerprint) != FINGERPRINT_NBYTES:
            return (
                f"fingerprint of {part.name} has {len(part.fingerprint)} bytes, "
                f"expected {FINGERPRINT_NBYTES}"
            )
    names = [part.name for part in parts]
    if names != sorted(set(names)):
        return f"part names are {names}, expected sorted and without duplicates"
    return None


def _model_name_fault(encoded: bytes, model_name: str) -> str | None:
    if len(encoded) > U8_MAX:
        return f"model name has {len(encoded)} bytes of UTF-8, expected at most {U8_MAX}"
    # aez.md 4.5: the name goes to terminals, so it must not be able to steer them.
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in model_name):
        return f"model name {model_name!r} has control characters"
    return None
