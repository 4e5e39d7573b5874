"""Options that limit the memory and output a file may demand of a command."""

from __future__ import annotations

import argparse
from typing import Final

from aecodec.limits import Limits

_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}  # powers of two
_HELP: Final = {
    "max_decoded_nbytes": "images written or returned at once (16G)",
    "max_memory_nbytes": "what reading takes besides: a chunk, a section, the index (64M)",
    "max_model_nbytes": "a model file (64M); one embedded counts 16 times as memory",
    "max_column_nbytes": "names, and all columns together, where they are written (256M)",
}


def add_limit_options(sub: argparse.ArgumentParser) -> None:
    """Add ``--max-memory 1G`` and the others, for commands that read files of strangers."""
    group = sub.add_argument_group("limits", "refuse what asks for more; K, M, G and T are 1024s")
    for name, text in _HELP.items():
        flag = f"--{name.removesuffix('_nbytes').replace('_', '-')}"
        group.add_argument(flag, dest=name, metavar="BYTES", help=text)


def limits_of(a: argparse.Namespace) -> Limits:
    """The limits that the options name; ValueError for one that is no number of bytes."""
    given = {name: getattr(a, name) for name in _HELP}
    return Limits(**{name: _nbytes(name, text) for name, text in given.items() if text is not None})


def _nbytes(name: str, text: str) -> int:
    """``64M`` as bytes; a B or iB at the end is ignored."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in "KMGT" else ""
    try:
        return int(float(number.removesuffix(unit)) * (1 << _UNITS[unit]))
    except (ValueError, OverflowError):
        flag = name.removesuffix("_nbytes").replace("_", "-")
        raise ValueError(f"--{flag}: expected bytes, such as 64M or 2G, got {text!r}") from None
