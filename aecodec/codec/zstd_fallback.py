"""Which images go to zstd: those that it packs smaller than the networks do.

Zstd packs the pixels of all its images of a chunk together, without loss or rounded before.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Bits, Images
from aecodec.container import MODE_STORED, MODE_ZSTD, SubPayload
from aecodec.entropy import zstd
from aecodec.pixels.payloads import STATES_NBYTES

CLEARLY_SMALLER = 0.73  # share of a fast zstd's bytes, below which a slow one is not tried


def code_by_zstd(images: Images) -> SubPayload:
    """Images under zstd, or as they are if that is no larger."""
    raw = images.tobytes()
    packed = zstd.compress_bytes(raw)
    if len(packed) < len(raw):
        return SubPayload(MODE_ZSTD, 0, packed)
    return SubPayload(MODE_STORED, 0, raw)


def is_clearly_smaller(nbytes: float, images: Images) -> bool:
    """Whether ``nbytes`` is so little for these images that zstd need not be tried."""
    return nbytes < CLEARLY_SMALLER * zstd.fast_nbytes(images.tobytes())


def smaller_by_pixels(x_hat: Images, bits: Bits) -> npt.NDArray[np.bool_]:
    """Which images (n,) the pixel model should code, at a cost of ``bits`` (n,).

    The others of ``x_hat`` (n, H, W, C) are coded under zstd together.
    """
    everyone = np.ones(len(bits), bool)
    if is_clearly_smaller(bits.sum() / 8, x_hat):
        return everyone
    by_zstd = len(code_by_zstd(x_hat).data)
    options = [(pixels_nbytes(bits), everyone), (by_zstd, ~everyone)]
    cheap = bits < 8 * by_zstd / len(bits)
    if cheap.any() and not cheap.all():
        apart = pixels_nbytes(bits[cheap]) + len(code_by_zstd(x_hat[~cheap]).data)
        options.append((apart, cheap))
    return min(options, key=lambda option: option[0])[1]


def pixels_nbytes(bits: Bits) -> int:
    """Bytes of a payload of pixels whose images cost these bits (n,)."""
    return math.ceil(float(bits.sum()) / 8) + STATES_NBYTES
