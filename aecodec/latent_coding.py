"""Latents into payloads and back: under zstd (aez.md 8), or ANS with the learned prior (aez.md 14)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from aecodec import entropy
from aecodec.container import MODE_LATENTS_ANS, MODE_LATENTS_ZSTD
from aecodec.entropy import ans, zstd
from aecodec.errors import AezLimitError
from aecodec.nets.latent_prior import SYMBOL_OFFSET
from aecodec.quantizer import gains_at

if TYPE_CHECKING:
    from aecodec.nets.latent_search import Rate
    from aecodec.nets.prior_layer import PriorLayer

Symbols = npt.NDArray[np.int16]
ZSTD, ANS = "zstd", "ans"
CODERS = (ZSTD, ANS)
MAX_SYMBOLS_NBYTES = 64 << 20  # of one chunk under ANS, which is decoded whole


class LatentCoder(Protocol):
    """What packs the symbols of layer L; ``mode`` is the container's."""

    mode: int

    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        """Which rows of symbols (N, D) can be coded."""

    def rate(self, symbols: Symbols, quality: int) -> Rate:
        """What softly rounded symbols near ``symbols`` (N, D) of a stored quality cost."""

    def pack(self, symbols: Symbols, quality: int) -> bytes:
        """The payload of symbols (N, D) of a stored quality, N >= 1."""


class ZstdCoder:
    """The default: fast, simple, and a little larger; ``device`` is where rates are computed."""

    mode = MODE_LATENTS_ZSTD

    def __init__(self, device: str = "cpu") -> None:
        self._device = device

    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        return np.ones(len(symbols), bool)

    def rate(self, symbols: Symbols, quality: int) -> Rate:
        from aecodec.nets.latent_search import FrequencyRate

        del quality
        return FrequencyRate(symbols, self._device)

    def pack(self, symbols: Symbols, quality: int) -> bytes:
        del quality
        return zstd.pack_symbols(symbols)


class AnsCoder:
    """Under the learned prior."""

    mode = MODE_LATENTS_ANS

    def __init__(self, prior: PriorLayer) -> None:
        self._prior = prior

    def fits(self, symbols: Symbols) -> npt.NDArray[np.bool_]:
        low, high = symbols.min(axis=1), symbols.max(axis=1)
        inside: npt.NDArray[np.bool_] = (low >= -SYMBOL_OFFSET) & (high < SYMBOL_OFFSET)
        return inside

    def rate(self, symbols: Symbols, quality: int) -> Rate:
        del symbols
        return self._prior.rate(quality)

    def pack(self, symbols: Symbols, quality: int) -> bytes:
        planes = [plane.reshape(2, -1) for plane in self.intervals(symbols, quality)]
        payload: bytes = entropy.coder().encode(planes)
        return payload

    def intervals(self, symbols: Symbols, quality: int) -> list[ans.Intervals]:
        """Of each group the intervals int32 (2, N, n) of its symbols."""
        prior, c = self._prior, self._prior.config
        ordered = symbols[:, prior.order]
        gains = _ordered_gains(prior, quality)
        planes = []
        for g in range(c.groups):
            raw = prior.predict(g, ordered, gains, quality)
            levels = (ordered[:, c.members(g)] + SYMBOL_OFFSET).astype(np.uint8)
            coded = entropy.coder().intervals(raw.reshape(-1, raw.shape[-1]), levels.ravel(), 0)
            planes.append(coded.reshape(2, *levels.shape))
        return planes


def unpack_latents(
    prior: PriorLayer,
    payloads: Sequence[bytes],
    counts: Sequence[int],
    quality: int,
    where: Sequence[str],
) -> list[Symbols]:
    """ANS payloads of one quality and the images in each -> symbols int16 (count, D) of each."""
    decoder = entropy.coder().Decoder(payloads, where, prior.threads)
    symbols = decode_symbols(decoder, prior, counts, quality, where[0])
    decoder.finish()
    return [symbols[a:b] for a, b in pairwise(np.cumsum([0, *counts]))]


def decode_symbols(
    decoder: ans.StreamDecoder, prior: PriorLayer, counts: Sequence[int], quality: int, where: str
) -> Symbols:
    """The latents that come next in streams, of as many images each -> symbols int16 (N, D)."""
    c = prior.config
    gains = _ordered_gains(prior, quality)
    nbytes = 2 * c.latents * sum(counts)
    if nbytes > MAX_SYMBOLS_NBYTES:
        raise AezLimitError(
            f"{where}: {nbytes} bytes of latents under ANS, this reader takes {MAX_SYMBOLS_NBYTES}"
        )
    ordered = np.zeros((sum(counts), c.latents), np.int16)

    def predict(g: int, some: slice) -> npt.NDArray[np.int32]:
        return prior.predict(g, ordered[some], gains, quality)

    for g in range(c.groups):
        for part, levels in ans.decode_plane(decoder, counts, partial(predict, g), 0):
            symbols = levels.astype(np.int16) - SYMBOL_OFFSET
            ordered[part, c.members(g)] = symbols.reshape(part.stop - part.start, -1)
    symbols = np.empty_like(ordered)
    symbols[:, prior.order] = ordered
    return symbols


def _ordered_gains(prior: PriorLayer, quality: int) -> npt.NDArray[np.int64]:
    return gains_at(prior.gains, quality)[prior.order].astype(np.int64)
