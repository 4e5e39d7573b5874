"""Files with changed bytes and right checksums: both decoders refuse, or find the same pixels.

Checksums stop a changed byte before anything looks at what it says. Here they are made right again,
so that every rule of formats/aez.md has to hold by itself, in both readers alike. The same for
models: both find them able to decode exactly, or neither does.
"""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from test_tiny_reader import KINDS, models_of, tiny_reader
from test_vectors import ERRORS, GOOD, VECTORS, model_of

import aecodec
from aecodec.codec.codec import Codec
from aecodec.errors import AezError, ModelCorruptError
from aecodec.models.file import pack_model, unpack_model
from aecodec.models.model import Model

# Metadata is left out, which the second reader does not look into, and large files for speed.
NAMES = [
    name
    for name in GOOD
    if (data := (VECTORS / name).read_bytes()) and len(data) < 2400 and b"META" not in data
]
HEADER_NBYTES, FRAME_NBYTES, HEAD_NBYTES, FOOTER_NBYTES = 48, 28, 80, 48
KIND_OF = {error: kind for kind, errors in ERRORS.items() for error in errors}


class Resealer:
    """A file's layout, by which a changed copy gets its checksums and its repeated parts again."""

    def __init__(self, data: bytes) -> None:
        self.sections: list[tuple[bytes, int, int]] = []  # kind, offset, end
        self.chunks: list[tuple[int, int, int]] = []  # offset, that of the payload, end
        at = HEADER_NBYTES
        while at < len(data) - FOOTER_NBYTES:
            if data[at : at + 4] == b"\x89SEC":
                (nbytes,) = struct.unpack_from("<Q", data, at + 12)
                self.sections.append((data[at + 4 : at + 8], at, at + FRAME_NBYTES + nbytes))
                at = self.sections[-1][2]
            else:
                table, payload = struct.unpack_from("<IQ", data, at + 12)
                payload_at = at + HEAD_NBYTES + table
                self.chunks.append((at, payload_at, payload_at + payload))
                at = self.chunks[-1][2]

    def seal(self, changed: bytearray) -> bytes:
        data = bytearray(changed)

        def put_crc32(at: int, start: int, end: int) -> None:
            data[at : at + 4] = struct.pack("<I", zlib.crc32(bytes(data[start:end])))

        put_crc32(44, 0, 44)
        for at, payload_at, end in self.chunks:
            put_crc32(at + 64, at + HEAD_NBYTES, payload_at)
            put_crc32(at + 68, payload_at, end)
            put_crc32(at + 76, at, at + 76)
        part = None
        for kind, at, end in self.sections:
            start = at + FRAME_NBYTES
            if kind == b"HEAD":
                data[start:end] = data[:HEADER_NBYTES]
            if kind == b"INDX":
                for i, (chunk, _, _) in enumerate(self.chunks):
                    entry = start + 28 * i
                    data[entry + 20 : entry + 24] = data[chunk + 76 : chunk + 80]
            if kind == b"PART" and part is not None:
                data[at:end] = part
            put_crc32(at + 20, start, end)
            put_crc32(at + 24, at, at + 24)
            if kind == b"PART" and part is None:
                part = data[at:end]
        put_crc32(len(data) - 12, len(data) - FOOTER_NBYTES, len(data) - 12)
        return bytes(data)

    def place(self, rng: random.Random, nbytes: int) -> int:
        """Anywhere; more often in headers, tables and the footer than in payloads."""
        kind = rng.random()
        if kind < 0.4 or not self.chunks:
            return rng.randrange(nbytes)
        if kind < 0.5:
            return rng.randrange(8, HEADER_NBYTES)
        if kind < 0.6:
            return nbytes - 1 - rng.randrange(FOOTER_NBYTES)
        at, payload_at, end = rng.choice(self.chunks)
        start, stop = rng.choice(
            [(at, payload_at), (at + HEAD_NBYTES, payload_at), (payload_at, end)]
        )
        return rng.randrange(start, max(stop, start + 1))


def change(data: bytes, resealer: Resealer, rng: random.Random) -> tuple[bytes, int]:
    """A resealed file, and how many bytes were changed before."""
    changed, count = bytearray(data), rng.choice([1, 1, 1, 2, 3])
    for _ in range(count):
        at = resealer.place(rng, len(data))
        byte = data[at]
        values = [byte ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255, byte + 1, byte - 1]
        changed[at] = rng.choice(values) & 255
    return resealer.seal(changed), count


def ours(data: bytes, model: object) -> tuple[str, bytes]:
    """How it is refused, or the pixels."""
    try:
        with aecodec.open(data, model=model) as archive:  # type: ignore[arg-type]
            return "read", archive[:].tobytes()
    except AezError as error:
        return KIND_OF[type(error).__name__], b""


def theirs(data: bytes, models: list[object]) -> tuple[str, bytes]:
    try:
        return "read", tiny_reader.decode(data, models).tobytes()
    except tiny_reader.Refused as refusal:
        return {error: kind for kind, error in KINDS.items()}[type(refusal)], b""


def without_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are compared, so neither reader is to look at what they should have been."""
    monkeypatch.setattr(tiny_reader, "decode_chunk", tiny_reader.decode_images)
    monkeypatch.setattr(
        "aecodec.codec.decode.OpenChunk.all",
        lambda opened: opened.take(np.arange(opened.chunk.image_count)),
    )


@pytest.mark.parametrize("name", NAMES)
def test_resealing_a_whole_file_changes_nothing(name):
    data = (VECTORS / name).read_bytes()
    assert Resealer(data).seal(bytearray(data)) == data


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 500), pytest.param(1, 40_000, marks=pytest.mark.slow)],
    ids=["quick", "deep"],
)
def test_readers_agree(seed, count, monkeypatch):
    without_hashes(monkeypatch)
    rng = random.Random(seed)
    files = {name: (VECTORS / name).read_bytes() for name in NAMES}
    resealers = {name: Resealer(data) for name, data in files.items()}
    models = {name: (model_of(name), models_of(name)) for name in NAMES}
    outcomes: dict[str, int] = {}
    for i in range(count):
        name = rng.choice(NAMES)
        data, changes = change(files[name], resealers[name], rng)
        mine = ours(data, models[name][0])
        other = theirs(data, models[name][1])
        outcomes[mine[0]] = outcomes.get(mine[0], 0) + 1
        if mine[0] == "limit":  # each reader has its own
            continue
        where = f"{name}, change {i} of seed {seed}: {mine[0]}, {other[0]}"
        assert (mine[0] == "read") == (other[0] == "read"), where
        assert mine[1] == other[1], where
        if changes == 1:  # of several faults, either may be found first
            assert mine[0] == other[0], where
    assert set(outcomes) >= {"read", "corrupt", "unsupported"}


# ---------------------------------------------------------------- models

MODELS = ["good/latents-q256.aez", "good/pixels-and-dequantized.aez", "good/pixels-e8.aez"]
EXACT = 1 << 24  # aez.md 9.3


def poison(model: Model, rng: random.Random) -> Model:
    """A few numbers of one part changed, many of them to where the exact range ends."""
    part = model.parts[rng.choice(sorted(model.parts))]
    tensors, config = {k: t.copy() for k, t in part.tensors.items()}, dict(part.config)
    biases = sorted(name for name in tensors if name.endswith(".bias"))
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind = rng.random()
        name = rng.choice(biases if kind < 0.6 else sorted(tensors))
        tensor = tensors[name]
        low, high = int(np.iinfo(tensor.dtype).min), int(np.iinfo(tensor.dtype).max)
        values = [low, high, 0, 1, rng.randint(low, high)]
        if kind < 0.6:
            near = EXACT - rng.choice([0, 1, 2, 10, 100, 300, 1000, 5000, 20_000, 70_000])
            values = [near, -near, near, high, low]
            if rng.random() < 0.6:
                shift = tensors[name.replace(".bias", ".shift")]
                shift[...] = rng.choice([0, 0, 1, 31, 32])
        if kind < 0.85:
            tensor.flat[rng.randrange(tensor.size)] = rng.choice(values)
        elif kind < 0.9:
            tensor[...] = rng.choice([low, high])
        elif kind < 0.93:
            tensors[name] = tensor.reshape(*tensor.shape, 1) if rng.random() < 0.5 else tensor[:-1]
            break  # what comes after could not be placed
        else:
            config[rng.choice(sorted(config))] = rng.choice(
                [0, 1, 2, 4, 8, 4097, -1, True, 1.0, None]
            )
    return replace(
        model, parts={**model.parts, part.name: replace(part, tensors=tensors, config=config)}
    )


def proven_here(data: bytes) -> bool:
    try:
        Codec(unpack_model(data)).networks.prove()
    except ModelCorruptError:
        return False
    return True


def proven_there(data: bytes) -> bool:
    try:
        model = tiny_reader.read_model(data, "it")
        for part in model.parts.values():
            tiny_reader.check_part(part, model)
    except tiny_reader.Corrupt:
        return False
    return True


@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 150), pytest.param(1, 10_000, marks=pytest.mark.slow)],
    ids=["quick", "deep"],
)
def test_same_models_are_proven(seed, count):
    rng = random.Random(seed)
    whole = [model_of(name) for name in MODELS]
    found = {True: 0, False: 0}
    for i in range(count):
        data = pack_model(poison(rng.choice(whole), rng))
        here = proven_here(data)
        assert here == proven_there(data), f"change {i} of seed {seed}"
        found[here] += 1
    assert min(found.values()) > count // 10
