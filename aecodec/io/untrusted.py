"""zlib and JSON of untrusted files: output is bounded, and every fault is an AezError."""

from __future__ import annotations

import json
import zlib
from typing import Any

from aecodec.errors import AezCorruptError, AezLimitError


def inflate(data: bytes, where: str, limit: tuple[str, int]) -> bytes:
    """The content of ``data``, one zlib stream; AezLimitError if that is more than the limit.

    ``limit`` is a name and bytes. No more than that is unpacked, but for one byte.
    """
    name, most = limit
    out, is_whole = _decompress(data, most + 1, where)
    if len(out) > most:
        raise AezLimitError(f"{where}: unpacks to over {most} bytes, {name} allows no more")
    _check_end(where, is_whole=is_whole)
    return out


def inflate_exactly(data: bytes, nbytes: int, where: str) -> bytes:
    """The content of ``data``, one zlib stream of exactly ``nbytes`` bytes of content."""
    out, is_whole = _decompress(data, nbytes + 1, where)
    if len(out) != nbytes:
        found = f"more than {nbytes}" if len(out) > nbytes else str(len(out))
        raise AezCorruptError(f"{where}: unpacks to {found} bytes, expected {nbytes}")
    _check_end(where, is_whole=is_whole)
    return out


def _decompress(data: bytes, most: int, where: str) -> tuple[bytes, bool]:
    """Up to ``most`` bytes of content, and whether the stream ends there and is all of ``data``."""
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, most)
    except zlib.error as error:
        raise AezCorruptError(f"{where}: damaged zlib data: {error}") from error
    return out, inflater.eof and not inflater.unused_data


def _check_end(where: str, *, is_whole: bool) -> None:
    if not is_whole:
        raise AezCorruptError(f"{where}: zlib data cut, or followed by other bytes")


def parse_json(data: bytes, where: str) -> Any:  # noqa: ANN401  # any JSON: callers check it
    """The value of ``data``, JSON in UTF-8; AezCorruptError if it is not."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AezCorruptError(f"{where}: not JSON: {error}") from error
