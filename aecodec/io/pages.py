"""HTML pages: a template filled in one pass, each value escaped for its place, under a policy.

A place in a template is ``{{KIND NAME}}``. "text" is for text between tags and for attributes in
double quotes, "json" for a script of type application/json, "markup" for :class:`Markup`, which
was filled in before. What a value holds is never looked at again, and no place is inside a script
or a style: so their hashes are known from the template, and no other script runs on the page.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from aecodec.io.strict_json import strict_json

POLICY = "policy"  # the place of the policy, in the content of a meta tag
_PLACE = re.compile(r"\{\{(\w+) (\w+)\}\}")
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # no character of HTML
_ESCAPE = re.compile(r"\\(ud[89ab]..\\ud[c-f]..|ud[89a-f]..|.)")  # in JSON
_IN_SCRIPT = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


class Markup(str):
    """HTML of our own, in which texts of others are escaped already."""

    __slots__ = ()


def fill_page(template: str, values: Mapping[str, object], *directives: str) -> str:
    """The page: its policy goes to ``{{text policy}}``; see :func:`fill` for errors."""
    return fill(template, {**values, POLICY: content_policy(template, *directives)})


def replaced_one_by_one(page: str, places: Mapping[str, Callable[[], str]]) -> Iterator[str]:
    """A page in pieces, in which each place, a text of its own, is replaced when it is reached.

    So pictures need not be in memory together. ``places`` are in the order of the page.
    """
    at = 0
    for place, make in places.items():
        found = page.index(place, at)
        yield page[at:found]
        yield make()
        at = found + len(place)
    yield page[at:]


def fill(template: str, values: Mapping[str, object]) -> Markup:
    """The template with every value in its place.

    ValueError unless there is one place for each value and a value for each place, outside scripts
    and styles; TypeError for a value that its place cannot hold.
    """
    for _, inline in _INLINE.findall(template):
        if place := _PLACE.search(inline):
            raise ValueError(f"{place[0]}: is inside a script or a style")
    places = [name for _, name in _PLACE.findall(template)]
    if sorted(places) != sorted(values):
        raise ValueError(f"the template has the places {sorted(places)}, got {sorted(values)}")
    return Markup(
        _PLACE.sub(lambda place: _escaped(place[1], place[2], values[place[2]]), template)
    )


def fill_each(template: str, values: Iterable[Mapping[str, object]]) -> Markup:
    """The template once for each of these values, one after the other."""
    return joined(fill(template, each) for each in values)


def joined(pieces: Iterable[Markup], between: str = "") -> Markup:
    """These pieces as one."""
    return Markup(between.join(pieces))


def content_policy(template: str, *directives: str) -> str:
    """The policy of a page: the scripts and styles of the template, data: images, nothing else.

    ``directives``, such as "img-src 'self'", replace these or come besides.
    """
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(_hashes(template, "script")) or "'none'",
        "style-src": " ".join(_hashes(template, "style")) or "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy |= dict(directive.split(" ", 1) for directive in directives)
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def data_url(png: bytes) -> str:
    """A PNG as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis if it has more than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "\u2026"


def figure_text(text: str, length: int = 80) -> str:
    """The text as matplotlib shows it in one line, never as mathematics; shortened if need be."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in shortened(text, length))
    return shown.replace("$", r"\$")


def _hashes(template: str, kind: str) -> Iterator[str]:
    for tag, inline in _INLINE.findall(template):
        if tag == kind:
            digest = hashlib.sha256(inline.encode("utf-8")).digest()
            yield f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _escaped(kind: str, name: str, value: object) -> str:
    if kind == "json":
        return _ESCAPE.sub(_well_formed, strict_json(value)).translate(_IN_SCRIPT)
    if kind == "markup" and isinstance(value, Markup):
        return value
    if kind == "text" and isinstance(value, str):
        return html.escape(_NO_TEXT.sub("\ufffd", value))
    raise TypeError(f"place {name} is of kind {kind}, got {type(value).__name__}")


def _well_formed(escape: re.Match[str]) -> str:
    """An escape of JSON, or U+FFFD for one that is half of a pair."""
    is_half = len(escape[0]) == 6 and "d8" <= escape[0][2:4] <= "df"
    return "\\ufffd" if is_half else escape[0]
