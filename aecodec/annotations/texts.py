"""Many texts in little memory: names of images, and the texts of a column."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, overload

NAME_NBYTES: Final = 12  # that a text takes besides its own, while texts are added
_IN_A_SET, _SUSPECTS = 1 << 16, 1 << 16


class Texts(Sequence[str]):
    """Texts as one block of UTF-8, each decoded when it is asked for; equal to a tuple of them.

    A text takes 8 bytes besides its own. Lone surrogates, as in the names of files that are not
    UTF-8, are kept.
    """

    __slots__ = ("_data", "_ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        data = bytearray()
        ends = array("Q")
        for text in texts:
            data += text.encode("utf-8", "surrogatepass")
            ends.append(len(data))
        self._data: bytes = bytes(data)
        self._ends: Sequence[int] = ends

    @classmethod
    def of_utf8(cls, data: bytes, ends: Sequence[int]) -> Texts:
        """Texts whose bytes follow each other in ``data``, each up to its end."""
        texts = cls.__new__(cls)
        texts._data, texts._ends = data, ends
        return texts

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return len(self._data) + 8 * len(self._ends)

    @property
    def utf8_nbytes(self) -> int:
        """Bytes of all texts in UTF-8."""
        return len(self._data)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> Texts: ...
    def __getitem__(self, key: int | slice) -> str | Texts:
        if isinstance(key, slice):
            return Texts(self._text(i) for i in range(len(self))[key])
        return self._text(range(len(self))[key])

    def _text(self, i: int) -> str:
        start = self._ends[i - 1] if i else 0
        return self._data[start : self._ends[i]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield self._data[start:end].decode("utf-8", "surrogatepass")
            start = end

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._ends == other._ends and self._data == other._data
        if isinstance(other, tuple):
            return len(self) == len(other) and all(map(_same, self, other))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        if len(self) <= 10:
            return repr(tuple(self))
        first = ", ".join(map(repr, self[:3]))
        return f"({first}, ..., {self[-1]!r}: {len(self)} texts)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Texts.of_utf8, (self._data, self._ends)


def _same(one: str, other: object) -> bool:
    return one == other


def has_repeats(texts: Sequence[str]) -> bool:
    """Whether a text occurs twice; many take 16 bytes each, and time n log n."""
    if len(texts) <= _IN_A_SET:
        return len(set(texts)) < len(texts)
    import numpy as np

    hashes = np.fromiter(map(hash, texts), np.int64, len(texts))
    hashes.sort()
    repeated = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(repeated):
        return False
    suspects = set(repeated[:_SUSPECTS].tolist())
    seen: set[str] = set()
    for text in texts:  # equal hashes are equal texts, but for one case in 2**64
        if hash(text) in suspects:
            if text in seen:
                return True
            seen.add(text)
    return False
