"""Files that ask for much, or hold what no writer writes; each is made in any size.

``bench/hostile.py`` runs every command on them, the tests some, and the fuzzer starts from small
ones. The modules make one kind of thing each: JSON, names, columns, chunks, markers and models.
"""

from __future__ import annotations

from collections.abc import Iterator

from making.hostile import chunks, columns, json_sections, markers, models, names
from making.hostile.kind import Kind, sound_file

__all__ = ["KINDS", "Kind", "small_files", "sound_file"]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for module in (json_sections, names, columns, chunks, markers, models)
    for kind in module.KINDS
}


def small_files(most_nbytes: int) -> Iterator[bytes]:
    """The files of all kinds in small sizes, those of up to so many bytes: seeds of a fuzzer."""
    for kind in KINDS.values():
        if kind.suffix == ".aez":
            size = min(kind.size, 3)
            data = kind.make(size)
            if len(data) <= most_nbytes:
                yield data
