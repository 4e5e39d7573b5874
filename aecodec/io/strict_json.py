"""JSON that every reader takes: RFC 8259 has no NaN and no infinity."""

from __future__ import annotations

import json
import math
from typing import Any


def strict_json(value: object) -> str:
    """The value in one line of ASCII; numbers that are not finite become null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # rare: to look at every number first would cost each call
        return json.dumps(_with_nulls(value), allow_nan=False)


def utf8_json(value: object) -> bytes:
    """The value as JSON in UTF-8, with escapes if it has lone surrogates, which UTF-8 has not.

    ValueError for numbers that are not finite.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False).encode()


def _with_nulls(value: Any) -> Any:  # noqa: ANN401  # whatever JSON has
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): _with_nulls(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(each) for each in value]
    return value


def _key(key: Any) -> Any:  # noqa: ANN401
    return str(key) if isinstance(key, float) and not math.isfinite(key) else key
