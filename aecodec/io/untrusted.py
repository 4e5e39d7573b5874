"""zlib and JSON from files of others: bounded, and every fault an AezError."""

from __future__ import annotations

import json
import zlib
from typing import Any

from aecodec.errors import AezCorruptError, AezLimitError


def inflate(data: bytes, where: str, limit: tuple[str, int]) -> bytes:
    """One zlib stream, never more than the limit's bytes of it; ``limit`` is a name and bytes."""
    name, most = limit
    inflater = zlib.decompressobj()
    out = _decompress(inflater, data, most + 1, where)
    if len(out) > most:
        raise AezLimitError(f"{where}: unpacks to over {most} bytes, {name} allows no more")
    _check_end(inflater, where)
    return out


def inflate_exactly(data: bytes, nbytes: int, where: str) -> bytes:
    """One zlib stream of exactly ``nbytes``."""
    inflater = zlib.decompressobj()
    out = _decompress(inflater, data, nbytes + 1, where)
    if len(out) != nbytes:
        found = f"more than {nbytes}" if len(out) > nbytes else str(len(out))
        raise AezCorruptError(f"{where}: unpacks to {found} bytes, expected {nbytes}")
    _check_end(inflater, where)
    return out


def _decompress(inflater: Any, data: bytes, most: int, where: str) -> bytes:  # noqa: ANN401  # zlib names no type
    try:
        out: bytes = inflater.decompress(data, most)
    except zlib.error as error:
        raise AezCorruptError(f"{where}: damaged zlib data: {error}") from error
    return out


def _check_end(inflater: Any, where: str) -> None:  # noqa: ANN401
    if not inflater.eof or inflater.unused_data:
        raise AezCorruptError(f"{where}: zlib data cut, or followed by other bytes")


def parse_json(data: bytes, where: str) -> Any:  # noqa: ANN401  # checked by the callers
    """What UTF-8 JSON holds."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AezCorruptError(f"{where}: not JSON: {error}") from error
