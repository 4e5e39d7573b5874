"""zlib of untrusted files: output is bounded, and every fault is an AezError."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from aecodec.errors import AezCorruptError, AezLimitError

Limit = tuple[str, int]  # the name of a limit, and bytes
_INPUT_NBYTES = 64 << 10
_PIECE_NBYTES = 1 << 20


class Inflater:
    """The content of ``data``, one zlib stream, a piece at a time; ``where`` names it in errors.

    Time is linear in ``data`` and what is read of it. AezCorruptError for damaged data, and for
    other than the ``expected`` number of bytes, if it is given.
    """

    def __init__(self, data: bytes, where: str, expected: int | None = None) -> None:
        self._data, self._where, self._expected = memoryview(data), where, expected
        self._at = 0
        self._read_nbytes = 0
        self._zlib = zlib.decompressobj()

    def read(self, nbytes: int) -> bytes:
        """The next ``nbytes`` bytes, fewer only at the end."""
        pieces: list[bytes] = []
        left = nbytes
        while left and (piece := self._some(left)):
            pieces.append(piece)
            left -= len(piece)
        self._read_nbytes += nbytes - left
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self, nbytes: int) -> Iterator[bytes]:
        """The next ``nbytes`` bytes in pieces up to 1 MiB; AezCorruptError if there are fewer."""
        for start in range(0, nbytes, _PIECE_NBYTES):
            wanted = min(_PIECE_NBYTES, nbytes - start)
            piece = self.read(wanted)
            if len(piece) < wanted:
                raise AezCorruptError(
                    f"{self._where}: unpacks to {self._read_nbytes} bytes, "
                    f"expected {self._expected or nbytes}"
                )
            yield piece

    def finish(self) -> None:
        """AezCorruptError unless the stream ends here, and is all of the data."""
        if self.read(1):
            raise AezCorruptError(
                f"{self._where}: unpacks to more than {self._read_nbytes - 1} bytes, "
                f"expected {self._read_nbytes - 1}"
            )
        if not self._zlib.eof or self._zlib.unused_data or self._at < len(self._data):
            raise AezCorruptError(f"{self._where}: zlib data cut, or followed by other bytes")

    def _some(self, most: int) -> bytes:
        """1 to ``most`` bytes; none at the end."""
        out = b""
        try:
            while not out and not self._zlib.eof:
                packed: bytes | memoryview = self._zlib.unconsumed_tail
                if not packed:
                    packed = self._data[self._at : self._at + _INPUT_NBYTES]
                    self._at += len(packed)
                out = self._zlib.decompress(packed, most)
                if not out and not packed:
                    break
        except zlib.error as error:
            raise AezCorruptError(f"{self._where}: damaged zlib data: {error}") from error
        return out


def inflated(data: bytes, where: str, limit: Limit) -> Iterator[bytes]:
    """The content of ``data``, one zlib stream, in pieces of up to 1 MiB.

    AezLimitError once it is more than the limit.
    """
    name, most = limit
    inflater = Inflater(data, where)
    left = most
    while piece := inflater.read(min(_PIECE_NBYTES, left + 1)):
        left -= len(piece)
        if left < 0:
            raise AezLimitError(f"{where}: unpacks to over {most} bytes, {name} allows no more")
        yield piece
    inflater.finish()


def inflate(data: bytes, where: str, limit: Limit) -> bytes:
    """The content of ``data``, one zlib stream; AezLimitError if that is more than the limit."""
    return b"".join(inflated(data, where, limit))
