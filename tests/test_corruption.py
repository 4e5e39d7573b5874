"""Every truncation and flipped bit of small files: an AezError or the same, never wrong data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images
from hypothesis import given
from hypothesis import strategies as st

from aecodec.archive.array import Archive
from aecodec.archive.compress import encode
from aecodec.codec.codec import Codec
from aecodec.errors import AezCorruptError, AezError


def read(data: bytes, codec: Codec) -> tuple[str, np.ndarray]:
    """All that a file says, and its images, read chunk by chunk."""
    with Archive(data, codec=codec) as archive:
        for i in range(archive.reader.chunk_count):
            archive.reader.read_chunk(i)  # most damage shows here, before the slow networks run
        said = json.dumps([archive.info, archive.names, archive.metadata, archive.shape])
        batches = [np.empty((0, *archive.image_shape), np.uint8), *archive.batches()]
        return said, np.concatenate(batches)


def check(damaged: bytes, codec: Codec, good: tuple[str, np.ndarray]) -> bool:
    """True when refused; else what is read must be what was written."""
    try:
        _, images = read(damaged, codec)
    except AezError:
        return True
    np.testing.assert_array_equal(images, good[1])
    return False


@pytest.fixture(scope="module")
def mixed(codec) -> bytes:
    """Latents and stored pixels, two chunks."""
    images = np.concatenate([smooth_images(GRAY, 14), noise_images(GRAY, 2)])
    return encode(images, codec=codec, quality=3, chunk_images=11)


@pytest.fixture(scope="module")
def packed() -> bytes:
    """No model: zstd alone."""
    images = np.arange(30, dtype=np.uint8).repeat(64).reshape(30, 8, 8)
    return encode(images, model="none", chunk_images=16)


def test_files_hold_what_they_are_here_for(mixed, packed, codec):
    with Archive(mixed, codec=codec) as archive:
        assert {"stored"} < set(archive.info["images_by_mode"])
        assert archive.info["chunks"] == 2
    with Archive(packed) as archive:
        assert set(archive.info["images_by_mode"]) == {"zstd"}


@pytest.mark.parametrize("name", ["mixed", "packed"])
def test_every_truncation(name, codec, request):
    data = request.getfixturevalue(name)
    chosen = codec if name == "mixed" else Codec(None)
    for nbytes in range(len(data)):
        with pytest.raises(AezCorruptError, match="bytes"):
            read(data[:nbytes], chosen)


@pytest.mark.parametrize("name", ["mixed", "packed"])
def test_every_flipped_bit(name, codec, request):
    data = request.getfixturevalue(name)
    chosen = codec if name == "mixed" else Codec(None)
    good = read(data, chosen)
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            assert check(bytes(damaged), chosen, good), f"byte {at}, bit {bit} went unnoticed"


@pytest.mark.parametrize("junk", [b"\0", b"PK\3\4", bytes(4096)])
def test_appended_bytes(mixed, codec, junk):
    with pytest.raises(AezCorruptError, match="bytes"):
        read(mixed + junk, codec)


@given(st.data())
def test_bytes_overwritten_at_random(mixed, codec, data):
    at = data.draw(st.integers(0, len(mixed) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    damaged = mixed[:at] + junk + mixed[at + len(junk) :]
    check(damaged, codec, read(mixed, codec))


@given(st.binary(max_size=200))
def test_junk(junk):
    with pytest.raises(AezCorruptError, match="bytes"):
        Archive(junk)


def test_damage_to_an_embedded_model(codec, no_models):
    data = encode(smooth_images(GRAY, 6), codec=codec, embed_model=True)
    good = read(data, codec)
    refused = 0
    places = range(0, len(data), 199)
    for at in places:
        damaged = bytearray(data)
        damaged[at] ^= 0x04
        try:
            with Archive(bytes(damaged)) as archive:
                images = archive[:]
        except AezError:
            refused += 1
        else:
            np.testing.assert_array_equal(images, good[1])
    assert refused == len(places)
