"""Symbols under zstd: pinned bytes, round trips, and payloads that mean harm."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aecodec.entropy.packed_symbols import pack_symbols, symbols_per_byte, unpack_symbols
from aecodec.entropy.zstd import compress_bytes, decompress_bytes
from aecodec.errors import AezCorruptError

PINNED = bytes.fromhex(
    "101500008100000001000e00050400df12e0120001001c0000b900005500075f2600002c01580284"
    "03b004dc05080734086009"
)
PINNED_SYMBOLS = np.array([[i % 2, 7, -3 + i % 5, 300 * (i - 4), -1] for i in range(9)], np.int16)


def leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def payload(table: bytes, *frames: bytes) -> bytes:
    """A payload with a table of our own making, the frames' sizes put at its end."""
    table += b"".join(leb128(len(frame)) for frame in frames)
    packed = compress_bytes(table)
    return leb128(len(table)) + leb128(len(packed)) + packed + b"".join(frames)


def column(base: int, span: int, group: int = 0) -> bytes:
    """One latent's line of the table; the base is zigzagged."""
    zigzag = 2 * base if base >= 0 else -2 * base - 1
    line = leb128(zigzag) + leb128(span - 1)
    return line if span == 1 else line + leb128(group)


def zeros_frame(block_count: int, window_log: int = 17) -> bytes:
    """A frame of ``block_count`` runs of 128 KiB of zeros, four bytes each."""
    blocks = [1 << 1 | 131072 << 3] * block_count
    blocks[-1] |= 1
    start = bytes([0, (window_log - 10) << 3])
    return start + b"".join(block.to_bytes(3, "little") + b"\0" for block in blocks)


# ---------------------------------------------------------------- pinned


def test_pinned_payload_unpacks():
    np.testing.assert_array_equal(unpack_symbols(PINNED, 9, 5, "pin"), PINNED_SYMBOLS)


def test_hand_made_payload_unpacks():
    """Clause 8.2 by hand: base 128 in base 3, five to a byte, first image in the highest place."""
    frame = compress_bytes(bytes([0 * 81 + 1 * 27 + 2 * 9 + 0 * 3 + 2, 1 * 81]))
    symbols = unpack_symbols(payload(column(-1, 3) + column(-300, 1), frame), 6, 2, "hand")
    assert symbols[:, 0].tolist() == [-1, 0, 1, -1, 1, 0]
    assert symbols[:, 1].tolist() == [-300] * 6


def test_hand_made_shared_frame_unpacks():
    """Latents 0 and 2 share frame 0, latent 1 has frame 1."""
    second = compress_bytes(b"\x00\x00\x2c\x01\x01\x00")
    table = column(0, 2, 0) + column(5, 301, 1) + column(-3, 7, 0)
    # 7 values: two to a byte, so 3 images take 2 bytes
    first = compress_bytes(bytes([0b01100000, 0 * 7 + 6, 2 * 7 + 0]))
    symbols = unpack_symbols(payload(table, first, second), 3, 3, "hand")
    assert symbols.T.tolist() == [[0, 1, 1], [5, 305, 6], [-3, 3, -1]]


def test_hand_made_wide_latent_unpacks():
    frame = compress_bytes(b"\x00\x00\xff\xff\x01\x00")
    symbols = unpack_symbols(payload(column(-32768, 65536), frame), 3, 1, "hand")
    assert symbols[:, 0].tolist() == [-32768, 32767, -32767]


@pytest.mark.parametrize(
    ("span", "count"),
    [(2, 8), (3, 5), (4, 4), (6, 3), (7, 2), (16, 2), (17, 1), (256, 1), (257, 0), (65536, 0)],
)
def test_symbols_per_byte(span, count):
    assert symbols_per_byte(span) == count


# ---------------------------------------------------------------- round trips


def symbol_arrays() -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, 40), st.integers(1, 6))
    ranges = st.sampled_from([(0, 0), (-1, 0), (-1, 1), (-9, 6), (0, 255), (-200, 90)])
    narrow = ranges.flatmap(
        lambda r: hnp.arrays(np.int16, shapes, elements=st.integers(*r), fill=st.nothing())
    )
    return narrow | hnp.arrays(np.int16, shapes)


@given(symbol_arrays())
def test_round_trip(symbols):
    packed = pack_symbols(symbols)
    assert pack_symbols(symbols) == packed
    result = unpack_symbols(packed, *symbols.shape, "it")
    np.testing.assert_array_equal(result, symbols)
    assert result.dtype == np.int16


@pytest.mark.parametrize("span", [1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 255, 256, 257, 65536])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 200])
def test_round_trip_of_every_packing(span, count):
    rng = np.random.default_rng(span)
    symbols = (rng.integers(0, span, (count, 3)) - span // 2).astype(np.int16)
    symbols[0], symbols[-1] = -(span // 2), span - 1 - span // 2
    np.testing.assert_array_equal(unpack_symbols(pack_symbols(symbols), count, 3, "it"), symbols)


def test_small_symbols_share_bytes():
    """A latent of two equally likely values takes a bit, not a byte, of an image."""
    symbols = np.random.default_rng(0).integers(0, 2, (8000, 1)).astype(np.int16)
    assert len(pack_symbols(symbols)) < 1000 * 1.03


@given(st.binary(min_size=1, max_size=300))
def test_bytes_round_trip(data):
    assert decompress_bytes(compress_bytes(data), len(data), "it") == data


# ---------------------------------------------------------------- damage


def unchanged_or_refused(data: bytes, symbols: np.ndarray) -> bool:
    """True when refused; anything else than the very same symbols fails."""
    try:
        got = unpack_symbols(data, *symbols.shape, "it")
    except AezCorruptError:
        return True
    np.testing.assert_array_equal(got, symbols)
    return False


def test_truncations():
    rng = np.random.default_rng(1)
    symbols = np.stack([rng.integers(-k, k + 1, 60) for k in (1, 3, 30, 400)], 1).astype(np.int16)
    data = pack_symbols(symbols)
    assert all(unchanged_or_refused(data[:n], symbols) for n in range(len(data)))
    with pytest.raises(AezCorruptError, match="it: 1 bytes left over"):
        unpack_symbols(data + b"\0", *symbols.shape, "it")


def test_bit_flips_raise_nothing_else():
    """Payloads carry no checksum, the chunk does; here a flip may give other symbols."""
    for at in range(len(PINNED)):
        for bit in range(8):
            damaged = bytearray(PINNED)
            damaged[at] ^= 1 << bit
            try:
                symbols = unpack_symbols(bytes(damaged), 9, 5, "it")
            except AezCorruptError as error:
                assert str(error).startswith("it")  # noqa: PT017  # most flips raise, some do not
            else:
                assert symbols.shape == (9, 5)
                assert symbols.dtype == np.int16


@given(st.binary(max_size=80), st.integers(1, 50), st.integers(1, 5))
def test_junk_raises_nothing_else(data, count, latents):
    with pytest.raises(AezCorruptError, match="junk"):
        unpack_symbols(b"\xff" + data, count, latents, "junk")


@pytest.mark.parametrize(("count", "latents"), [(8, 5), (10, 5), (9, 4), (9, 6), (100, 5)])
def test_wrong_counts(count, latents):
    with pytest.raises(AezCorruptError, match="it: "):
        unpack_symbols(PINNED, count, latents, "it")


def test_bomb_neither_explodes_nor_passes():
    bomb = zeros_frame(8192)  # a gibibyte
    assert len(bomb) < 40_000
    data = payload(column(0, 256), bomb)
    tracemalloc.start()
    try:
        with pytest.raises(
            AezCorruptError,
            match="bomb: frame 0: the zstd frame is cut, or holds more than the 100 bytes",
        ):
            unpack_symbols(data, 100, 1, "bomb")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_bomb_frame_is_what_it_says():
    assert decompress_bytes(zeros_frame(2), 262144, "it") == bytes(262144)


def test_bomb_in_the_table():
    bomb = zeros_frame(8192)
    with pytest.raises(
        AezCorruptError, match="symbol table: the zstd frame is cut, or holds more than the 4 bytes"
    ):
        unpack_symbols(leb128(4) + leb128(len(bomb)) + bomb, 100, 1, "bomb")


def test_wide_window_is_refused():
    with pytest.raises(AezCorruptError, match="it: "):
        decompress_bytes(zeros_frame(1, window_log=31), 131072, "it")


def test_window_is_at_most_8_mib():
    assert decompress_bytes(zeros_frame(1, window_log=23), 131072, "it") == bytes(131072)
    wider = bytearray(zeros_frame(1, window_log=23))
    wider[1] += 1
    with pytest.raises(AezCorruptError, match="it: zstd frame has a window of 9437184 bytes"):
        decompress_bytes(bytes(wider), 131072, "it")


@pytest.mark.parametrize("stated", ["write_content_size", "write_checksum"])
def test_frame_that_says_what_the_container_says(stated):
    parameters = {"write_content_size": False, "write_checksum": False, stated: True}
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(
            format=zstandard.FORMAT_ZSTD1_MAGICLESS, **parameters
        )
    )
    with pytest.raises(AezCorruptError, match=r"it: zstd frame begins with .*, expected 00"):
        decompress_bytes(compressor.compress(b"abc"), 3, "it")


@given(st.binary(max_size=100))
def test_own_frames_have_the_one_form(data):
    assert compress_bytes(data)[0] == 0


def test_short_frame():
    with pytest.raises(AezCorruptError, match="it: frame holds 3 bytes, expected 4"):
        decompress_bytes(compress_bytes(b"abc"), 4, "it")
    with pytest.raises(
        AezCorruptError, match="it: the zstd frame is cut, or holds more than the 2 bytes expected"
    ):
        decompress_bytes(compress_bytes(b"abc"), 2, "it")


def test_frames_carry_no_magic():
    with pytest.raises(AezCorruptError, match="it: "):
        decompress_bytes(zstandard.ZstdCompressor().compress(b"abc"), 3, "it")


# ---------------------------------------------------------------- one form only


FRAME = compress_bytes(b"\x01\x00\xff")  # one symbol to a byte: 17 to 256 values
LINE = column(0, 256)


def sized(table: bytes, frame: bytes, *, extra: bytes = b"") -> bytes:
    """A payload of one frame, with ``extra`` at the table's end."""
    return payload(table + leb128(len(frame)) + extra) + frame


def test_the_form_that_the_others_break():
    assert unpack_symbols(sized(LINE, FRAME), 3, 1, "it").tolist() == [[1], [0], [255]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (sized(column(0, 256, 1), FRAME), "latent 0 in frame 1, expected 0"),
        (sized(column(32767, 2), FRAME), r"latent 0 is 32767\.\.32768, no int16"),
        (sized(column(-32769, 2), FRAME), r"latent 0 is -32769\.\.-32768, no int16"),
        (sized(column(0, 1 << 31), FRAME), "latent 0 is 0"),
        (sized(column(0, 255), FRAME), "latent 0: byte 255, expected below 255"),
        (sized(LINE, FRAME, extra=b"\0"), "symbol table: 1 bytes left over"),
        (payload(LINE) + FRAME, "symbol table: frame size is cut, 0 bytes are left"),
        (sized(LINE, FRAME) + b"\0", "it: 1 bytes left over"),
        (sized(LINE, FRAME)[:-1], r"it: frame 0 needs \d+ bytes, \d+ are left"),
        (sized(b"\x80\x00\x80\x02\x00", FRAME), "base 0 is not in its shortest form"),
        (sized(b"\xff\xff\xff\xff\x1f\x00", b""), r"base \d+ is over 32 bits"),
        (sized(b"\xff\xff\xff\xff\xff\x01\x00", b""), "base is longer than 5 bytes"),
        (payload(b"\0"), "symbol table of 1 bytes, 1 latents"),
        (payload(bytes(21)), "symbol table of 21 bytes, 1 latents"),
    ],
)
def test_not_canonical(data, message):
    with pytest.raises(AezCorruptError, match=message):
        unpack_symbols(data, 3, 1, "it")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [(b"\x01\x00\xfe", r"both ends of 0\.\.255"), (b"\x01\x01\xff", r"both ends of 0\.\.255")],
)
def test_base_and_span_are_the_tightest(pixels, message):
    with pytest.raises(AezCorruptError, match=message):
        unpack_symbols(sized(LINE, compress_bytes(pixels)), 3, 1, "it")


def test_symbols_past_the_last_image_are_zero():
    good, bad = compress_bytes(bytes([0b01100000])), compress_bytes(bytes([0b01110000]))
    assert unpack_symbols(sized(column(0, 2), good), 3, 1, "it").tolist() == [[0], [1], [1]]
    with pytest.raises(AezCorruptError, match="symbols after the last image are not zero"):
        unpack_symbols(sized(column(0, 2), bad), 3, 1, "it")


def test_wide_symbol_past_its_span():
    frame = compress_bytes(b"\x00\x00\x2c\x01")  # 0, 300
    assert unpack_symbols(sized(column(5, 301), frame), 2, 1, "it").tolist() == [[5], [305]]
    with pytest.raises(
        AezCorruptError, match=r"latent 0: symbols do not reach both ends of 0\.\.299"
    ):
        unpack_symbols(sized(column(5, 300), frame), 2, 1, "it")


def test_groups_are_numbered_by_first_use():
    frames = [compress_bytes(b"\x01\x00\xff")] * 2
    table = column(0, 256, 1) + column(0, 256, 0)
    with pytest.raises(AezCorruptError, match="latent 0 in frame 1, expected 0"):
        unpack_symbols(payload(table, *frames), 3, 2, "it")


def test_second_frame_is_corrupt():
    with pytest.raises(AezCorruptError, match="followed by other bytes"):
        decompress_bytes(compress_bytes(b"abc" * 9) + compress_bytes(b""), 27, "it")


def test_frame_cut_before_its_last_block_is_corrupt():
    params = zstandard.ZstdCompressionParameters.from_level(
        19, write_content_size=False, format=zstandard.FORMAT_ZSTD1_MAGICLESS
    )
    compressor = zstandard.ZstdCompressor(compression_params=params).compressobj()
    cut = compressor.compress(b"abc" * 9) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    with pytest.raises(AezCorruptError, match="is cut"):
        decompress_bytes(cut, 27, "it")
