"""The chunks of an open file, decoded: small ones several at a time, within the memory of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aecodec.archive.damage import pointing_to_repair
from aecodec.archive.parts import FileParts
from aecodec.container import Chunk, Reader
from aecodec.errors import AezError

if TYPE_CHECKING:
    from aecodec.arrays import Images, Indices
    from aecodec.codec.codec import Codec
    from aecodec.codec.decode import OpenChunk

TOGETHER_IMAGES, TOGETHER_NBYTES = 4096, 16 << 20  # decoded at once, where chunks are small


class Decoding:
    """Opens chunks of a file by the codec that ``find_codec`` gives once one is needed.

    The last one is kept: neighbours are usually asked for together. Threads may share it.
    """

    def __init__(
        self, reader: Reader, find_codec: Callable[[], Codec], max_memory_nbytes: int
    ) -> None:
        self._reader, self._find_codec = reader, find_codec
        self._max_memory_nbytes = max_memory_nbytes
        self._last: tuple[int, OpenChunk] | None = None

    def forget(self) -> None:
        """Keep no chunk."""
        self._last = None

    def open_chunks(self, numbers: Sequence[int] | Indices) -> Iterator[OpenChunk]:
        """These chunks in order, for random access within each."""
        most = self._most_together()
        at = 0
        while at < len(numbers):
            last = self._last  # another thread may replace it
            if last is not None and last[0] == numbers[at]:
                at += 1
                yield last[1]
                continue
            self._last = last = None  # before the next one is read
            group = [int(i) for i in numbers[at : at + most]]
            opened, damage = self._open_group(group)
            at += len(opened)
            while opened:
                yield opened.pop(0)
            if damage:
                with pointing_to_repair():
                    raise damage

    def decode(self, indices: Indices) -> Images:
        """The images at these positions, (n, H, W, C); each chunk is read once."""
        size = self._reader.header.chunk_images
        chunk_of = indices // size
        order = np.argsort(chunk_of, kind="stable")
        wanted, counts = np.unique(chunk_of, return_counts=True)
        out = self._room(len(indices))
        at = 0
        for i, opened in enumerate(self.open_chunks(wanted)):
            here = order[at : at + counts[i]]
            at += len(here)
            within = indices[here] - int(wanted[i]) * size
            whole = len(within) == opened.chunk.image_count  # then its hash can be checked
            out[here] = opened.all()[within] if whole else opened.take(within)
            del opened  # before the next one is read
        return out

    def decode_run(self, run: range) -> Images:
        """The images from one position to another, step 1; no number is made for each."""
        out = self._room(len(run))
        size = self._reader.header.chunk_images
        numbers = range(run.start // size, -(-run.stop // size)) if run else range(0)
        for i, opened in enumerate(self.open_chunks(numbers)):
            start, count = numbers[i] * size, opened.chunk.image_count
            begin, end = max(run.start - start, 0), min(run.stop - start, count)
            is_whole = (begin, end) == (0, count)
            images = opened.all() if is_whole else opened.take(np.arange(begin, end))
            if is_whole and count == len(out):
                return images
            at = start + begin - run.start
            out[at : at + end - begin] = images
            del opened, images  # before the next one is read
        return out

    def _room(self, count: int) -> Images:
        header = self._reader.header
        return np.empty((count, header.height, header.width, header.channels), np.uint8)

    def _most_together(self) -> int:
        """How many chunks may be decoded together, by their images."""
        header = self._reader.header
        images = min(TOGETHER_IMAGES, TOGETHER_NBYTES // header.image_nbytes)
        return max(1, images // header.chunk_images)

    def _open_group(self, group: Sequence[int]) -> tuple[list[OpenChunk], AezError | None]:
        """The first of these chunks, and the error of the next if it cannot be read.

        Together they take no more memory than one chunk may.
        """
        chunks, damage = self._read(group)
        if not chunks:
            return [], damage
        header = self._reader.header
        shape = header.height, header.width, header.channels
        where = [f"{self._reader.name}: chunk {i}" for i in group[: len(chunks)]]
        FileParts(self._reader).check_chunks(chunks, where)
        codec = self._find_codec()
        opened = codec.open_chunks(chunks, shape, where, self._max_memory_nbytes)
        self._last = group[len(chunks) - 1], opened[-1]
        return opened, damage

    def _read(self, group: Sequence[int]) -> tuple[list[Chunk], AezError | None]:
        left = self._max_memory_nbytes
        chunks: list[Chunk] = []
        for i in group:
            try:
                head = self._reader.read_chunk_head(i)
                left -= head.memory_nbytes(self._reader.header, beside_others=bool(chunks))
                if chunks and left < 0:
                    break
                chunks.append(self._reader.read_chunk(i, head))
            except AezError as error:  # those before the damage are kept
                return chunks, error
        return chunks, None
