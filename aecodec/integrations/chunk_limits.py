"""How much one chunk of an array may take: as many bytes as the array's chunks have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from aecodec.archive.array import Archive
from aecodec.errors import AezLimitError
from aecodec.limits import DEFAULT_LIMITS, Limits, chunk_memory_nbytes

BUFFER_NBYTES_MAX: Final = 0x7E000000  # as of numcodecs' own codecs, whose number is not public


def limits_of(blob_nbytes: int, shape: Sequence[int]) -> Limits:
    """What decoding a chunk of an array may take, all of whose images (n, H, W[, C]) are wanted.

    An ``.aez`` of one chunk has them, which may need more than the default limits: then they rise.
    """
    needed = chunk_memory_nbytes(blob_nbytes, shape[0], math.prod(shape[1:]), by_networks=True)
    memory = max(DEFAULT_LIMITS.max_memory_nbytes, needed)
    return Limits(max_decoded_nbytes=math.prod(shape), max_memory_nbytes=memory)


def shape_within(blob: bytes, nbytes: int | None) -> tuple[int, ...]:
    """The shape of an ``.aez``'s images, nothing of which is decoded.

    ValueError if they have not ``nbytes``; AezLimitError if that is None and they have more than
    ``BUFFER_NBYTES_MAX``.
    """
    with Archive(blob) as archive:
        found = math.prod(archive.shape)
        if nbytes is not None and found != nbytes:
            raise ValueError(f"out: has {nbytes} bytes, the images have {found}")
        if found > BUFFER_NBYTES_MAX:
            raise AezLimitError(
                f"chunk: {found} bytes of images, a codec of numcodecs gives {BUFFER_NBYTES_MAX}"
            )
        return archive.shape
