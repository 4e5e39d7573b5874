"""The markers of chunks and sections in a file, where a search for whole records begins."""

from __future__ import annotations

import re
from typing import Final

from aecodec.container.chunks import CHUNK_MARKER
from aecodec.container.filebytes import FileBytes
from aecodec.container.sections import SECTION_MARKER

_MARKER: Final = re.compile(re.escape(CHUNK_MARKER) + b"|" + re.escape(SECTION_MARKER))
_BLOCK_NBYTES: Final = 1 << 20


class Markers:
    """The markers in a file, in order; the search goes on where the caller says."""

    def __init__(self, file: FileBytes) -> None:
        self._bytes = file
        self._block, self._block_at = b"", 0

    def next(self, at: int) -> tuple[int, bytes] | None:
        """Offset of the first marker at or after ``at``, and the marker."""
        overlap = len(CHUNK_MARKER) - 1
        while at < self._bytes.nbytes - overlap:
            start = at - self._block_at
            if not 0 <= start < len(self._block) - overlap:
                nbytes = min(_BLOCK_NBYTES, self._bytes.nbytes - at)
                self._block = self._bytes.read(at, nbytes, "block")
                self._block_at, start = at, 0
            if found := _MARKER.search(self._block, start):
                return self._block_at + found.start(), found[0]
            at = self._block_at + len(self._block) - overlap
        return None
