"""What an error advises, in the words of Python and in those of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

Advised = TypeVar("Advised", bound=BaseException)


@dataclass(frozen=True)
class Advice:
    """What to do about an error: ``python`` names arguments and functions, ``command`` options."""

    python: str
    command: str


def advised(error: Advised, advice: Advice) -> Advised:
    """The error with advice: its text ends with that for Python, and keeps that for commands.

    An error that has advice already stays as it is.
    """
    if not hasattr(error, "command_text"):
        text = str(error)
        error.command_text = f"{text}; {advice.command}"  # type: ignore[attr-defined]
        error.args = (f"{text}; {advice.python}", *error.args[1:])
    return error


def command_text(error: BaseException) -> str:
    """What the command line says of an error: its text, with advice in the words of options."""
    return str(getattr(error, "command_text", error))
