"""Interleaved rANS (Duda 2013) over mixtures of logistics; clause 12 of aez.md.

Seven lanes take the symbols in turn and share one stream of words. A state lies in
[2**32, 2**64); decoding a symbol leaves state = frequency * (state >> 24) + slot - first slot, and
if that is below 2**32 a word of 32 bits is shifted in. This implementation works everywhere: it
advances the lanes of all given streams at once. :mod:`aecodec.entropy.compiled` is the same
algorithm, compiled, for where numba is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aecodec.entropy.mixture import SLOT_BITS, SLOTS, Mixtures
from aecodec.errors import AezCorruptError

LANES = 7
STATE_MIN = 1 << 32
STATES_NBYTES = 8 * LANES

BLOCK_IMAGES = 585 * LANES  # of a stream in one call; the lanes then end a turn, whatever its size
RAW_NBYTES = 12 << 20  # of predictions in one call, if a turn of the lanes takes no more

Raw = npt.NDArray[np.int32]
ByteSymbols = npt.NDArray[np.uint8]  # symbols of pixels and of latents, as ANS codes them
Intervals = npt.NDArray[np.int32]
_SLOT_BITS, _WORD_BITS = np.uint64(SLOT_BITS), np.uint64(32)
_RENORM_BITS = np.uint64(64 - SLOT_BITS)
_SLOT_MASK = np.uint64(SLOTS - 1)


def intervals(raw: Raw, symbols: ByteSymbols, bound: int) -> Intervals:
    """raw (M, 3K), symbols (M,) -> int32 (2, M): each symbol's first slot and its frequency."""
    mixtures, s = Mixtures.from_raw(raw), symbols.astype(np.int64)
    first = mixtures.cumulative(s, bound)
    return np.stack([first, mixtures.cumulative(s + 1, bound) - first]).astype(np.int32)


def encode(planes: Sequence[Intervals]) -> bytes:
    """The payload of one stream from its planes' intervals (2, M), in the order of decoding."""
    certain = np.array([[0], [SLOTS]])  # fills a plane's last group: costs no bits, keeps states
    groups = np.concatenate(
        [
            np.concatenate([plane, np.broadcast_to(certain, (2, -plane.shape[1] % LANES))], axis=1)
            for plane in planes
        ],
        axis=1,
    ).astype(np.uint64)
    first, frequency = groups.reshape(2, -1, LANES)
    state = np.full(LANES, STATE_MIN, np.uint64)
    words = np.zeros(first.shape, np.uint32)
    taken = np.zeros(first.shape, bool)
    for g in range(len(first) - 1, -1, -1):
        f = frequency[g]
        full = (state >> _RENORM_BITS) >= f
        words[g], taken[g] = state.astype(np.uint32), full
        state = np.where(full, state >> _WORD_BITS, state)
        state = ((state // f) << _SLOT_BITS) + state % f + first[g]
    return state.astype("<u8").tobytes() + words[taken].astype("<u4").tobytes()


def cost_bits(plane: Intervals) -> npt.NDArray[np.float64]:
    """Bits (M,) that each symbol costs, before rounding to words."""
    bits: npt.NDArray[np.float64] = SLOT_BITS - np.log2(plane[1])
    return bits


class Decoder:
    """Streams decoded side by side, plane after plane; ``where`` names each for errors.

    ``threads`` is used by the compiled twin alone: here one thread decodes all streams at once.
    """

    def __init__(self, payloads: Sequence[bytes], where: Sequence[str], threads: int = 1) -> None:
        del threads
        self.where = where
        self.words = [read_words(*each) for each in zip(payloads, where, strict=True)]
        self.states = np.stack([read_states(*each) for each in zip(payloads, where, strict=True)])
        self.positions = np.zeros(len(self.words), np.int64)

    def decode(self, raw: Sequence[Raw], bound: int) -> list[ByteSymbols]:
        """raw (M, 3K) of each stream, M may differ -> the next M symbols of each."""
        groups = -(-max(len(r) for r in raw) // LANES)
        padded = np.zeros((len(raw), groups * LANES, raw[0].shape[1]), np.int32)
        real = np.zeros((len(raw), groups * LANES), bool)
        for i, r in enumerate(raw):
            padded[i, : len(r)], real[i, : len(r)] = r, True
        mixtures = Mixtures.from_raw(padded.reshape(-1, padded.shape[2]))
        rows = np.arange(real.size).reshape(len(raw), groups, LANES)
        real = real.reshape(rows.shape)
        symbols = np.zeros(rows.shape, np.uint8)
        for g in range(groups):
            mine = mixtures.take(rows[:, g].ravel())
            slots = (self.states & _SLOT_MASK).astype(np.int64)
            s = mine.search(slots.ravel(), bound)
            first = mine.cumulative(s, bound).reshape(slots.shape)
            frequency = mine.cumulative(s + 1, bound).reshape(slots.shape) - first
            turned = frequency.astype(np.uint64) * (self.states >> _SLOT_BITS)
            turned += (slots - first).astype(np.uint64)
            self.states = np.where(real[:, g], turned, self.states)
            symbols[:, g] = s.reshape(slots.shape)
            self._refill()
        flat = symbols.reshape(len(raw), -1)
        return [flat[i, : len(r)] for i, r in enumerate(raw)]

    def _refill(self) -> None:
        low = self.states < np.uint64(STATE_MIN)
        for i in np.flatnonzero(low.any(axis=1)).tolist():
            count, start = int(low[i].sum()), int(self.positions[i])
            words = self.words[i][start : start + count]
            if len(words) < count:
                raise AezCorruptError(f"{self.where[i]}: ANS payload ends before its images do")
            self.states[i, low[i]] = (self.states[i, low[i]] << _WORD_BITS) | words
            self.positions[i] += count

    def finish(self) -> None:
        """AezCorruptError unless all words are used and all states are as encoding began."""
        for name, words, position, states in zip(
            self.where, self.words, self.positions, self.states, strict=True
        ):
            check_end(name, len(words) - int(position), states)


class StreamDecoder(Protocol):
    """:class:`Decoder`, or its compiled twin."""

    def decode(self, raw: Sequence[Raw], bound: int) -> list[ByteSymbols]:
        """raw (M, 3K) of each stream, M may differ -> the next M symbols of each."""


def decode_plane(
    decoder: StreamDecoder,
    counts: Sequence[int],
    predict: Callable[[Sequence[slice]], Raw],
    bound: int,
    raw_nbytes: int,
) -> Iterator[tuple[slice, ByteSymbols]]:
    """The next plane of all streams, in pieces: a slice of all images, and their symbols.

    ``counts`` are the images in each stream. ``predict`` maps slices of the images to raw
    (n, ..., 3K) of these, one after the other, which take ``raw_nbytes`` each.
    """
    for group in _blocks(counts, raw_nbytes):
        raw = predict(group)
        ends = np.cumsum([0, *(part.stop - part.start for part in group)])
        rows = [raw[a:b].reshape(-1, raw.shape[-1]) for a, b in pairwise(ends)]
        decoded = decoder.decode(rows, bound)
        for part, symbols in zip(group, decoded, strict=True):
            if part.stop > part.start:
                yield part, symbols


def rows_at(rows: npt.NDArray[Any], parts: Sequence[slice]) -> npt.NDArray[Any]:
    """The rows at these slices, one after the other; no copy where they follow each other."""
    if all(a.stop == b.start for a, b in pairwise(parts)):
        return rows[parts[0].start : parts[-1].stop]
    return np.concatenate([rows[part] for part in parts])


def _blocks(counts: Sequence[int], raw_nbytes: int) -> Iterator[list[slice]]:
    """Slices of all images, one of each stream, in groups that are decoded one after the other.

    Streams are decoded side by side, a block of each at a time, so that predictions are held for a
    block and not for all images.
    """
    ends = np.cumsum([0, *counts]).tolist()
    turns = RAW_NBYTES // max(1, raw_nbytes * len(counts)) // LANES
    step = LANES * max(1, min(turns, BLOCK_IMAGES // LANES))
    for at in range(0, max(counts), step):
        yield [slice(min(a + at, b), min(a + at + step, b)) for a, b in pairwise(ends)]


def read_states(payload: bytes, where: str) -> npt.NDArray[np.uint64]:
    """The lanes' states (LANES,) that a payload begins with."""
    if len(payload) < STATES_NBYTES or len(payload) % 4:
        raise AezCorruptError(
            f"{where}: ANS payload of {len(payload)} bytes, "
            f"expected {STATES_NBYTES} and a multiple of 4 more"
        )
    states = np.frombuffer(payload[:STATES_NBYTES], "<u8").astype(np.uint64)
    if int(states.min()) < STATE_MIN:
        raise AezCorruptError(
            f"{where}: ANS state {int(states.min())}, expected {STATE_MIN} or more"
        )
    return states


def read_words(payload: bytes, where: str) -> npt.NDArray[np.uint32]:
    """The words after the states."""
    read_states(payload, where)
    return np.frombuffer(payload, "<u4")[STATES_NBYTES // 4 :].astype(np.uint32)


def check_end(where: str, words_left: int, states: npt.NDArray[np.uint64]) -> None:
    """AezCorruptError unless a stream ends where its images do."""
    if words_left or np.any(states != STATE_MIN):
        raise AezCorruptError(f"{where}: ANS payload does not end where its images do")
