"""The command line. Each command imports what it needs inside itself, so ``info`` starts bare."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from aecodec.cli.exits import (
    EXIT_IO,
    EXIT_USAGE,
    is_for_user,
    is_short_of_memory,
    memory_text,
    os_error_text,
    status_of,
    status_of_interrupt,
)
from aecodec.cli.parser import build_parser
from aecodec.cli.terminal import shown, shown_streams
from aecodec.cli.wording import in_options
from aecodec.errors import ENDING_SIGNALS, AezError, Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. Any thread of any program may call it.

    An error that the user can mend is said in a line, on standard error. Any other error is a
    fault of this package: it is raised, so that its traceback is seen. As ``argparse`` does, help
    and mistakes in the arguments raise SystemExit.
    """
    with shown_streams():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    try:
        with _interrupted_by_signals():
            status = int(arguments.run(arguments))
            with _naming_standard_output():
                sys.stdout.flush()  # here, where a full disk still has a status and a message
            return status
    except KeyboardInterrupt as interrupt:
        return _fail("interrupted", status_of_interrupt(interrupt))
    except Exception as error:
        failed = _fail_for(error)
        if failed is None:
            raise
        return failed


def _fail_for(error: Exception) -> int | None:
    """Say what went wrong and return the status; None for a fault of this package."""
    if is_short_of_memory(error):
        _drop_unwritten(sys.stdout)
        return _fail(memory_text(error), EXIT_IO)
    if isinstance(error, BrokenPipeError):
        _drop_unwritten(sys.stdout)  # the reader has left: there is nobody to say it to
        return EXIT_IO
    if isinstance(error, AezError):
        return _fail(in_options(error), status_of(error))
    if isinstance(error, OSError):
        _drop_unwritten(sys.stdout)
        return _fail(os_error_text(error), EXIT_IO)
    if isinstance(error, ValueError | ImportError) and is_for_user(error):
        return _fail(in_options(error), EXIT_USAGE)
    return None


@contextmanager
def _naming_standard_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and its like act as Ctrl-C does inside; afterwards the caller's handlers are back.

    What is ignored stays so: ``nohup`` ignores SIGHUP. In another thread than the main one no
    handler can be set. One that was not set from Python could not be put back, and is left.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    ours = {n: handler for n, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _drop_unwritten(stream: TextIO) -> None:
    """Discard what a stream refuses: Python would write it again at exit, and complain."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):  # a stream without a file of the system
            _write_nowhere(stream.fileno())


def _write_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _interrupt(number: int, _: object) -> None:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            _leave_closed_terminal(descriptor)
    raise Terminated(number)


def _leave_closed_terminal(descriptor: int) -> None:
    """Write nowhere instead of to a terminal that is gone, where every write fails."""
    try:
        os.get_terminal_size(descriptor)
    except OSError as error:
        if error.errno == errno.EIO:
            _write_nowhere(descriptor)


def _fail(message: str, status: int) -> int:
    try:
        print(f"aecodec: {shown(message)}", file=sys.stderr)
    except OSError:
        _drop_unwritten(sys.stderr)  # nobody can be told
    return status
