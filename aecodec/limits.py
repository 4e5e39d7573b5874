"""How much memory and output a file may make its reader use."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True)
class Limits:
    """Limits in bytes; a file that needs more raises AezLimitError, which names the limit.

    ``max_decoded_nbytes`` applies to the images that one call returns or writes.
    ``max_memory_nbytes`` applies to what reading needs besides: the index, together with a chunk's
    payload and twice its decoded size; a section; a column while it is unpacked; the names; sixteen
    times an embedded model. What counts is the memory that something takes once it is unpacked and
    parsed. ``max_model_nbytes`` applies to a model, and ``max_column_nbytes`` to the names and to
    all columns together, where they are returned or written.
    """

    max_decoded_nbytes: int = 16 << 30
    max_memory_nbytes: int = 64 << 20
    max_model_nbytes: int = 64 << 20
    max_column_nbytes: int = 256 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name}: expected bytes, 0 or more, got {value!r}")


DEFAULT_LIMITS: Final = Limits()

_NETWORKS_NBYTES: Final = 14 << 20  # of the work of networks, besides the images
_IMAGE_NBYTES: Final = 24  # what finding an image among those of its chunk takes


def chunk_memory_nbytes(
    payload_nbytes: int, image_count: int, image_nbytes: int, *, by_networks: bool = False
) -> int:
    """Bytes that reading a chunk counts against ``max_memory_nbytes``.

    They are its payload, what the payload unpacks to, the images, and what networks that decode
    them take for their work.
    """
    images = image_count * (2 * image_nbytes + _IMAGE_NBYTES)
    return payload_nbytes + images + (_NETWORKS_NBYTES if by_networks else 0)
