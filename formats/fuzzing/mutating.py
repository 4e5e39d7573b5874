"""Mutates inputs: changes bytes anywhere, and then mostly sets all checksums and sizes right again.

Without that last step nearly every input would end at the first checksum. It works on a file
record by record and uses no code of the package. It leaves a file as it is where the damage is too
bad to find the records.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

from fuzzing.changes import changed
from fuzzing.growth import BIG, BIG_NBYTES, changed_column, grown, renumbered
from fuzzing.json_changes import changed_json
from fuzzing.model_files import FRAME, changed_model, fingerprints

MAX_NBYTES = 1 << 14  # of an input
MENDED = 0.95  # of the inputs
HEADER, HEAD, FOOTER, ENTRY = 48, 80, 48, 28  # bytes of the records, aez.md 3 to 6


def mutate(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """``data`` changed as ``seed`` says, with pieces of ``others`` at times."""
    rng = random.Random(seed)
    records = _records(data)
    if rng.random() < BIG:
        return grown(data, records, mend, rng)[:BIG_NBYTES]
    if records and rng.random() < 0.75:
        out = _with_changed_record(data, records, rng, others)
    else:
        out = changed(data, rng, others)
    if rng.random() < MENDED:
        out = mend(out)
    return out[:MAX_NBYTES]


def mutate_model(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """The same for a model file: config or tensors changed, mostly with the checksum set right."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return changed(data, rng, others)[:MAX_NBYTES]
    out = changed_model(data, rng, others, mended=rng.random() < MENDED)
    return out[:MAX_NBYTES]


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
    drawn = rng.random()
    if drawn < 0.6:
        pieces[at] = _changed_record(pieces[at], rng, others)
    elif drawn < 0.7:
        del pieces[at]
    elif drawn < 0.8:
        pieces.insert(rng.randrange(len(pieces)), pieces[at])
    elif drawn < 0.9:
        other = rng.choice(others)
        taken = _records(other)
        if taken:
            begin, end = rng.choice(taken)
            pieces[at : at + rng.choice((0, 1))] = [other[begin:end]]
    elif drawn < 0.95:
        rng.shuffle(pieces)
    else:
        pieces[at : at + 1] = [pieces[at]] * rng.choice((2, 3, 20))
        pieces = renumbered(pieces)
    return data[:HEADER] + b"".join(pieces) + rest


def _changed_record(record: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """The record with a change within, inside its zlib if it has any; its sizes stay right."""
    if record[:4] == b"\x89CHK":
        table = HEAD + int.from_bytes(record[12:16], "little")
        head, middle, payload = record[:HEAD], record[HEAD:table], record[table:]
        part = rng.randrange(3)
        if part == 0:
            return changed(head, rng, others)[:HEAD].ljust(HEAD, b"\0") + middle + payload
        if part == 1:
            middle = changed(middle, rng, others)
        else:
            payload = changed(payload, rng, others)
        head = head[:12] + struct.pack("<IQ", len(middle), len(payload)) + head[24:]
        if len(middle) == 8:  # of one sub-payload, whose size can be set right
            middle = middle[:4] + struct.pack("<I", len(payload))
        return head + middle + payload
    frame, payload = record[:FRAME], record[FRAME:]
    kind = frame[4:8]
    if kind == b"META" and rng.random() < 0.8:
        payload = changed_json(payload, rng)
        return frame[:12] + struct.pack("<Q", len(payload)) + frame[20:] + payload
    if kind == b"COLM" and rng.random() < 0.5:
        payload = changed_column(payload, rng)
        return frame[:12] + struct.pack("<Q", len(payload)) + frame[20:] + payload
    try:
        inner = zlib.decompress(payload)
    except zlib.error:
        payload = changed(payload, rng, others)
    else:
        if kind == b"MODL":
            inner = changed_model(inner, rng, others)
        elif kind == b"NAME" and rng.random() < 0.8:
            inner = changed_json(inner, rng)
        else:
            inner = changed(inner, rng, others)
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
    prints = fingerprints(data, records)
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
