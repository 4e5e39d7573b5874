"""What image sets left out while a command ran, collected: no command can forget to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Skipped(NamedTuple):
    """An entry of a set that was left out, and the reason."""

    name: str
    reason: str

    @property
    def is_loss(self) -> bool:
        """Whether a picture, or data that belong to one, are missing now."""
        return True


class PassedOver(Skipped):
    """An entry that holds no picture: a text, a hidden file, a link to nothing."""

    __slots__ = ()

    @property
    def is_loss(self) -> bool:
        """False."""
        return False


class Aside(PassedOver):
    """An entry that is told only with ``--verbose``: a file among the models that is none."""

    __slots__ = ()


class Note(NamedTuple):
    """What is different in images that were taken, as words for people."""

    text: str
    is_loss: bool  # whether something of the pictures is not kept


Told = Skipped | Note
_COLLECTED: ContextVar[dict[tuple[str, Told], None] | None] = ContextVar("left_out", default=None)


@contextmanager
def collecting() -> Iterator[dict[tuple[str, Told], None]]:
    """Yield a dictionary whose keys become (set, what it left out), each once, in order."""
    found: dict[tuple[str, Told], None] = {}
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def tell(of_set: str, told: Iterable[Told]) -> None:
    """Tell whoever collects it what a set leaves out."""
    found = _COLLECTED.get()
    if found is not None:
        found.update(((of_set, entry), None) for entry in told)
