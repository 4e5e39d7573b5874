"""Bytes under zstd: one frame of the one form that aez.md 8.4 allows."""

from __future__ import annotations

import zstandard

from aecodec.errors import AezCorruptError

LEVEL = 19
FAST_LEVEL = 9  # a twentieth of the time; 1 to 4 % larger on pictures, 35 % on pure black and white
WINDOW_MAX = 8 << 20  # aez.md 8.4; the window that this compressor takes for large data


def compress_bytes(data: bytes) -> bytes:
    """One zstd frame without magic, content size or checksum: the container holds all three."""
    return compressor().compress(data)


def fast_nbytes(data: bytes) -> int:
    """Size at a fast level of zstd: an upper estimate of what ``compress_bytes`` gives.

    Repeats are found in the whole window, as ``compress_bytes`` finds them.
    """
    params = zstandard.ZstdCompressionParameters.from_level(
        FAST_LEVEL, enable_ldm=True, window_log=WINDOW_MAX.bit_length() - 1
    )
    return len(zstandard.ZstdCompressor(compression_params=params).compress(data))


def compressor() -> zstandard.ZstdCompressor:
    """A compressor of such frames, for one thread."""
    params = zstandard.ZstdCompressionParameters.from_level(
        LEVEL,
        write_content_size=False,
        write_checksum=False,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    )
    return zstandard.ZstdCompressor(compression_params=params)


def decompress_bytes(frame: bytes, nbytes: int, where: str) -> bytes:
    """The ``nbytes`` bytes, 1 or more, of a frame; ``frame`` holds it and nothing else.

    AezCorruptError for a frame of another form (aez.md 8.4) or of another number of bytes.
    """
    return decompress(decompressor(), frame, nbytes, where)


def decompressor() -> zstandard.ZstdDecompressor:
    """A decompressor of such frames, for one thread."""
    return zstandard.ZstdDecompressor(
        max_window_size=WINDOW_MAX, format=zstandard.FORMAT_ZSTD1_MAGICLESS
    )


def decompress(
    decompressor: zstandard.ZstdDecompressor, frame: bytes, nbytes: int, where: str
) -> bytes:
    """As :func:`decompress_bytes`, with a decompressor that several frames share."""
    _check_head(frame, where)
    try:
        # The output buffer has the expected size: it is full before a bomb is unpacked, and zstd
        # reports whatever follows the frame.
        data = decompressor.decompress(frame, max_output_size=nbytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        if "not enough memory" in str(error):
            raise MemoryError(f"{where}: {error}") from error
        raise AezCorruptError(f"{where}: {_frame_fault(str(error), nbytes)}") from error
    if len(data) != nbytes:
        raise AezCorruptError(f"{where}: frame holds {len(data)} bytes, expected {nbytes}")
    return data


def _frame_fault(error: str, nbytes: int) -> str:
    """What an error text of zstd means here."""
    if "full frame" in error:
        return f"the zstd frame is cut, or holds more than the {nbytes} bytes expected"
    if "unused data" in error:
        return "the zstd frame is followed by other bytes"
    return f"damaged zstd frame: {error}"


def _check_head(frame: bytes, where: str) -> None:
    """The one form that aez.md 8.4 allows: a descriptor of 0, and a window of at most 8 MiB."""
    if len(frame) < 2 or frame[0]:
        found = frame[:2].hex() or "nothing"
        raise AezCorruptError(f"{where}: zstd frame begins with {found}, expected 00 and a window")
    exponent, eighths = divmod(frame[1], 8)
    window = (8 + eighths) << exponent + 7
    if window > WINDOW_MAX:
        raise AezCorruptError(
            f"{where}: zstd frame has a window of {window} bytes, expected at most {WINDOW_MAX}"
        )
