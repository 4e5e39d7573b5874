"""Changes model files (clause 10 of aez.md), and sets their checksums and fingerprints right."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import zlib
from collections.abc import Sequence

from fuzzing.changes import NUMBERS, changed, flip_bit, set_byte, set_number

FRAME = 28  # bytes of a section's frame, before its payload


def _unpacked_model(data: bytes) -> tuple[dict[str, object], bytes] | None:
    try:
        (nbytes,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + nbytes])
        if not isinstance(header["__metadata__"]["aecodec"], str):
            return None
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    return header, data[8 + nbytes :]


def _tensors(
    header: dict[str, object], body: bytes
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Name -> (dtype, shape, bytes), as far as the header makes sense."""
    kinds = {"I8": "int8", "U8": "uint8", "I16": "int16", "U16": "uint16", "I32": "int32"}
    kinds["F32"] = "float32"
    found = {}
    for name, entry in header.items():
        if isinstance(entry, dict) and "data_offsets" in entry:
            begin, end = entry["data_offsets"]
            kind, shape = kinds.get(entry["dtype"], "?"), tuple(entry["shape"])
            found[name] = (kind, shape, body[begin:end])
    return found


def changed_model(
    data: bytes, rng: random.Random, others: Sequence[bytes], *, mended: bool = True
) -> bytes:
    """A number of the config, or bytes of the tensors, changed; the checksum set right."""
    unpacked = _unpacked_model(data)
    if unpacked is None:
        return changed(data, rng, others)
    header, body = unpacked
    metadata = header["__metadata__"]
    text = metadata["aecodec"]  # type: ignore[index]
    text, body = _with_one_change(header, text, body, rng, others)
    metadata["aecodec"] = text  # type: ignore[index]
    if mended:
        try:
            digest = hashlib.sha256(text.encode())
            for name, (kind, shape, raw) in sorted(_tensors(header, body).items()):
                digest.update(f"\0{name}\0{kind}\0{shape}\0".encode() + raw)
            metadata["sha256"] = digest.hexdigest()  # type: ignore[index]
        except (ValueError, TypeError, KeyError):
            pass
    packed = json.dumps(header, separators=(",", ":")).encode()
    packed += b" " * (-len(packed) % 8)
    return struct.pack("<Q", len(packed)) + packed + body


def _with_one_change(
    header: dict[str, object],
    text: str,
    body: bytes,
    rng: random.Random,
    others: Sequence[bytes],
) -> tuple[str, bytes]:
    """The config's text and the tensors' bytes after one change, or ``header`` changed in place."""
    drawn = rng.random()
    if drawn < 0.4 and body:
        out = bytearray(body)
        for _ in range(rng.choice((1, 1, 4, 40))):
            rng.choice((flip_bit, set_byte, set_number))(out, rng, others)
        body = bytes(out)
    elif drawn < 0.7:
        places = [i for i, char in enumerate(text) if char.isdigit()]
        if places:
            at = rng.choice(places)
            text = text[:at] + str(rng.choice(NUMBERS)) + text[at + 1 :]
    elif drawn < 0.85:
        text = changed(text.encode(), rng, others).decode("utf-8", "replace")
    else:
        names = [name for name in header if name != "__metadata__"]
        if names:
            entry = header[rng.choice(names)]
            if isinstance(entry, dict) and entry.get("shape"):
                entry["shape"][rng.randrange(len(entry["shape"]))] = rng.choice(NUMBERS)
    return text, body


def fingerprints(data: bytes, records: list[tuple[int, int]]) -> dict[bytes, bytes]:
    """The fingerprints of the embedded model's parts; none if there is no model to be read."""
    for begin, end in records:
        if data[begin + 4 : begin + 8] == b"MODL":
            try:
                unpacked = _unpacked_model(zlib.decompress(data[begin + FRAME : end]))
                return {} if unpacked is None else _prints(*unpacked)
            except (zlib.error, ValueError, KeyError, TypeError, AttributeError, struct.error):
                return {}
    return {}


def _prints(header: dict[str, object], body: bytes) -> dict[bytes, bytes]:
    """The fingerprints of the parts by name (10.2 of aez.md)."""
    tensors = _tensors(header, body)
    config = json.loads(header["__metadata__"]["aecodec"])  # type: ignore[index]
    prints = {}
    for part, settings in config["parts"].items():
        packed = json.dumps(
            {"part": part, **settings}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        digest = hashlib.sha256(b"aez-part-1\0")
        strings = [packed.encode()]
        for name in sorted(name for name in tensors if name.startswith(f"{part}.")):
            kind, shape, raw = tensors[name]
            strings += [name.removeprefix(f"{part}.").encode(), kind.encode()]
            strings += [struct.pack(f"<{len(shape)}Q", *shape), raw]
        for string in strings:
            digest.update(struct.pack("<Q", len(string)) + string)
        prints[part.encode()] = digest.digest()
    return prints
