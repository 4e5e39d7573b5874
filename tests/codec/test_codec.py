"""The guard: nothing comes back worse than its target, nothing costs more than storing it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from conftest import COLOUR, GRAY, noise_images, smooth_images
from hypothesis import given
from hypothesis import strategies as st

from aecodec.archive.compress import encode
from aecodec.archive.decompress import decode
from aecodec.codec.choosing import most_chunk_images
from aecodec.codec.codec import Codec
from aecodec.container import MODE_LATENTS_ZSTD, MODE_STORED, MODE_ZSTD, Chunk, SubPayload
from aecodec.errors import AezCorruptError, ModelMismatchError, ModelMissingError
from aecodec.targets import QUALITY, Target

SHAPE = (8, 8, 1)


def payload_nbytes(chunk: Chunk) -> int:
    """Bytes of all payloads of a chunk."""
    return sum(len(sub.data) for sub in chunk.sub_payloads)


def check_promise(codec: Codec, images: np.ndarray, chunk: Chunk, quality: float) -> np.ndarray:
    """Every image is exact or within the limit of the quality asked for, and in its own place."""
    floor = codec.networks.mse_limit(round(quality * 256))
    decoded = codec.decode_chunk(chunk, images.shape[1:], "it")
    assert decoded.shape == images.shape
    difference = decoded.astype(np.int64) - images
    errors = (difference**2).reshape(len(images), -1).mean(axis=1)
    for image, index in enumerate(chunk.assignment):
        sub = chunk.sub_payloads[index]
        assert errors[image] <= (floor if sub.mode == MODE_LATENTS_ZSTD else 0)
    assert chunk.max_error == np.abs(difference).max()
    assert chunk.sum_squared_error == (difference**2).sum()
    assert chunk.pixels_sha256 == hashlib.sha256(decoded.tobytes()).digest()
    return decoded


# ---------------------------------------------------------------- what it is good for


@pytest.mark.parametrize("quality", [1, 3.7, 5, 9])
def test_smooth_images_are_latents(codec, quality):
    images = smooth_images(GRAY, 150, seed=5)
    chunk = codec.encode_chunk(images, Target(QUALITY, quality))
    check_promise(codec, images, chunk, quality)
    assert chunk.sub_payloads[0].mode == MODE_LATENTS_ZSTD
    assert chunk.sub_payloads[0].parameter == round(quality * 256)
    assert payload_nbytes(chunk) < images.nbytes / 4


def test_quality_buys_error_with_bytes(codec):
    images = smooth_images(GRAY, 150, seed=5)
    chunks = [codec.encode_chunk(images, Target(QUALITY, quality)) for quality in (1, 3, 5, 7, 9)]
    sizes = [payload_nbytes(chunk) for chunk in chunks]
    errors = [chunk.sum_squared_error for chunk in chunks]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_colour(colour_codec):
    images = smooth_images(COLOUR, 60, seed=5)
    chunk = colour_codec.encode_chunk(images, Target(QUALITY, 6))
    check_promise(colour_codec, images, chunk, 6)
    assert chunk.sub_payloads[0].mode == MODE_LATENTS_ZSTD


# ---------------------------------------------------------------- what it is not


@pytest.mark.parametrize("quality", [1, 5, 9])
def test_noise_comes_back_as_promised(codec, quality):
    images = noise_images(GRAY, 100)
    chunk = codec.encode_chunk(images, Target(QUALITY, quality))
    check_promise(codec, images, chunk, quality)
    assert payload_nbytes(chunk) <= images.nbytes


def test_noise_is_lossless_where_no_quality_is_good_enough(codec):
    images = noise_images(GRAY, 100)
    chunk = codec.encode_chunk(images, Target(QUALITY, 9))
    assert {sub.mode for sub in chunk.sub_payloads} <= {MODE_ZSTD, MODE_STORED}
    np.testing.assert_array_equal(codec.decode_chunk(chunk, SHAPE, "it"), images)


@pytest.mark.parametrize("quality", [1, 5, 8.5])
def test_mixture_keeps_its_order(codec, quality):
    smooth, noise = smooth_images(GRAY, 120, seed=6), noise_images(GRAY, 30, seed=6)
    order = np.random.default_rng(6).permutation(150)
    images = np.concatenate([smooth, noise])[order]
    chunk = codec.encode_chunk(images, Target(QUALITY, quality))
    check_promise(codec, images, chunk, quality)
    is_noise = order >= 120
    lossless = np.array([chunk.sub_payloads[i].mode != MODE_LATENTS_ZSTD for i in chunk.assignment])
    np.testing.assert_array_equal(lossless, is_noise)


def test_finer_quality_rescues_what_a_finer_step_can(codec):
    """Images of strong contrast fail a floor lowered for them, and a finer step mends that."""
    images = smooth_images(GRAY, 120, seed=7)
    layer = codec.networks.latents()
    before = layer.mse_p999
    try:
        layer.mse_p999 = np.full(9, 60.0, np.float32)
        chunk = codec.encode_chunk(images, Target(QUALITY, 5))
        check_promise(codec, images, chunk, 5)
    finally:
        layer.mse_p999 = before
    qualities = {sub.parameter for sub in chunk.sub_payloads if sub.mode == MODE_LATENTS_ZSTD}
    assert qualities > {5 * 256}
    assert qualities <= {5 * 256, 7 * 256, 9 * 256}


@pytest.mark.parametrize("gray", [0, 100, 255])
def test_blank_images_cost_next_to_nothing(codec, gray):
    images = np.full((500, *SHAPE), gray, np.uint8)
    chunk = codec.encode_chunk(images, Target(QUALITY, 5))
    check_promise(codec, images, chunk, 5)
    assert payload_nbytes(chunk) < 60


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(["smooth", "noise", "blank", "edge"]), min_size=1, max_size=12),
    st.sampled_from([1, 2.3, 5, 7.9, 9]),
)
def test_promise_for_any_input(codec, seed, kinds, quality):
    rng = np.random.default_rng(seed)
    half = np.zeros(SHAPE, np.uint8)
    half[:, 4:] = 255
    made = {
        "smooth": lambda: smooth_images(GRAY, 1, int(rng.integers(1000)))[0],
        "noise": lambda: rng.integers(0, 256, SHAPE, np.uint8),
        "blank": lambda: np.full(SHAPE, rng.integers(256), np.uint8),
        "edge": lambda: np.roll(half, int(rng.integers(8)), axis=1),
    }
    images = np.stack([made[kind]() for kind in kinds])
    check_promise(codec, images, codec.encode_chunk(images, Target(QUALITY, quality)), quality)


@pytest.mark.parametrize("quality", [1, 5, 9])
@pytest.mark.parametrize("count", [1, 2, 300])
@pytest.mark.parametrize("kind", ["noise", "blank", "white", "smooth"])
def test_file_costs_no_more_than_storing(codec, kind, count, quality):
    images = {
        "noise": lambda: noise_images(GRAY, count),
        "blank": lambda: np.zeros((count, *SHAPE), np.uint8),
        "white": lambda: np.full((count, *SHAPE), 255, np.uint8),
        "smooth": lambda: smooth_images(GRAY, count),
    }[kind]()
    blob = encode(images, codec=codec, quality=quality)
    assert len(blob) <= images.nbytes * 1.01 + 1024
    assert decode(blob, codec=codec).shape == images.shape


# ---------------------------------------------------------------- latents out of range


@pytest.mark.parametrize("log_step", [-20.0, -80.0, -1000.0, float("nan")])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_latents_never_wrap(tiny, log_step):
    """A step so small that no int16 holds the symbols: lossless, not wrapped around."""
    codec = Codec(tiny)
    codec.networks.latents().log_step = np.full_like(codec.networks.latents().log_step, log_step)
    images = smooth_images(GRAY, 40)
    chunk = codec.encode_chunk(images, Target(QUALITY, 5))
    np.testing.assert_array_equal(codec.decode_chunk(chunk, SHAPE, "it"), images)


def test_only_what_is_out_of_range_is_stored(tiny):
    codec = Codec(tiny)
    images = smooth_images(GRAY, 40)
    y = np.abs(codec.networks.latents().analyse(images)).max(axis=1)
    step = float(np.median(y)) / 32767
    codec.networks.latents().log_step = np.full_like(
        codec.networks.latents().log_step, np.log(step)
    )
    codec.networks.latents().gains = np.full_like(codec.networks.latents().gains, 1)
    codec.networks.latents().mse_p999 = np.full(9, 1e9, np.float32)
    chunk = codec.encode_chunk(images, Target(QUALITY, 9))
    # symbols this fine are larger than the pixels; what matters is that nothing is wrapped
    check_promise(codec, images, chunk, 9)


# ---------------------------------------------------------------- without a model


def test_no_model_stores_or_packs():
    codec = Codec(None)
    noise = noise_images(GRAY, 20)
    assert [sub.mode for sub in codec.encode_chunk(noise, Target(QUALITY, 5)).sub_payloads] == [
        MODE_STORED
    ]
    blank = np.zeros((20, *SHAPE), np.uint8)
    chunk = codec.encode_chunk(blank, Target(QUALITY, 5))
    assert [sub.mode for sub in chunk.sub_payloads] == [MODE_ZSTD]
    np.testing.assert_array_equal(codec.decode_chunk(chunk, SHAPE, "it"), blank)


def test_latents_need_a_model():
    with pytest.raises(ModelMissingError, match="a model is needed to decode latents"):
        _ = Codec(None).networks.latents()


def test_decoder_alone_does_not_encode(tiny):
    with pytest.raises(ModelMismatchError, match="model 'tiny' has no encoder: it only decodes"):
        Codec(tiny.decoding(tiny.parts)).encode_chunk(smooth_images(GRAY, 2), Target(QUALITY, 5))


# ---------------------------------------------------------------- decoding


def test_wrong_pixels_are_noticed(codec):
    images = smooth_images(GRAY, 20)
    good = codec.encode_chunk(images, Target(QUALITY, 5))
    wrong = Chunk(**{**vars(good), "pixels_sha256": bytes(32)})
    with pytest.raises(AezCorruptError, match=r"here: decoded pixels have sha256 .*expected 0000"):
        codec.decode_chunk(wrong, SHAPE, "here")


def test_stored_bytes_of_a_wrong_size():
    chunk = Chunk(2, (SubPayload(MODE_STORED, 0, bytes(127)),), b"\0\0", 0, 0, bytes(32))
    with pytest.raises(AezCorruptError, match="here: 127 bytes stored, expected 128"):
        Codec(None).decode_chunk(chunk, SHAPE, "here")


def test_take_in_any_order(codec):
    smooth, noise = smooth_images(GRAY, 30, seed=8), noise_images(GRAY, 10, seed=8)
    images = np.concatenate([smooth, noise, smooth])
    chunk = codec.encode_chunk(images, Target(QUALITY, 8))
    whole = codec.decode_chunk(chunk, SHAPE, "it")
    indices = np.array([69, 0, 35, 35, 12, 31])
    (opened,) = codec.open_chunks([chunk], SHAPE, ["it"])
    np.testing.assert_array_equal(opened.take(indices), whole[indices])


def test_chunk_size_is_bounded_by_memory():
    assert most_chunk_images((28, 28, 1)) == 16384
    assert most_chunk_images((64, 64, 3)) == (16 << 20) // (64 * 64 * 3)
    assert most_chunk_images((4096, 4096, 4)) == 1
