"""What was changed in pictures that were taken, as words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aecodec.images.base import Note
from aecodec.images.viewing import GAMMA, PROFILE, TURNED

CHANNELS = "channels"
NAMES_SHOWN = 3


def notes_of(changed: Mapping[str, Sequence[str]], channels: int) -> tuple[Note, ...]:
    """A note for each kind of change, from the names of the pictures that were changed."""
    texts = {
        PROFILE: ("with a colour profile, which is not kept", True),
        GAMMA: ("with a gamma, which is not kept", True),
        TURNED: ("turned upright, as EXIF says", False),
        CHANNELS: (f"stored with other channels and taken with {channels}, without loss", False),
    }
    return tuple(
        Note(f"{_count(changed[kind])} {text}: {_some(changed[kind])}", is_loss)
        for kind, (text, is_loss) in texts.items()
        if changed.get(kind)
    )


def _count(names: Sequence[str]) -> str:
    return f"{len(names):,} picture{'' if len(names) == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return ", ".join(ascii(name)[1:-1] for name in names[:NAMES_SHOWN]) + more
