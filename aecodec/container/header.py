"""The header: what applies to the whole file (aez.md 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from aecodec.container.checks import U8_MAX, U16_MAX, U32_MAX, range_fault, seal, unseal
from aecodec.errors import AezCorruptError, AezUnsupportedError
from aecodec.targets import MAX_ERROR, NBYTES, PSNR, QUALITY, QUALITY_UNIT

MAGIC: Final = b"\x89AEZ\r\n\x1a\n"
VERSION_MAJOR: Final = 1
VERSION_MINOR: Final = 1  # of files that use nothing newer; 0 was the draft
VERSION_MINOR_NEW: Final = 2  # of those that use something that 1.1 does not know

FLAG_LATENTS: Final = 1 << 0
FLAG_REFINEMENT: Final = 1 << 1
FLAG_ZSTD: Final = 1 << 2
FLAG_ANS: Final = 1 << 3
FLAG_TONES: Final = 1 << 5  # bit 4 is no flag for good (aez.md 3.3)
FLAG_UNDERLAY: Final = 1 << 6
FLAG_LOW_TRUNK: Final = 1 << 7
FLAGS_NEW: Final = FLAG_TONES | FLAG_UNDERLAY | FLAG_LOW_TRUNK
SUPPORTED_FLAGS: Final = FLAG_LATENTS | FLAG_REFINEMENT | FLAG_ZSTD | FLAG_ANS | FLAGS_NEW
FLAGS_NEEDING_PARTS: Final = FLAG_LATENTS | FLAG_REFINEMENT  # aez.md 4.5

TARGET_NONE: Final = 0
TARGET_QUALITY: Final = 1
TARGET_MAX_ERROR: Final = 2
TARGET_PSNR: Final = 3
TARGET_NBYTES: Final = 4
# By kind: the name that users give, and how many stored units make one of the user's units.
TARGETS: Final = {
    TARGET_QUALITY: (QUALITY, QUALITY_UNIT),
    TARGET_MAX_ERROR: (MAX_ERROR, 1),
    TARGET_PSNR: (PSNR, QUALITY_UNIT),
    TARGET_NBYTES: (NBYTES, QUALITY_UNIT),
}
KIND_OF_TARGET: Final = {name: kind for kind, (name, _) in TARGETS.items()}

HEADER_NBYTES: Final = 48

_VERSION_END: Final = 12  # magic, version_major, version_minor: here in every version
_HEADER = struct.Struct("<8sHHIIHHBBHIIQ")

_HEADER_RANGES: Final = {
    "version_major": (VERSION_MAJOR, VERSION_MAJOR),
    "version_minor": (0, U16_MAX),
    "required_flags": (0, U32_MAX),
    "optional_flags": (0, U32_MAX),
    "height": (1, U16_MAX),
    "width": (1, U16_MAX),
    "channels": (1, 4),
    "target_kind": (0, U8_MAX),
    "chunk_images": (1, U32_MAX),
}
_TARGET_VALUE_MAX: Final = {
    TARGET_NONE: 0,
    TARGET_QUALITY: U16_MAX,
    TARGET_MAX_ERROR: U8_MAX,
    TARGET_PSNR: U16_MAX,
    TARGET_NBYTES: U32_MAX,
}

_DAMAGED_MAGICS: Final = (
    (b"\x09AEZ", "its high bits were stripped, as by a 7-bit transfer"),
    (b"\x89AEZ\n\x1a\n", "CR LF became LF, as by a text-mode transfer"),
    (b"\x89AEZ\r\r\n\x1a\r\n", "LF became CR LF, as by a text-mode transfer"),
    (b"\xc2\x89AEZ", "it was re-encoded as UTF-8 text"),
    (b"\xef\xbf\xbdAEZ", "it was re-encoded as UTF-8 text"),
)


@dataclass(frozen=True)
class Header:
    """What applies to the whole file (aez.md 3), with the names and units of that clause."""

    height: int
    width: int
    channels: int
    target_kind: int
    target_value: int
    chunk_images: int
    required_flags: int
    optional_flags: int = 0
    version_major: int = VERSION_MAJOR
    version_minor: int = VERSION_MINOR

    @property
    def image_nbytes(self) -> int:
        """Bytes of one decoded image, H * W * C."""
        return self.height * self.width * self.channels

    def pack(self) -> bytes:
        """The 48 header bytes; ValueError names a field out of range."""
        if fault := self._fault():
            raise ValueError(f"header: {fault}")
        fields = (
            MAGIC,
            self.version_major,
            self.version_minor,
            self.required_flags,
            self.optional_flags,
            self.height,
            self.width,
            self.channels,
            self.target_kind,
            0,  # reserved
            self.target_value,
            self.chunk_images,
            0,  # reserved
        )
        return seal(_HEADER.pack(*fields))

    @classmethod
    def unpack(cls, data: bytes, name: str, supported_flags: int = SUPPORTED_FLAGS) -> Header:
        """The header in ``data``, the first 48 bytes of file ``name``."""
        _check_identity(data, name)
        fields = _HEADER.unpack(unseal(data[:HEADER_NBYTES], "header_crc32", name))
        _, major, minor, required_flags, optional_flags, height, width, channels = fields[:8]
        target_kind, reserved_26, target_value, chunk_images, reserved_36 = fields[8:]
        if unknown := required_flags & ~supported_flags:
            raise AezUnsupportedError(
                f"{name}: header: required_flags {required_flags:#x} has unknown bits {unknown:#x}"
                f", this reader knows {supported_flags:#x}"
            )
        for offset, reserved in ((26, reserved_26), (36, reserved_36)):
            if reserved:
                raise AezUnsupportedError(
                    f"{name}: header: reserved field at byte {offset} is {reserved:#x}, expected 0"
                )
        header = cls(
            height=height,
            width=width,
            channels=channels,
            target_kind=target_kind,
            target_value=target_value,
            chunk_images=chunk_images,
            required_flags=required_flags,
            optional_flags=optional_flags,
            version_major=major,
            version_minor=minor,
        )
        if fault := header._fault():
            raise AezCorruptError(f"{name}: header: {fault}")
        return header

    def _fault(self) -> str | None:
        # aez.md 3.5: a target_kind from the future carries any target_value.
        target_range = (0, _TARGET_VALUE_MAX.get(self.target_kind, U32_MAX))
        return range_fault(vars(self), {**_HEADER_RANGES, "target_value": target_range})


def _check_identity(data: bytes, name: str) -> None:
    """Check magic, version and length in this order, and before the checksum (aez.md 3.2)."""
    found = data[: len(MAGIC)]
    if found != MAGIC:
        hint = next((f": {why}" for start, why in _DAMAGED_MAGICS if data.startswith(start)), "")
        raise AezCorruptError(
            f"{name}: not an .aez file: magic is {found!r}, expected {MAGIC!r}{hint}"
        )
    if len(data) >= _VERSION_END:
        (major,) = struct.unpack_from("<H", data, len(MAGIC))
        if major > VERSION_MAJOR:
            raise AezUnsupportedError(
                f"{name}: header: version_major is {major}, this reader knows {VERSION_MAJOR}"
            )
    if len(data) < HEADER_NBYTES:
        raise AezCorruptError(
            f"{name}: header: file is cut: {len(data)} bytes, expected {HEADER_NBYTES}"
        )
