"""The symbols of one payload, packed or unpacked: rows of them are taken."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from aecodec.arrays import Indices, Symbols
from aecodec.entropy.packed_symbols import PackedSymbols

OFTEN = 8  # a payload whose rows are taken this often is unpacked whole
UNPACKED_NBYTES = 16 << 20  # ... if its symbols take no more than this


class SymbolRows(Protocol):
    """The symbols (N, D) of the images of one payload; any rows of them can be taken."""

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""

    def take(self, rows: Indices) -> Symbols:
        """Symbols (len(rows), D) of the images at these positions."""


class UnpackedRows:
    """Symbols (N, D) that are all unpacked."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    @property
    def nbytes(self) -> int:
        """The bytes of the symbols."""
        return self._symbols.nbytes

    def take(self, rows: Indices) -> Symbols:
        """Symbols (len(rows), D)."""
        taken: Symbols = self._symbols[rows]
        return taken


class PackedRows:
    """Symbols (N, D) that stay packed until rows of them are taken often."""

    def __init__(self, packed: PackedSymbols) -> None:
        self._packed, self._asked = packed, 0
        self._unpacked: Symbols | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of what it holds now, packed or unpacked."""
        return self._packed.nbytes if self._unpacked is None else self._unpacked.nbytes

    def take(self, rows: Indices) -> Symbols:
        """Symbols (len(rows), D)."""
        if self._unpacked is None:
            self._asked += 1
            if self._asked < OFTEN or self._packed.symbols_nbytes > UNPACKED_NBYTES:
                return self._packed.take(rows)
            self._unpacked = self._packed.take(np.arange(self._packed.image_count))
        taken: Symbols = self._unpacked[rows]
        return taken
