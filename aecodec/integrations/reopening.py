"""An archive that is opened when it is needed, again and again if need be, and is always the same.

What was read of it at first, such as labels, would not fit the images of another file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aecodec.archive.array import Archive, reopened
from aecodec.io.locks import ForkLock

if TYPE_CHECKING:
    from aecodec.codec.codec import Codec


class SharedArchive:
    """What opens one archive, for the threads of a process; a pickled copy does so in another one.

    It raises AezChangedError where another file lies than ``archive`` was opened from.
    """

    def __init__(self, archive: Archive) -> None:
        self._recipe = archive.recipe()
        self._start()

    def _start(self) -> None:
        self._archive: Archive | None = None
        self._codec: Codec | None = None
        self._stamp: tuple[int, ...] | None = None  # of the file that was found to be the right one
        self._lock = ForkLock()

    def open(self) -> Archive:
        """The open archive; the file's state in its folder is looked at each time."""
        with self._lock:
            stamp = self._recipe.origin.stamp()
            if self._archive is None:
                self._archive = reopened(self._recipe, self._codec)
                self._stamp = stamp
            elif stamp not in (None, self._stamp):  # without a file, what is open stays so
                reopened(self._recipe, self._archive.codec).close()
                self._stamp = stamp
            return self._archive

    def close(self) -> None:
        """Close the archive; its networks are kept."""
        with self._lock:
            if self._archive is not None:
                self._codec = self._archive.codec
                self._archive.close()
                self._archive = None

    def __del__(self) -> None:
        if getattr(self, "_archive", None) is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_recipe": self._recipe}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()
