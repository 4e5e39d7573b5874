"""The coders of latents: symbols to payloads and back, under zstd (aez.md 8) or ANS (aez.md 14).

Each coder is one class, which encodes and decodes, and belongs to one mode of the container.
``CODERS`` lists them by name; a coder's name is in its mode's row in ``container/modes.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from aecodec import entropy
from aecodec.arrays import Symbols
from aecodec.container.modes import LATENTS_ANS, LATENTS_ZSTD, Mode
from aecodec.entropy import ans
from aecodec.entropy.packed_symbols import PackedSymbols, pack_symbols
from aecodec.errors import QuantizerRangeError
from aecodec.latents.quantizer import gains_at
from aecodec.latents.rows import PackedRows, SymbolRows, UnpackedRows
from aecodec.nets.latent_prior import SYMBOL_OFFSET

if TYPE_CHECKING:
    from aecodec.latents.layer import LatentNetworks
    from aecodec.latents.prior import PriorNetwork
    from aecodec.latents.search import Rate

SYMBOL_NBYTES = 2  # of a symbol in memory; payloads under ANS are decoded whole


class LatentSource(Protocol):
    """Where a coder gets its networks; each method raises ModelMissingError if there is none."""

    @property
    def device(self) -> str:
        """The torch device of the networks."""

    def latents(self) -> LatentNetworks:
        """The networks of layer L."""

    def prior(self) -> PriorNetwork:
        """The prior of layer L's latents."""


class LatentCoder(ABC):
    """Packs the symbols of layer L into payloads, and unpacks them.

    ``mode`` is the container's. ``chunk_images`` is how many images share a payload by default.
    ``shares_tables`` is whether a payload holds tables that all its images share. Then few images
    take more bytes each than many images do.
    """

    mode: ClassVar[Mode]
    chunk_images: ClassVar[int]
    shares_tables: ClassVar[bool]

    @classmethod
    @abstractmethod
    def of(cls, source: LatentSource) -> LatentCoder:
        """The coder with the networks of a model."""

    @abstractmethod
    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        """Which rows of symbols (N, D) can be coded, (N,)."""

    @abstractmethod
    def rate(self, symbols: Symbols, stored_quality: int) -> Rate:
        """The rate of softly rounded symbols near ``symbols`` (N, D), at a stored quality."""

    @abstractmethod
    def pack(self, symbols: Symbols, stored_quality: int) -> bytes:
        """The payload of symbols (N, D) of a stored quality, N >= 1."""

    @abstractmethod
    def unpack(
        self,
        payloads: Sequence[bytes],
        counts: Sequence[int],
        stored_quality: int,
        where: Sequence[str],
    ) -> list[SymbolRows]:
        """The symbols of payloads of one stored quality, with ``counts`` images each.

        ``where`` names each payload for errors: AezCorruptError for one that is damaged.
        """


class ZstdCoder(LatentCoder):
    """Each latent's symbols as a column, under zstd: the default coder, and the fastest one.

    ``latents`` is D; ``device`` is where rates are computed.
    """

    mode = LATENTS_ZSTD
    chunk_images = 16_384  # many symbols share the tables, and a large chunk decodes fast
    shares_tables = True

    def __init__(self, latents: int, device: str = "cpu") -> None:
        self._latents, self._device = latents, device

    @classmethod
    def of(cls, source: LatentSource) -> ZstdCoder:
        """The coder with the networks of a model."""
        return cls(source.latents().config.latents, source.device)

    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        """Every row can be coded."""
        return np.ones(len(symbols), bool)

    def rate(self, symbols: Symbols, stored_quality: int) -> Rate:
        """The rate under the frequencies of ``symbols``."""
        from aecodec.latents.search import FrequencyRate

        del stored_quality
        return FrequencyRate(symbols, self._device)

    def pack(self, symbols: Symbols, stored_quality: int) -> bytes:
        """The payload of symbols (N, D); the same for every quality."""
        del stored_quality
        return pack_symbols(symbols)

    def unpack(
        self,
        payloads: Sequence[bytes],
        counts: Sequence[int],
        stored_quality: int,
        where: Sequence[str],
    ) -> list[SymbolRows]:
        """Each payload is checked as a whole; its symbols are unpacked when they are taken."""
        del stored_quality
        return [
            PackedRows(PackedSymbols(payload, count, self._latents, name))
            for payload, count, name in zip(payloads, counts, where, strict=True)
        ]


class AnsCoder(LatentCoder):
    """Symbols under ANS, group by group, with the probabilities of the learned prior."""

    mode = LATENTS_ANS
    chunk_images = 2048  # so many that the bytes of a chunk besides its payload do not matter
    shares_tables = False

    def __init__(self, prior: PriorNetwork) -> None:
        self._prior = prior

    @classmethod
    def of(cls, source: LatentSource) -> AnsCoder:
        """The coder with the networks of a model."""
        return cls(source.prior())

    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        """Rows whose symbols are all in -128..127 can be coded."""
        low, high = symbols.min(axis=1), symbols.max(axis=1)
        inside: npt.NDArray[np.bool_] = (low >= -SYMBOL_OFFSET) & (high < SYMBOL_OFFSET)
        return inside

    def rate(self, symbols: Symbols, stored_quality: int) -> Rate:
        """The rate under the prior."""
        del symbols
        return self._prior.rate(stored_quality)

    def pack(self, symbols: Symbols, stored_quality: int) -> bytes:
        """The payload of symbols (N, D) of a stored quality, N >= 1."""
        planes = [plane.reshape(2, -1) for plane in self.intervals(symbols, stored_quality)]
        payload: bytes = entropy.coder().encode(planes)
        return payload

    def intervals(self, symbols: Symbols, stored_quality: int) -> list[ans.Intervals]:
        """The intervals, int32 (2, N, n), of each group's symbols."""
        prior, c = self._prior, self._prior.config
        _require_range(symbols)
        ordered = symbols[:, prior.order]
        gains = self._ordered_gains(stored_quality)
        planes = []
        for g in range(c.groups):
            raw = prior.predict(g, ordered, gains, stored_quality)
            levels = (ordered[:, c.members(g)] + SYMBOL_OFFSET).astype(np.uint8)
            coded = entropy.coder().intervals(raw.reshape(-1, raw.shape[-1]), levels.ravel(), 0)
            planes.append(coded.reshape(2, *levels.shape))
        return planes

    def unpack(
        self,
        payloads: Sequence[bytes],
        counts: Sequence[int],
        stored_quality: int,
        where: Sequence[str],
    ) -> list[SymbolRows]:
        """The payloads are decoded as a whole, side by side."""
        decoder = entropy.coder().Decoder(payloads, where, self._prior.threads)
        symbols = self.decode(decoder, counts, stored_quality, where[0])
        decoder.finish()
        return [UnpackedRows(symbols[a:b]) for a, b in pairwise(np.cumsum([0, *counts]))]

    def decode(
        self, decoder: ans.StreamDecoder, counts: Sequence[int], stored_quality: int, where: str
    ) -> Symbols:
        """The next symbols (N, D) in streams of ``counts`` images each.

        They take ``SYMBOL_NBYTES`` each, which callers check beforehand.
        """
        prior, c = self._prior, self._prior.config
        gains = self._ordered_gains(stored_quality)
        ordered = np.zeros((sum(counts), c.latents), np.int16)

        def predict(g: int, parts: Sequence[slice]) -> npt.NDArray[np.int32]:
            return prior.predict(g, ans.rows_at(ordered, parts), gains, stored_quality)

        for g in range(c.groups):
            members = c.members(g)
            nbytes = (members.stop - members.start) * 3 * c.mixtures * 4
            for part, levels in ans.decode_plane(decoder, counts, partial(predict, g), 0, nbytes):
                symbols = levels.astype(np.int16) - SYMBOL_OFFSET
                ordered[part, members] = symbols.reshape(part.stop - part.start, -1)
        symbols = np.empty_like(ordered)
        symbols[:, prior.order] = ordered
        return symbols

    def _ordered_gains(self, stored_quality: int) -> npt.NDArray[np.int64]:
        """Gains (D,) at a stored quality, in the order of coding."""
        return gains_at(self._prior.gains, stored_quality)[self._prior.order].astype(np.int64)


def _require_range(symbols: Symbols) -> None:
    """QuantizerRangeError unless ANS can code all symbols: a byte would wrap the others."""
    low, high = int(symbols.min(initial=0)), int(symbols.max(initial=0))
    if not -SYMBOL_OFFSET <= low <= high < SYMBOL_OFFSET:
        raise QuantizerRangeError(
            f"symbols span {low}..{high}, expected {-SYMBOL_OFFSET}..{SYMBOL_OFFSET - 1} under ANS"
        )


_CLASSES: tuple[type[LatentCoder], ...] = (ZstdCoder, AnsCoder)
CODERS = {coder.mode.coder: coder for coder in _CLASSES}  # by name
CODERS_BY_MODE = {coder.mode.number: coder for coder in _CLASSES}
