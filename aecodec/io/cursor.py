"""Reading forward through bytes of others, and numbers in LEB128 (aez.md 5.3 and 8.2)."""

from __future__ import annotations

from typing import Final

from aecodec.errors import AezCorruptError

LEB128_MAX_NBYTES: Final = 5  # enough for a u32


class Cursor:
    """Takes counted bytes off ``data``, never past its end; ``where`` names the data in errors.

    Every fault is an AezCorruptError that names the field.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        self._data = data
        self._at = 0

    @property
    def left_nbytes(self) -> int:
        """Bytes that have not been taken."""
        return len(self._data) - self._at

    def take(self, nbytes: int, field: str) -> bytes:
        """The next ``nbytes`` bytes."""
        end = self._at + nbytes
        if end > len(self._data):
            raise AezCorruptError(
                f"{self.where}: {field} needs {nbytes} bytes, {self.left_nbytes} are left"
            )
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def byte(self, field: str) -> int:
        """The next byte, 0 to 255."""
        if self._at == len(self._data):
            return self.take(1, field)[0]  # which raises
        self._at += 1
        return self._data[self._at - 1]

    def take_counted(self, field: str) -> bytes:
        """The bytes of a field that begins with their number, one byte."""
        return self.take(self.byte(f"{field} length"), field)

    def leb128(self, field: str) -> int:
        """The next unsigned LEB128 number: in its shortest form, below 2**32."""
        data, start = self._data, self._at
        if start < len(data) and data[start] < 0x80:  # most numbers are a byte, without a slice
            self._at = start + 1
            return data[start]
        value = 0
        for shift, byte in enumerate(data[start : start + LEB128_MAX_NBYTES]):
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                if byte == 0 and shift > 0:
                    raise AezCorruptError(
                        f"{self.where}: {field} {value} is not in its shortest form"
                    )
                if value >= 1 << 32:
                    raise AezCorruptError(f"{self.where}: {field} {value} is over 32 bits")
                self._at = start + shift + 1
                return value
        if self.left_nbytes < LEB128_MAX_NBYTES:
            raise AezCorruptError(
                f"{self.where}: {field} is cut, {self.left_nbytes} bytes are left"
            )
        raise AezCorruptError(f"{self.where}: {field} is longer than {LEB128_MAX_NBYTES} bytes")

    def finish(self) -> None:
        """AezCorruptError if bytes are left over."""
        if self.left_nbytes:
            raise AezCorruptError(f"{self.where}: {self.left_nbytes} bytes left over")


def pack_leb128(value: int) -> bytes:
    """An integer, 0 or more, as unsigned LEB128 in its shortest form."""
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)
