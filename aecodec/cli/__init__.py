"""The command line. Each command imports what it needs inside itself, so ``info`` starts bare."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from aecodec.cli.exits import (
    EXIT_IO,
    EXIT_USAGE,
    is_for_user,
    os_error_text,
    status_of,
    status_of_interrupt,
)
from aecodec.cli.parser import build_parser
from aecodec.cli.terminal import shown, shown_streams
from aecodec.cli.wording import in_options
from aecodec.errors import AezError, Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    An error that the user can mend is said in a line, on standard error. Any other error is a
    fault of this package: it is raised, so that its traceback is seen.
    """
    with shown_streams():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a full disk still has a status and a message
        return status
    except KeyboardInterrupt as interrupt:
        return _fail("interrupted", status_of_interrupt(interrupt))
    except BrokenPipeError:
        _drop_unwritten()  # the reader has left: there is nobody to say it to
        return EXIT_IO
    except AezError as error:
        return _fail(in_options(error), status_of(error))
    except OSError as error:
        _drop_unwritten()
        return _fail(os_error_text(error), EXIT_IO)
    except (ValueError, ImportError) as error:
        if not is_for_user(error):
            raise
        return _fail(in_options(error), EXIT_USAGE)


def _drop_unwritten() -> None:
    """Discard what standard output refuses: Python would write it again at exit, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(*_: object) -> None:
    raise Terminated


def _fail(message: str, status: int) -> int:
    print(f"aecodec: {shown(message)}", file=sys.stderr)
    return status
