"""What commands print: no text of a file drives the terminal, and none ends a command."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO, cast

# Controls, surrogates, ends of lines and paragraphs, and marks that no glyph shows, such as those
# that turn the direction of what follows; but not the joiners that some scripts are spelt with.
_HIDDEN = ("Cc", "Cs", "Zl", "Zp", "Cf")
_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(r"[^ -~]")  # anything but printable ASCII
_SUSPECT_IN_LINES = re.compile(r"[^ -~\n\t]")


def shown(text: object) -> str:
    """A text for one line of a terminal: characters that would not show there are escaped.

    For the names, titles and labels of strangers, which could else move the cursor, change colours,
    start a line or turn its direction.
    """
    return _SUSPECT.sub(_shown_char, str(text))


def _shown_char(found: re.Match[str]) -> str:
    char = found[0]
    if unicodedata.category(char) not in _HIDDEN or char in _JOINERS:
        return char
    return char.encode("unicode_escape").decode("ascii")


class _ShownStream:
    """A stream for texts whose lines are written as :func:`shown`."""

    def __init__(self, stream: TextIO) -> None:
        self.raw_stream = stream

    def write(self, text: str) -> int:
        self.raw_stream.write(_SUSPECT_IN_LINES.sub(_shown_char, text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.raw_stream, name)


def raw_stream(stream: TextIO) -> TextIO:
    """The stream beneath, for what a command itself sends to a terminal, such as its progress."""
    return cast("TextIO", getattr(stream, "raw_stream", stream))


class _Streams:
    """Standard output and error while commands run, in however many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[tuple[str, TextIO, str | None]] = []

    def enter(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            for name in ("stdout", "stderr"):
                stream: TextIO | None = getattr(sys, name)
                if stream is None:  # as in a program without a console
                    continue
                reconfigure = getattr(stream, "reconfigure", None)
                errors = None
                if reconfigure is not None:
                    errors = stream.errors
                    reconfigure(errors="backslashreplace")
                self._before.append((name, stream, errors))
                setattr(sys, name, _ShownStream(stream))

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            for name, stream, errors in self._before:
                if raw_stream(getattr(sys, name)) is stream:  # nobody has put another one there
                    setattr(sys, name, stream)
                if errors is not None and not stream.closed:
                    cast("Any", stream).reconfigure(errors=errors)
            self._before.clear()


_STREAMS = _Streams()


@contextlib.contextmanager
def shown_streams() -> Iterator[None]:
    """While it lasts, standard output and error escape what cannot be shown, and never fail for it.

    That is: what their encoding does not have, and what :func:`shown` escapes. Ends of lines stay.
    """
    _STREAMS.enter()
    try:
        yield
    finally:
        _STREAMS.leave()
