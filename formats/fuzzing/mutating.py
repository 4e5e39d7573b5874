"""Mutates inputs: changes bytes anywhere, and then mostly sets all checksums and sizes right again.

Without that last step nearly every input would end at the first checksum. It works on a file
record by record and uses no code of the package. It leaves a file as it is where the damage is too
bad to find the records.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence

MAX_NBYTES = 1 << 14  # of an input
MENDED = 0.95  # of the inputs
NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 257, 4096, 65535, 65536)
NUMBERS += (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
HEADER, FRAME, HEAD, FOOTER, ENTRY = 48, 28, 80, 48, 28

Change = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def mutate(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """``data`` changed as ``seed`` says, with pieces of ``others`` at times."""
    rng = random.Random(seed)
    records = _records(data)
    if records and rng.random() < 0.75:
        out = _with_changed_record(data, records, rng, others)
    else:
        out = _changed(data, rng, others)
    if rng.random() < MENDED:
        out = mend(out)
    return out[:MAX_NBYTES]


def mutate_model(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """The same for a model file: config or tensors changed, mostly with the checksum set right."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return _changed(data, rng, others)[:MAX_NBYTES]
    out = _changed_model(data, rng, others, mended=rng.random() < MENDED)
    return out[:MAX_NBYTES]


# ---------------------------------------------------------------- bytes


def _changed(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(1 + int(rng.expovariate(1.2))):
        rng.choice(_CHANGES)(out, rng, others)
    return bytes(out)


def _place(out: bytearray, rng: random.Random, room: int = 1) -> int:
    return rng.randrange(max(1, len(out) - room + 1))


def _flip_bit(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    if out:
        out[_place(out, rng)] ^= 1 << rng.randrange(8)


def _set_byte(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    if out:
        out[_place(out, rng)] = rng.randrange(256)


def _set_number(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    nbytes = rng.choice((1, 2, 4, 8))
    if len(out) >= nbytes:
        at = _place(out, rng, nbytes)
        value = rng.choice(NUMBERS) % (1 << 8 * nbytes)
        if rng.random() < 0.5:
            value = (int.from_bytes(out[at : at + nbytes], "little") + rng.choice((-1, 1))) % (
                1 << 8 * nbytes
            )
        out[at : at + nbytes] = value.to_bytes(nbytes, "little")


def _cut(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    at = _place(out, rng)
    del out[at : at + 1 + int(rng.expovariate(0.1))]


def _truncate(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    del out[_place(out, rng) :]


def _repeat(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    del others
    at = _place(out, rng)
    piece = out[at : at + 1 + int(rng.expovariate(0.05))]
    out[at:at] = piece * rng.choice((1, 1, 1, 2, 16))


def _splice(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    start = rng.randrange(max(1, len(other)))
    piece = other[start : start + 1 + int(rng.expovariate(0.02))]
    at = _place(out, rng)
    out[at : at + rng.choice((0, len(piece)))] = piece


_CHANGES: tuple[Change, ...] = (
    _flip_bit,
    _set_byte,
    _set_byte,
    _set_number,
    _set_number,
    _cut,
    _truncate,
    _repeat,
    _splice,
)


# ---------------------------------------------------------------- records


def _records(data: bytes) -> list[tuple[int, int]]:
    """(begin, end) of the sections and chunks that follow the header, up to the index."""
    found = []
    at = HEADER
    while at + FRAME <= len(data):
        if data[at : at + 4] == b"\x89SEC":
            end = at + FRAME + int.from_bytes(data[at + 12 : at + 20], "little")
            if data[at + 4 : at + 8] == b"INDX":
                break
        elif data[at : at + 4] == b"\x89CHK" and at + HEAD <= len(data):
            table = int.from_bytes(data[at + 12 : at + 16], "little")
            end = at + HEAD + table + int.from_bytes(data[at + 16 : at + 24], "little")
        else:
            break
        if end > len(data):
            break
        found.append((at, end))
        at = end
    return found


def _with_changed_record(
    data: bytes, records: list[tuple[int, int]], rng: random.Random, others: Sequence[bytes]
) -> bytes:
    """One record changed, moved, doubled, dropped or taken from another file."""
    pieces = [data[begin:end] for begin, end in records]
    rest = data[records[-1][1] :]
    at = rng.randrange(len(pieces))
    way = rng.random()
    if way < 0.6:
        pieces[at] = _changed_record(pieces[at], rng, others)
    elif way < 0.7:
        del pieces[at]
    elif way < 0.8:
        pieces.insert(rng.randrange(len(pieces)), pieces[at])
    elif way < 0.9:
        other = rng.choice(others)
        taken = _records(other)
        if taken:
            begin, end = rng.choice(taken)
            pieces[at : at + rng.choice((0, 1))] = [other[begin:end]]
    else:
        rng.shuffle(pieces)
    return data[:HEADER] + b"".join(pieces) + rest


def _changed_record(record: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """The record with a change within, inside its zlib if it has any; its sizes stay right."""
    if record[:4] == b"\x89CHK":
        table = HEAD + int.from_bytes(record[12:16], "little")
        head, middle, payload = record[:HEAD], record[HEAD:table], record[table:]
        part = rng.randrange(3)
        if part == 0:
            return _changed(head, rng, others)[:HEAD].ljust(HEAD, b"\0") + middle + payload
        if part == 1:
            middle = _changed(middle, rng, others)
        else:
            payload = _changed(payload, rng, others)
        head = head[:12] + struct.pack("<IQ", len(middle), len(payload)) + head[24:]
        if len(middle) == 8:  # of one sub-payload, whose size can be set right
            middle = middle[:4] + struct.pack("<I", len(payload))
        return head + middle + payload
    frame, payload = record[:FRAME], record[FRAME:]
    try:
        inner = zlib.decompress(payload)
    except zlib.error:
        payload = _changed(payload, rng, others)
    else:
        is_model = frame[4:8] == b"MODL"
        inner = _changed_model(inner, rng, others) if is_model else _changed(inner, rng, others)
        payload = zlib.compress(inner)
    return frame[:12] + struct.pack("<Q", len(payload)) + frame[20:] + payload


def mend(data: bytes) -> bytes:
    """All checksums, copies, index and footer as they would have to be for these records."""
    records = _records(data)
    if len(data) < HEADER or not records:
        return data
    head = data[:44] + _crc32(data[:44])
    out = bytearray(head)
    index = bytearray()
    images = 0
    prints = _fingerprints(data, records)
    for begin, end in records:
        record = bytearray(data[begin:end])
        if record[:4] == b"\x89CHK":
            table = HEAD + int.from_bytes(record[12:16], "little")
            record[64:68] = _crc32(bytes(record[HEAD:table]))
            record[68:72] = _crc32(bytes(record[table:]))
            record[76:80] = _crc32(bytes(record[:76]))
            index += struct.pack("<QQ", len(out), len(record)) + record[8:12] + record[76:80]
            index += bytes(4)
            images += int.from_bytes(record[8:12], "little")
        else:
            if record[4:8] == b"HEAD" and len(record) == FRAME + HEADER:
                record[FRAME:] = head
            if record[4:8] == b"PART" and prints:
                record[FRAME:] = _with_prints(bytes(record[FRAME:]), prints)
                record[12:20] = struct.pack("<Q", len(record) - FRAME)
            record[20:24] = _crc32(bytes(record[FRAME:]))
            record[24:28] = _crc32(bytes(record[:24]))
        out += record
    at = len(out)
    frame = b"\x89SECINDX" + struct.pack("<IQ", 1, len(index)) + _crc32(bytes(index))
    out += frame + _crc32(frame) + index
    footer = struct.pack(
        "<QQQQI", at, len(out) - at, len(out) + FOOTER, images % 2**64, len(index) // ENTRY
    )
    return bytes(out + footer + _crc32(footer)) + bytes.fromhex("0A1A0A0D5A454189")


def _crc32(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def _with_prints(part: bytes, prints: dict[bytes, bytes]) -> bytes:
    """A PART with the fingerprints that the parts of an embedded model have now."""
    out = bytearray(part)
    for name, fingerprint in prints.items():
        at = part.find(bytes([len(name)]) + name)
        if at >= 0:
            begin = at + 1 + len(name)
            out[begin : begin + 32] = fingerprint
    return bytes(out)


# ---------------------------------------------------------------- models


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


def _changed_model(
    data: bytes, rng: random.Random, others: Sequence[bytes], *, mended: bool = True
) -> bytes:
    """A number of the config, or bytes of the tensors, changed; the checksum set right."""
    unpacked = _unpacked_model(data)
    if unpacked is None:
        return _changed(data, rng, others)
    header, body = unpacked
    metadata = header["__metadata__"]
    text = metadata["aecodec"]  # type: ignore[index]
    way = rng.random()
    if way < 0.4 and body:
        out = bytearray(body)
        for _ in range(rng.choice((1, 1, 4, 40))):
            rng.choice((_flip_bit, _set_byte, _set_number))(out, rng, others)
        body = bytes(out)
    elif way < 0.7:
        places = [i for i, char in enumerate(text) if char.isdigit()]
        if places:
            at = rng.choice(places)
            text = text[:at] + str(rng.choice(NUMBERS)) + text[at + 1 :]
    elif way < 0.85:
        text = _changed(text.encode(), rng, others).decode("utf-8", "replace")
    else:
        names = [name for name in header if name != "__metadata__"]
        if names:
            entry = header[rng.choice(names)]
            if isinstance(entry, dict) and entry.get("shape"):
                entry["shape"][rng.randrange(len(entry["shape"]))] = rng.choice(NUMBERS)
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


def _fingerprints(data: bytes, records: list[tuple[int, int]]) -> dict[bytes, bytes]:
    """Those of the parts of the embedded model, if there is one that can be read so far."""
    for begin, end in records:
        if data[begin + 4 : begin + 8] == b"MODL":
            try:
                unpacked = _unpacked_model(zlib.decompress(data[begin + FRAME : end]))
                return {} if unpacked is None else _prints(*unpacked)
            except (zlib.error, ValueError, KeyError, TypeError, AttributeError, struct.error):
                return {}
    return {}


def _prints(header: dict[str, object], body: bytes) -> dict[bytes, bytes]:
    """10.2 of aez.md."""
    tensors = _tensors(header, body)
    config = json.loads(header["__metadata__"]["aecodec"])  # type: ignore[index]
    prints = {}
    for part, settings in config["parts"].items():
        told = json.dumps(
            {"part": part, **settings}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        digest = hashlib.sha256(b"aez-part-1\0")
        strings = [told.encode()]
        for name in sorted(name for name in tensors if name.startswith(f"{part}.")):
            kind, shape, raw = tensors[name]
            strings += [name.removeprefix(f"{part}.").encode(), kind.encode()]
            strings += [struct.pack(f"<{len(shape)}Q", *shape), raw]
        for string in strings:
            digest.update(struct.pack("<Q", len(string)) + string)
        prints[part.encode()] = digest.digest()
    return prints
