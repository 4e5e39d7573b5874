"""Changes of JSON that leave it JSON: other types, odd numbers and texts, depth, keys twice."""

from __future__ import annotations

import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**40, -0.0, 1.5, 1e300, float("nan"),
    float("inf"), "", "a", "\ud800", "\x00", "a\nb", "\u202e", "none", "mnist", "..", "../x",
    "/etc/passwd", "../../../../../../../../etc/passwd", "memory://x", "</script>", "x" * 300,
    [], [[]], {}, {"a": 1}, ["a", 1], [None] * 40, {"part": "x"},
)  # fmt: skip
NAMES = (
    "...", ".", "..", "../x", "/x", "a/", "a//b", "a/a/a/a", "a", "a", "a/b", "A", "metadata.csv",
    "metadata.csv/x.png", "CON", "nul.png", "COM1", "a.", "a ", "a:b", "a\\b", "\ud800", "a\x00",
    "\u202e", "x" * 300, "a/" * 50 + "b", "a/" * 3000, "/" * 500, "", ".a.tmp", "e\u0301", "\u00e9",
)  # fmt: skip


def changed_json(text: bytes, rng: random.Random) -> bytes:
    """The JSON with some values changed, or written in another way; other bytes as they are."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(1 + int(rng.expovariate(1))):
        value = _changed(value, rng)
    out = json.dumps(value, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    drawn = rng.random()
    if drawn < 0.03:
        deep = rng.choice((10, 900, 4000))
        out = b"[" * deep + out + b"]" * deep
    elif drawn < 0.06 and out.startswith(b"{") and len(out) > 2:
        out = out[:-1] + b"," + out[1:]  # every key twice
    elif drawn < 0.09:
        out = out.replace(b"1", rng.choice((b"1e999", b"9" * 5000, b"-1e999", b"1.0")), 1)
    elif drawn < 0.12:
        out = out[:-1] + b"," + b",".join([rng.choice((b"[]", b"{}", b"1", b'"a"'))] * 4000) + b"]"
    return out


def _changed(value: Any, rng: random.Random) -> Any:  # noqa: ANN401
    """One value of the tree replaced, doubled, removed, or its kind changed."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        drawn = rng.random()
        if drawn < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if drawn < 0.2:
            return {**value, rng.choice(("", "a", "part", "model", "\ud800", "label")): value[key]}
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        drawn = rng.random()
        if drawn < 0.1:
            return value[:at] + value[at + 1 :]
        if drawn < 0.2:
            return value + value[at : at + 1] * rng.choice((1, 2, 50, 1000))
        is_name = isinstance(value[at], str) and rng.random() < 0.7
        new = rng.choice(NAMES) if is_name else _changed(value[at], rng)
        return [*value[:at], new, *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.3:
        return rng.choice((value * 2, value + rng.choice(NAMES), value[: len(value) // 2]))
    if isinstance(value, int) and rng.random() < 0.4:
        return value + rng.choice((-1, 1, 2**16, 2**32))
    return rng.choice(VALUES)
