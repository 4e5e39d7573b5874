"""Clause 4.5: the payload of PART."""

from __future__ import annotations

from making.assemble import part_payload
from making.refused.common import PARTS, PRINT, Named, NamedVectors, bad, plain


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _names()
    yield from _sizes()
    yield from _model_names()


def _vector(name: str, payload: bytes, about: str, match: str) -> Named:
    return bad(f"part-{name}", plain(part=payload), "4.5", f"PART: {about}", match)


def _names() -> NamedVectors:
    yield _vector("name-empty", part_payload([(b"", PRINT)]), "an empty name", "name")
    yield _vector("name-space", part_payload([(b"a b", PRINT)]), "a space in a name", "name")
    payload = part_payload([(b"\xe4", PRINT)])
    yield _vector("name-not-ascii", payload, "a name beyond ASCII", "name")
    yield _vector("order", part_payload(PARTS[::-1]), "names not in order", "names|order")
    yield _vector("name-twice", part_payload([PARTS[0]] * 2), "a name twice", "names|order")


def _sizes() -> NamedVectors:
    whole = part_payload(PARTS)
    yield _vector("count-0", b"\0\0", "part_count is 0", "count")
    yield _vector("count-too-large", b"\3" + whole[1:], "part_count is one too many", "bytes")
    yield _vector("cut", whole[:-6], "ends within model_name", "bytes")
    yield _vector("cut-in-a-part", whole[:30], "ends within a fingerprint", "bytes")
    yield _vector("goes-on", whole + b"\0", "a byte after model_name", "byte")


def _model_names() -> NamedVectors:
    yield _vector("model-name-escape", part_payload(PARTS, b"\x1b[2J"), "ESC", "control")
    yield _vector("model-name-c1", part_payload(PARTS, b"\xc2\x85"), "U+0085", "control")
    yield _vector("model-name-utf-8", part_payload(PARTS, b"\xff"), "not UTF-8", "UTF-8")
