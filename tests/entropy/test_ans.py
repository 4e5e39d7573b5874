"""Mixtures and rANS: integers, round trips, literal bytes, and payloads that lie."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecodec.entropy import ans
from aecodec.entropy.mixture import (
    SLOTS,
    Mixtures,
    inverse_table,
    level_count,
    sigmoid_table,
    weight_table,
)
from aecodec.errors import AezCorruptError

try:
    from aecodec.entropy import compiled
except ImportError:
    compiled = None

CODERS = [
    pytest.param(ans, id="numpy"),
    pytest.param(
        compiled,
        id="numba",
        marks=pytest.mark.skipif(compiled is None, reason="numba is not installed"),
    ),
]
BOUNDS = st.sampled_from([0, 1, 2, 7, 8, 42, 63, 126, 127])


def random_raw(rng: np.random.Generator, count: int, mixtures: int = 5) -> np.ndarray:
    """Parameters (count, 3K) far and wide, beyond every clamp too."""
    spread = [(-3000, 5000), (-900, 1200), (-5000, 5000)]
    return np.concatenate(
        [rng.integers(low, high, (count, mixtures)) for low, high in spread], axis=1
    ).astype(np.int32)


def random_stream(
    seed: int, sizes: tuple[int, ...], bound: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Raw parameters and symbols of one stream's planes; half the symbols are likely ones."""
    rng = np.random.default_rng(seed)
    raws = [random_raw(rng, size) for size in sizes]
    symbols = []
    for raw in raws:
        likely = Mixtures.from_raw(raw).search(rng.integers(0, SLOTS, len(raw)), bound)
        anything = rng.integers(0, level_count(bound), len(raw))
        symbols.append(np.where(rng.random(len(raw)) < 0.5, likely, anything).astype(np.uint8))
    return raws, symbols


def encode_stream(coder, raws: list[np.ndarray], symbols: list[np.ndarray], bound: int) -> bytes:
    return coder.encode([coder.intervals(r, s, bound) for r, s in zip(raws, symbols, strict=True)])


def decode_stream(coder, payload: bytes, raws: list[np.ndarray], bound: int) -> list[np.ndarray]:
    decoder = coder.Decoder([payload], ["it"])
    symbols = [decoder.decode([raw], bound)[0] for raw in raws]
    decoder.finish()
    return symbols


# ---------------------------------------------------------------- tables and mixtures


@pytest.mark.parametrize(
    ("table", "length", "digest"),
    [
        (sigmoid_table, 1025, "fc792b98f1833e8ed6ec9422660e4c84938dcde819c7e5f5aedb802db0b926c8"),
        (inverse_table, 1281, "20127617fa750e574d151446f26c4597c7324d5628a07e12238f30bb9e3d1a59"),
        (weight_table, 2048, "5bdffe092276e4ad2dafaeab145a9da69c731a5a46cb282eaea88b5464c37dc1"),
    ],
)
def test_tables_are_what_they_always_were(table, length, digest):
    values = table()
    assert len(values) == length
    assert hashlib.sha256(values.astype("<u4").tobytes()).hexdigest() == digest


def test_sigmoid_is_monotone_and_ends_at_certainty():
    table = sigmoid_table()
    assert (table[0], table[512], table[1024]) == (0, SLOTS // 2, SLOTS)
    assert (np.diff(table) >= 0).all()


@pytest.mark.parametrize(("bound", "levels"), [(0, 256), (1, 86), (8, 16), (126, 2), (127, 2)])
def test_level_count(bound, levels):
    assert level_count(bound) == levels


@given(st.integers(0, 2**32), BOUNDS)
def test_every_symbol_has_slots_and_all_slots_are_given(seed, bound):
    mixtures = Mixtures.from_raw(random_raw(np.random.default_rng(seed), 20))
    assert (mixtures.weight.sum(axis=1) == 1 << 16).all()
    edges = np.stack(
        [mixtures.cumulative(np.full(20, s), bound) for s in range(level_count(bound) + 1)]
    )
    assert (edges[0] == 0).all()
    assert (edges[-1] == SLOTS).all()
    assert (np.diff(edges, axis=0) >= 1).all()


@given(st.integers(0, 2**32), BOUNDS)
def test_search_finds_the_owner_of_a_slot(seed, bound):
    rng = np.random.default_rng(seed)
    mixtures = Mixtures.from_raw(random_raw(rng, 50))
    slots = rng.integers(0, SLOTS, 50)
    s = mixtures.search(slots, bound)
    assert (mixtures.cumulative(s, bound) <= slots).all()
    assert (slots < mixtures.cumulative(s + 1, bound)).all()


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("coder", CODERS)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), min_size=1, max_size=5), BOUNDS)
def test_round_trip(coder, seed, sizes, bound):
    raws, symbols = random_stream(seed, tuple(sizes), bound)
    payload = encode_stream(coder, raws, symbols, bound)
    for decoded, symbol in zip(decode_stream(coder, payload, raws, bound), symbols, strict=True):
        np.testing.assert_array_equal(decoded, symbol)


@pytest.mark.parametrize("bound", [0, 1, 8, 60, 127])
@pytest.mark.skipif(compiled is None, reason="numba is not installed")
def test_compiled_gives_the_same_bytes(bound):
    streams = [random_stream(seed, (30, 0, 7, 100), bound) for seed in range(4)]
    payloads = [encode_stream(ans, *stream, bound) for stream in streams]
    assert [encode_stream(compiled, *stream, bound) for stream in streams] == payloads
    for threads in (1, 2):
        decoder = compiled.Decoder(payloads, ["it"] * 4, threads)
        for k in range(4):
            decoded = decoder.decode([raws[k] for raws, _ in streams], bound)
            for symbols, (_, expected) in zip(decoded, streams, strict=True):
                np.testing.assert_array_equal(symbols, expected[k])
        decoder.finish()


@pytest.mark.parametrize("coder", CODERS)
def test_streams_of_unequal_length_side_by_side(coder):
    streams = [random_stream(seed, (seed * 9 + 1, 20 - seed), 2) for seed in range(5)]
    payloads = [encode_stream(coder, *stream, 2) for stream in streams]
    decoder = coder.Decoder(payloads, ["it"] * 5)
    for k in range(2):
        decoded = decoder.decode([raws[k] for raws, _ in streams], 2)
        for symbols, (_, expected) in zip(decoded, streams, strict=True):
            np.testing.assert_array_equal(symbols, expected[k])
    decoder.finish()


@pytest.mark.parametrize(
    ("bound", "nbytes", "digest"),
    [
        (0, 340, "d8f2acf613bef1bda01383d1a3f91140be860770fbe09a11196c0bed06834c6c"),
        (8, 288, "d57ba47bd4721846b19865a201c24b6273c45c1233092c5a57d7caa8cc14ddf1"),
        (127, 152, "4bfdd416e23fdd5d9c0d45d20b83392146c912171cca3082a8a7697eded2a2dd"),
    ],
)
@pytest.mark.parametrize("coder", CODERS)
def test_payload_is_what_it_always_was(coder, bound, nbytes, digest):
    payload = encode_stream(coder, *random_stream(1, (40, 3, 200), bound), bound)
    assert (len(payload), hashlib.sha256(payload).hexdigest()) == (nbytes, digest)


def test_size_is_the_code_length():
    raws, symbols = random_stream(3, (5000,), 0)
    coded = ans.intervals(raws[0], symbols[0], 0)
    bits = ans.cost_bits(coded).sum()
    nbytes = len(ans.encode([coded]))
    assert bits / 8 <= nbytes <= bits / 8 + ans.STATES_NBYTES + 4


def test_states_fit_the_promise():
    assert ans.STATES_NBYTES <= 64


# ---------------------------------------------------------------- payloads that lie


@pytest.fixture
def stream():
    raws, symbols = random_stream(7, (30, 30), 1)
    return raws, encode_stream(ans, raws, symbols, 1)


@pytest.mark.parametrize("coder", CODERS)
def test_every_truncation_is_noticed(coder, stream):
    raws, payload = stream
    for cut in range(len(payload)):
        with pytest.raises(AezCorruptError, match="it: ANS "):
            decode_stream(coder, payload[:cut], raws, 1)


@pytest.mark.parametrize("coder", CODERS)
def test_more_words_are_noticed(coder, stream):
    raws, payload = stream
    with pytest.raises(AezCorruptError, match="it: ANS payload does not end where its images do"):
        decode_stream(coder, payload + bytes(4), raws, 1)


@pytest.mark.parametrize("coder", CODERS)
def test_every_flipped_bit_is_noticed_or_codes_other_symbols(coder, stream):
    """Symbols have one payload: what still decodes is the payload of what it gives, to the bit."""
    raws, payload = stream
    noticed = 0
    for bit in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            symbols = decode_stream(coder, bytes(flipped), raws, 1)
        except AezCorruptError:
            noticed += 1
        else:
            assert encode_stream(coder, raws, symbols, 1) == flipped
    assert noticed > 0.8 * 8 * len(payload)


@pytest.mark.parametrize("coder", CODERS)
def test_low_states_are_refused(coder):
    payload = bytes(ans.STATES_NBYTES)
    with pytest.raises(AezCorruptError, match="it: ANS state 0, expected 4294967296 or more"):
        coder.Decoder([payload], ["it"])


@pytest.mark.parametrize("coder", CODERS)
@given(st.binary(min_size=0, max_size=400))
def test_any_bytes_end_in_an_error(coder, payload):
    raws, _ = random_stream(7, (60, 60), 1)
    with pytest.raises(AezCorruptError, match="it: ANS "):
        decode_stream(coder, payload, raws, 1)
