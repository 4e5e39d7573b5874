"""What errors of a damaged file advise: there are ways to what is whole in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aecodec.advice import Advice, advised
from aecodec.errors import AezCorruptError

TO_REPAIR: Final = Advice(
    python="aecodec.repair keeps what is whole, decompress(..., skip_damaged=True) writes it",
    command="'aecodec repair' keeps what is whole, 'aecodec decompress --skip-damaged' writes it",
)


@contextmanager
def pointing_to_repair() -> Iterator[None]:
    """Errors of a damaged file point to what keeps the rest of it; it decorates functions too.

    Errors of what is no ``.aez`` at all stay as they are.
    """
    try:
        yield
    except AezCorruptError as error:
        if "not an .aez file" not in str(error):
            advised(error, TO_REPAIR)
        raise
