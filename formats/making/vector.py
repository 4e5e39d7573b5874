"""What a vector is: the bytes of a file, and what the manifest says about it."""

from __future__ import annotations

from typing import NamedTuple

CORRUPT, UNSUPPORTED, MISSING = "corrupt", "unsupported", "missing"  # aez.md 1.5


class Vector(NamedTuple):
    """A good file, the clause it shows, what it shows, and the model files it needs."""

    data: bytes
    clause: str
    about: str
    models: tuple[str, ...] = ()


class Refusal(NamedTuple):
    """A file that readers must refuse, the clause it breaks, and how it breaks it.

    ``match`` is a regular expression for the message, ``refused`` the way in which readers refuse
    the file, ``error`` the exception of this package. ``models`` names the model files that the
    reader is given.
    """

    data: bytes
    clause: str
    about: str
    match: str
    refused: str = CORRUPT
    error: str = "AezCorruptError"
    models: tuple[str, ...] = ()
