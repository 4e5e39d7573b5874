"""The footer: the end of a file, which says where the index lies (aez.md 6.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from aecodec.container.checks import CRC_NBYTES, seal, unseal
from aecodec.container.header import MAGIC
from aecodec.errors import AezCorruptError

FOOTER_MAGIC: Final = MAGIC[::-1]
FOOTER_NBYTES: Final = 48
_FOOTER = struct.Struct("<QQQQI")


@dataclass(frozen=True)
class Footer:
    """The file's last 48 bytes (aez.md 6.2)."""

    index_offset: int
    index_nbytes: int
    file_nbytes: int
    image_count: int
    chunk_count: int

    def pack(self) -> bytes:
        """The 48 bytes of the footer."""
        record = _FOOTER.pack(
            self.index_offset,
            self.index_nbytes,
            self.file_nbytes,
            self.image_count,
            self.chunk_count,
        )
        return seal(record) + FOOTER_MAGIC

    @classmethod
    def unpack(cls, data: bytes, name: str) -> Footer:
        """The footer in ``data``, the last 48 bytes of file ``name``."""
        found = data[-len(FOOTER_MAGIC) :]
        if len(data) != FOOTER_NBYTES or found != FOOTER_MAGIC:
            raise AezCorruptError(
                f"{name}: footer magic missing: file is cut or has data appended "
                f"(it ends in {found!r}, expected {FOOTER_MAGIC!r})"
            )
        sealed = data[: _FOOTER.size + CRC_NBYTES]
        return cls(*_FOOTER.unpack(unseal(sealed, "footer_crc32", name)))
