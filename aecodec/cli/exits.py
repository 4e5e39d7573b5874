"""Exit statuses, and which of them an error is."""

from __future__ import annotations

import errno
from typing import Final

from aecodec.errors import (
    AezCorruptError,
    AezError,
    AezLimitError,
    AezUnsupportedError,
    ModelCorruptError,
    ModelMismatchError,
    ModelMissingError,
)

EXIT_IO: Final = 1
EXIT_USAGE: Final = 2
EXIT_CORRUPT: Final = 3
EXIT_UNSUPPORTED: Final = 4
EXIT_MODEL: Final = 5


def status_of(error: AezError) -> int:
    """The exit status that an error of a file or a model ends in."""
    if isinstance(error, AezCorruptError):
        return EXIT_CORRUPT
    if isinstance(error, AezUnsupportedError | AezLimitError):
        return EXIT_UNSUPPORTED
    if isinstance(error, ModelMismatchError | ModelMissingError | ModelCorruptError):
        return EXIT_MODEL
    return EXIT_USAGE


def os_error_text(error: OSError) -> str:
    """What the system says, for people."""
    if error.errno == errno.EEXIST and error.filename:
        return f"{error.filename} exists; -f replaces it"
    if error.errno and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
