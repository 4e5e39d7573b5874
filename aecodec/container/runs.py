"""Runs: which images of a chunk are in which sub-payload (aez.md 5.3)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import overload

from aecodec.errors import AezCorruptError
from aecodec.io.cursor import Cursor, pack_leb128

Run = tuple[int, int]  # sub-payload index, number of images


class Runs(Sequence[Run]):
    """Runs in 5 bytes each; equal to a tuple of them."""

    __slots__ = ("_indices", "_lengths")

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._indices, self._lengths = array("B"), array("I")
        for index, length in runs:
            self._indices.append(index)
            self._lengths.append(length)

    def __len__(self) -> int:
        return len(self._lengths)

    @overload
    def __getitem__(self, key: int) -> Run: ...
    @overload
    def __getitem__(self, key: slice) -> Runs: ...
    def __getitem__(self, key: int | slice) -> Run | Runs:
        if isinstance(key, slice):
            return Runs(zip(self._indices[key], self._lengths[key], strict=True))
        return self._indices[key], self._lengths[key]

    def __iter__(self) -> Iterator[Run]:
        return zip(self._indices, self._lengths, strict=True)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Runs):
            return self._indices == other._indices and self._lengths == other._lengths
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self)) if len(self) <= 10 else f"<{len(self)} runs>"

    def fault(self, sub_payload_count: int, image_count: int) -> str | None:
        """The first rule that they break, or None: aez.md 5.5, equal chunks are equal bytes."""
        if (total := sum(self._lengths)) != image_count:
            return f"runs cover {total} images, image_count is {image_count}"
        before = -1
        seen = bytearray(256)
        first_uses: list[int] = []
        for index in self._indices:
            if index == before:
                return "two neighbouring runs name the same sub-payload"
            if not seen[index]:
                seen[index] = 1
                first_uses.append(index)
            before = index
        if first_uses != list(range(sub_payload_count)):
            last = sub_payload_count - 1
            return f"sub-payloads are first used in the order {first_uses}, expected 0..{last}"
        return None

    def image_counts(self, sub_payload_count: int) -> list[int]:
        """The number of images in each sub-payload."""
        counts = [0] * sub_payload_count
        for index, length in self:
            counts[index] += length
        return counts

    def pack(self) -> bytes:
        """The runs as a table has them."""
        packed = bytearray()
        for index, length in self:
            packed.append(index)
            packed += pack_leb128(length)
        return bytes(packed)

    def assignment(self) -> bytes:
        """The sub-payload index of each image, a byte each."""
        expanded = bytearray()
        for index, length in self:
            expanded += bytes([index]) * length
        return bytes(expanded)


def unpack_runs(data: bytes, where: str) -> Runs:
    """The runs in ``data``, which has nothing else."""
    runs = Runs()
    cursor = Cursor(data, where)
    while cursor.left_nbytes:
        index = cursor.byte("sub-payload index")
        length = cursor.leb128("run length")
        if length == 0:
            raise AezCorruptError(f"{where}: run length is 0, expected 1 or more")
        runs._indices.append(index)
        runs._lengths.append(length)
    return runs


def runs_of(assignment: bytes) -> Runs:
    """The runs of an assignment, the sub-payload index of each image."""
    return Runs((index, sum(1 for _ in images)) for index, images in groupby(assignment))
