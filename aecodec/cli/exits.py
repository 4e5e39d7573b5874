"""Exit statuses, and which error ends with which."""

from __future__ import annotations

import errno
import re
import signal
from pathlib import Path
from typing import Final

from aecodec.advice import command_text
from aecodec.errors import (
    AezChangedError,
    AezCorruptError,
    AezError,
    AezLimitError,
    AezUnsupportedError,
    ModelCorruptError,
    ModelMismatchError,
    ModelMissingError,
    Terminated,
)

PACKAGE: Final = Path(__file__).parent.parent
EXIT_IO: Final = 1
EXIT_USAGE: Final = 2
EXIT_CORRUPT: Final = 3
EXIT_UNSUPPORTED: Final = 4
EXIT_MODEL: Final = 5
CAUSES_MAX: Final = 20  # of an error, which are looked at
MEMORY_CHARS: Final = 160  # of what the system or a library says
EXIT_LEFT_OUT: Final = 6  # done, but for what could not be taken or kept
EXIT_HUNG_UP: Final = 129  # 128 + SIGHUP, as shells count
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT
EXIT_TERMINATED: Final = 143  # 128 + SIGTERM

# Texts of torch, zstd and the system's loader, which have no classes of their own for it.
_SHORT_OF_MEMORY: Final = re.compile(
    "allocate memory|not enough memory|out of memory|failed to map segment|can't start new thread",
    re.IGNORECASE,
)


def status_of_signal(number: int) -> int:
    """The exit status for a signal, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def status_of_interrupt(error: KeyboardInterrupt) -> int:
    """The exit status for Ctrl-C, SIGTERM and their like."""
    return status_of_signal(error.number if isinstance(error, Terminated) else signal.SIGINT)


def is_short_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it comes from, is that the system gives no more memory."""
    for _ in range(CAUSES_MAX):
        if error is None:
            return False
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        is_loose = isinstance(error, RuntimeError | ImportError)
        if is_loose and _SHORT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def memory_text(error: BaseException) -> str:
    """The message for such an error."""
    text = " ".join(str(error).split())[:MEMORY_CHARS]
    return f"not enough memory: {text}" if text else "not enough memory"


def status_of(error: AezError) -> int:
    """The exit status for an error of a file or a model."""
    if isinstance(error, AezChangedError):
        return EXIT_IO
    if isinstance(error, AezCorruptError):
        return EXIT_CORRUPT
    if isinstance(error, AezUnsupportedError | AezLimitError):
        return EXIT_UNSUPPORTED
    if isinstance(error, ModelMismatchError | ModelMissingError | ModelCorruptError):
        return EXIT_MODEL
    return EXIT_USAGE


def is_for_user(error: ValueError | ImportError) -> bool:
    """Whether an error is a mistake of the user or a package that is missing, not a fault of ours.

    This package raises ValueError and ImportError by a ``raise`` statement, and only for these.
    Text that is not UTF-8 is from a file of the user. Any other ValueError of Python or of a
    library is a fault of ours.
    """
    import traceback

    if isinstance(error, UnicodeDecodeError):
        return True
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("aecodec"):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(last.filename).is_relative_to(PACKAGE)
    return ours and (not last.line or last.line.startswith("raise"))  # no line: no source here


def os_error_text(error: OSError) -> str:
    """The message of the system, with the name of the file."""
    if error.errno == errno.EEXIST and error.filename:
        return f"{error.filename} exists; -f replaces it"
    if error.errno and error.filename:
        return f"{error.filename}: {error.strerror}"
    return command_text(error)
