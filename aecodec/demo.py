"""The images that come with the package, and the name of their model."""

from __future__ import annotations

from aecodec.archive.decompress import decode
from aecodec.arrays import Images
from aecodec.models.finding import BUNDLED

SAMPLE = BUNDLED / "fashion-sample.aez"
MODEL = "fashion"


def load_sample() -> Images:
    """The packaged Fashion-MNIST test images, uint8 (N, 28, 28)."""
    return decode(SAMPLE.read_bytes(), model=MODEL)
