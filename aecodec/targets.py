"""What the user asks of a file: a quality, a bound on every pixel's error, a PSNR, or a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUALITY, MAX_ERROR, PSNR = "quality", "max_error", "psnr"
NBYTES = "target_bytes_per_image"
QUALITY_UNIT: Final = 256  # a stored quality is a u16 in 1/256 steps, and so is a stored PSNR
QUALITY_MIN: Final = 1
QUALITY_MAX: Final = 9
QUALITIES: Final = QUALITY_MAX - QUALITY_MIN + 1  # whole qualities: each is a row of tables
STORED_MIN: Final = QUALITY_UNIT * QUALITY_MIN  # the range of a stored quality
STORED_MAX: Final = QUALITY_UNIT * QUALITY_MAX
BOUND_MAX: Final = 127
PEAK_SQUARED: Final = 255**2  # the peak of PSNR, in squared gray levels
PSNR_MIN, PSNR_MAX = 1.0, 100.0
NBYTES_MIN, NBYTES_MAX = 1 / 256, float(1 << 20)
DEFAULT_QUALITY: Final = 5.0
FLOORS_DB: Final = ((1, 12.0), (5, 18.0), (9, 22.0))  # by quality; lines between
DEFAULT_EFFORT: Final = 3  # of the search for better latents, 1 to 9


@dataclass(frozen=True)
class Target:
    """A value of one kind; ValueError if it is out of the kind's range.

    The kinds are ``quality`` (1 to 9), ``max_error`` (gray levels, 0 to 127), ``psnr`` (dB, 1 to
    100) and ``target_bytes_per_image`` (bytes of the whole file for each image, 1/256 to 2**20).
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        low, high = {
            QUALITY: (QUALITY_MIN, QUALITY_MAX),
            MAX_ERROR: (0, BOUND_MAX),
            PSNR: (PSNR_MIN, PSNR_MAX),
            NBYTES: (NBYTES_MIN, NBYTES_MAX),
        }[self.kind]
        if not low <= self.value <= high:  # written so that NaN fails too
            raise ValueError(f"{self.kind}: expected {low:g} to {high:g}, got {self.value:g}")
        if self.kind == MAX_ERROR and self.value != int(self.value):
            raise ValueError(f"max_error: expected a whole number, got {self.value:g}")

    @property
    def stored(self) -> int:
        """The value in the file's header: the bound itself, the others in steps of 1/256."""
        return int(self.value) if self.kind == MAX_ERROR else round(self.value * QUALITY_UNIT)


def one_target(
    quality: float | None = None,
    max_error: int | None = None,
    psnr: float | None = None,
    target_bytes_per_image: float | None = None,
    *,
    lossless: bool = False,
) -> Target:
    """The target that is given, or quality 5; ValueError if more than one is given."""
    given = {
        QUALITY: quality,
        MAX_ERROR: max_error,
        PSNR: psnr,
        NBYTES: target_bytes_per_image,
    }
    named = [Target(kind, float(value)) for kind, value in given.items() if value is not None]
    if lossless:
        named.append(Target(MAX_ERROR, 0))
    if len(named) > 1:
        raise ValueError(
            "expected one of quality, max_error, lossless, psnr and target_bytes_per_image, "
            "got several"
        )
    return named[0] if named else Target(QUALITY, DEFAULT_QUALITY)


def floor_db(stored_quality: int) -> float:
    """The PSNR in dB that every image has at least at a stored quality, whatever the model.

    It is 12 dB at quality 1, 18 dB at quality 5 and 22 dB at quality 9, on lines between.
    """
    quality = stored_quality / QUALITY_UNIT
    (low, low_db), (high, high_db) = FLOORS_DB[:2] if quality < FLOORS_DB[1][0] else FLOORS_DB[1:]
    return low_db + (quality - low) / (high - low) * (high_db - low_db)


def mse_at(psnr: float) -> float:
    """The mean squared error, in gray levels squared, at a PSNR in dB."""
    return PEAK_SQUARED * float(10 ** (-psnr / 10))
