"""JSON of untrusted files: what it costs is bounded, and every fault is an AezError.

Only JSON as RFC 8259 has it: no NaN, no infinity, also not by a number that is too large.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.untrusted import Limit

DEPTH_MAX: Final = 64
TEXT_MAX_CHARS: Final = 1 << 20  # of a text in a list
_ESCAPE_CHARS: Final = 12  # of the longest escape, a pair of surrogates
_DIGITS_MAX: Final = 400  # of an integer: converting takes time quadratic in them
_SPACE = re.compile(r"[ \t\n\r]*")


def parse_json(data: bytes, where: str, limit: Limit | None = None) -> Any:  # noqa: ANN401  # any JSON: callers check it
    """The value of ``data``, JSON in UTF-8; AezCorruptError if it is not, or over 64 levels deep.

    AezLimitError if it may take more memory than ``limit``, once parsed.
    """
    if limit is not None and (needed := parsed_nbytes(data)) > limit[1]:
        raise AezLimitError(
            f"{where}: JSON of {len(data)} bytes takes up to {needed} bytes of memory, "
            f"{limit[0]} allows {limit[1]}"
        )
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as error:
        raise AezCorruptError(f"{where}: not JSON: {error}") from error
    _check_depth(value, where)
    return value


def parsed_nbytes(data: bytes) -> int:
    """The memory that JSON may take while it is parsed and after, at most; quick to tell."""
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    objects = data.count(b"[") * 88 + data.count(b"{") * 232
    keys = data.count(b":") * 150
    widest = 1 if data.isascii() and b"\\u" not in data else 4
    return len(data) * 2 * widest + values * 72 + objects + keys


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is no finite number")
    return value


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise ValueError(f"an integer of {len(text)} digits, expected at most {_DIGITS_MAX}")
    return int(text)


def _check_depth(value: object, where: str) -> None:
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [inner for each in level if isinstance(each, list | dict) for inner in _inner(each)]
        if not level:
            return
    raise AezCorruptError(f"{where}: JSON nested over {DEPTH_MAX} deep")


def _inner(value: list[Any] | dict[str, Any]) -> Iterable[Any]:
    values = value.values() if isinstance(value, dict) else value
    return (each for each in values if isinstance(each, list | dict))


def json_texts(pieces: Iterable[bytes], where: str) -> Iterator[str]:
    """The texts of a JSON list of texts in UTF-8, which comes in pieces; one after the other.

    AezCorruptError for anything else, AezLimitError for a text of over a million characters. No
    more is kept in memory than a piece, and one text.
    """
    text = _Text(pieces, where)
    text.expect("[")
    count = 0
    if text.peek() == "]":
        text.expect("]")
    else:
        while True:
            yield text.string(count)
            count += 1
            if text.peek() != ",":
                break
            text.expect(",")
        text.expect("]")
    text.finish()


class _Text:
    """A text that comes in pieces of UTF-8, read forward."""

    def __init__(self, pieces: Iterable[bytes], where: str) -> None:
        self._where = where
        self._pieces = self._decoded(pieces)
        self._text, self._at = "", 0

    def _decoded(self, pieces: Iterable[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for piece in pieces:
                yield decoder.decode(piece)
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise AezCorruptError(f"{self._where}: not JSON: {error}") from error

    def _more(self) -> bool:
        """Put the next piece behind what is left; whether there was one."""
        for piece in self._pieces:
            if piece:
                self._text, self._at = self._text[self._at :] + piece, 0
                return True
        return False

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches anything
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, char: str) -> None:
        """Take ``char``, after any white space."""
        if (found := self.peek()) != char:
            raise AezCorruptError(
                f"{self._where}: not a JSON list of texts: found {found or 'the end'!r}, "
                f"expected {char!r}"
            )
        self._at += 1

    def string(self, number: int) -> str:
        """Take a string, of which ``number`` came before."""
        self.expect('"')
        while True:
            try:
                found, self._at = scanstring(self._text, self._at, True)
            except json.JSONDecodeError as error:
                self._continue(number, error)
                continue
            return str(found)

    def _continue(self, number: int, error: json.JSONDecodeError) -> None:
        """Get more of a string that may only be cut."""
        is_cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _ESCAPE_CHARS
        if is_cut and len(self._text) - self._at > TEXT_MAX_CHARS:
            raise AezLimitError(
                f"{self._where}: text {number} has over {TEXT_MAX_CHARS} characters"
            ) from error
        if not is_cut or not self._more():
            raise AezCorruptError(f"{self._where}: text {number}: {error}") from error

    def finish(self) -> None:
        """AezCorruptError for anything but white space."""
        if found := self.peek():
            raise AezCorruptError(f"{self._where}: not JSON: {found!r} follows the list")
