"""What holds for any images: they come back in every mode, within its bound, all of them or one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import prior_part
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import aecodec
from aecodec.codec.codec import Codec
from aecodec.measures.metrics import max_error, psnr_db
from aecodec.models.model import Model
from aecodec.nets.latent_prior import PriorConfig

SIDES = st.integers(1, 9)
ANY_SHAPE = st.one_of(
    st.tuples(st.integers(0, 12), SIDES, SIDES),
    st.tuples(st.integers(0, 12), SIDES, SIDES, st.integers(1, 4)),
)
ANY_SET = ANY_SHAPE.flatmap(lambda shape: arrays(np.uint8, shape))
GRAY_SET = st.one_of(
    arrays(np.uint8, st.tuples(st.integers(0, 10), st.just(8), st.just(8))),
    st.tuples(st.integers(1, 10), st.integers(0, 1 << 32)).map(lambda drawn: slopes(*drawn)),
)
COLOUR_SET = arrays(np.uint8, st.tuples(st.integers(0, 5), st.just(13), st.just(10), st.just(3)))
CHUNKS = st.one_of(st.none(), st.integers(1, 13))
BOUNDS = st.one_of(st.integers(0, 127), st.sampled_from([0, 1, 126, 127]))


def slopes(count: int, seed: int) -> np.ndarray:
    """Images that the models are good at."""
    rng = np.random.default_rng(seed)
    down, across, level = rng.integers(-9, 10, (3, count, 1, 1))
    row, column = np.indices((8, 8))
    return np.clip(128 + 5 * level + down * row + across * column, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def complete(refined: Model) -> Model:
    """A model of every part that ``refined`` may have, the prior too."""
    prior = prior_part(PriorConfig(12, 5, 6))
    return replace(refined, parts={**refined.parts, prior.name: prior})


def there_and_back(images: np.ndarray, codec: Codec, **options: Any) -> np.ndarray:
    """Decoded images, found the same whole, chunk by chunk, one by one, and as the file says."""
    data = aecodec.encode(images, codec=codec, **options)
    assert data == aecodec.encode(images, codec=codec, **options)
    decoded = aecodec.decode(data, codec=codec)
    assert (decoded.shape, decoded.dtype) == (images.shape, np.uint8)
    with aecodec.open(data, codec=codec) as archive:
        assert archive.shape == images.shape
        info = archive.info
        for i in {0, len(images) // 2, len(images) - 1} if len(images) else ():
            np.testing.assert_array_equal(archive[i], decoded[i])
        batches = [batch.reshape(-1, *images.shape[1:]) for batch in archive.batches()]
    np.testing.assert_array_equal(np.concatenate([decoded[:0], *batches]), decoded)
    assert sum(info["images_by_mode"].values()) == len(images)
    if len(images):
        four = (len(images), *(*images.shape[1:], 1)[:3])
        assert info["max_error"] == max_error(images.reshape(four), decoded.reshape(four)).max()
    return decoded


def worst(images: np.ndarray, decoded: np.ndarray) -> int:
    """The largest error of any pixel."""
    return int(np.abs(images.astype(int) - decoded).max(initial=0))


@given(ANY_SET, BOUNDS, CHUNKS)
@settings(max_examples=150)
def test_bound_holds_without_a_model(images, bound, chunk):
    decoded = there_and_back(images, Codec(None), max_error=bound, chunk_images=chunk)
    assert worst(images, decoded) <= bound


@given(GRAY_SET, BOUNDS, CHUNKS)
def test_bound_holds_with_a_model(complete, images, bound, chunk):
    decoded = there_and_back(images, Codec(complete), max_error=bound, chunk_images=chunk)
    assert worst(images, decoded) <= bound


@given(COLOUR_SET, BOUNDS)
def test_bound_holds_in_colour(refined_colour, images, bound):
    decoded = there_and_back(images, Codec(refined_colour), max_error=bound)
    assert worst(images, decoded) <= bound


@given(GRAY_SET, st.floats(1, 9), st.sampled_from(["zstd", "ans"]), CHUNKS)
def test_quality_stays_on_its_floor(complete, images, quality, coder, chunk):
    codec = Codec(complete, coder=coder)
    decoded = there_and_back(images, codec, quality=quality, chunk_images=chunk)
    floor = codec.networks.mse_limit(round(quality * 256))
    squared = (images.astype(float) - decoded) ** 2
    assert not len(images) or squared.mean(axis=(1, 2)).max() <= floor + 1e-6


@given(GRAY_SET, st.floats(10, 60), st.sampled_from(["zstd", "ans"]))
def test_psnr_is_reached(complete, images, psnr, coder):
    decoded = there_and_back(images, Codec(complete, coder=coder), psnr=psnr)
    if len(images):
        squared = int(((images.astype(np.int64) - decoded) ** 2).sum())
        assert psnr_db(squared, images.size) >= psnr


@given(GRAY_SET, st.integers(40, 400))
def test_size_is_kept_or_refused(complete, images, nbytes):
    codec = Codec(complete)
    try:
        data = aecodec.encode(images, codec=codec, target_bytes_per_image=nbytes)
    except ValueError:
        assert len(images) * nbytes < 3000  # the file's own bytes, and those of a chunk
        return
    assert len(data) <= nbytes * len(images) or not len(images)
    assert aecodec.decode(data, codec=codec).shape == images.shape


@given(ANY_SET)
def test_files_hold_the_hash_of_their_pixels(images):
    data = aecodec.encode(images, model="none", lossless=True)
    with aecodec.open(data) as archive:
        size = archive.reader.header.chunk_images
        for i in range(archive.reader.chunk_count):
            mine = images[i * size : (i + 1) * size]
            head = archive.reader.read_chunk_head(i)
            assert head.pixels_sha256 == hashlib.sha256(mine.tobytes()).digest()
