"""Checks of the kinds of arguments that the public functions take."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
SHOWN_CHARS: Final = 40  # of a wrong value in a message


@dataclass(frozen=True)
class Kind:
    """What an argument may be: in words, and as a test of a value that is not None.

    ``optional`` is whether None is taken too.
    """

    words: str
    test: Callable[[Any], bool]
    optional: bool = False

    def fits(self, value: object) -> bool:
        """Whether the value may be given."""
        return self.optional if value is None else self.test(value)

    def or_none(self) -> Kind:
        """The same kind, or None."""
        return Kind(f"{self.words} or None", self.test, optional=True)


def _is_a(name: str) -> Callable[[Any], bool]:
    """Tests for a class by its dotted name: importing it here might load torch."""

    def test(value: object) -> bool:
        return name in {f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__}

    return test


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _is_readable(value: object) -> bool:
    return callable(getattr(value, "read", None))


def _is_writable(value: object) -> bool:
    return callable(getattr(value, "write", None))


def _is_source(value: object) -> bool:
    is_bytes = isinstance(value, bytes | bytearray | memoryview)
    return is_bytes or _is_path(value) or _is_readable(value)


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") or hasattr(value, "__index__")


PATH: Final = Kind("a path", _is_path)
TEXT: Final = Kind("text", lambda value: isinstance(value, str))
SLICE: Final = Kind("a slice", lambda value: isinstance(value, slice))
SOURCE: Final = Kind("a path, bytes or a binary file", _is_source)
TARGET: Final = Kind("a path or a binary file", lambda v: _is_path(v) or _is_writable(v))
NUMBER: Final = Kind("a number", _is_number)
WHOLE: Final = Kind("a whole number", lambda value: hasattr(value, "__index__"))
VALUES: Final = Kind(
    "a value for each image",
    lambda value: any(hasattr(value, name) for name in ("__iter__", "__array__", "__getitem__")),
)
MAPPING: Final = Kind("a mapping", lambda value: isinstance(value, Mapping))
FUNCTION: Final = Kind("a function", callable)
LIMITS: Final = Kind("aecodec.Limits", _is_a("aecodec.limits.Limits"))
CODEC: Final = Kind("an aecodec.Codec", _is_a("aecodec.codec.codec.Codec"))
LOADED_MODEL: Final = Kind("an aecodec.Model", _is_a("aecodec.models.model.Model"))
MODEL: Final = Kind(
    "an aecodec.Model, or the name or path of one",
    lambda value: _is_path(value) or LOADED_MODEL.test(value),
)


def check(name: str, value: object, kind: Kind) -> None:
    """TypeError unless the value of the argument ``name`` is of this kind."""
    if not kind.fits(value):
        shown = "" if value is None else f" {value!r}"
        if len(shown) > SHOWN_CHARS:
            shown = shown[:SHOWN_CHARS] + "..."
        raise TypeError(f"{name}: expected {kind.words}, got {type(value).__name__}{shown}")


def checked(**kinds: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose named arguments are checked before it is called."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            given = signature.bind(*args, **options).arguments
            for name, kind in kinds.items():
                if name in given:
                    check(name, given[name], kind)
            return function(*args, **options)

        return call

    return decorate
