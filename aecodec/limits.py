"""What a file may make its reader spend, and the options of the command line that say so."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True)
class Limits:
    """Bytes; a file that asks for more raises AezLimitError, which names the limit.

    ``max_decoded_nbytes`` is for the images that one call hands out or writes. ``max_memory_nbytes``
    is for what reading takes besides: a chunk's payload and twice what it decodes to, a section,
    the index. ``max_model_nbytes`` is for a model, ``max_column_nbytes`` for the names and for all
    columns together, as unpacked.
    """

    max_decoded_nbytes: int = 16 << 30
    max_memory_nbytes: int = 64 << 20
    max_model_nbytes: int = 256 << 20
    max_column_nbytes: int = 256 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name}: expected bytes, 0 or more, got {value!r}")


DEFAULT_LIMITS: Final = Limits()


_IMAGE_NBYTES: Final = 24  # to find an image among its chunk's


def chunk_memory_nbytes(payload_nbytes: int, image_count: int, image_nbytes: int) -> int:
    """What reading a chunk takes: its payload, what that unpacks to, and the images."""
    return payload_nbytes + image_count * (2 * image_nbytes + _IMAGE_NBYTES)
