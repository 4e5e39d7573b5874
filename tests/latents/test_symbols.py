"""The search for better latents, and for the quality that meets a target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec.codec.codec import SEARCH_STEPS, Codec
from aecodec.latents.coders import ZstdCoder
from aecodec.latents.quantizer import gains_at
from aecodec.latents.search import FrequencyRate, PriorRate, soft_symbols
from aecodec.latents.symbols import ChunkLatents, highest_within
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.nets.latent_prior import PriorConfig
from aecodec.training.prior import PriorTrainConfig, train_prior
from aecodec.twins.latent_prior import row_shares

IMAGES = smooth_images(GRAY, 300, seed=11)


@pytest.fixture(scope="module")
def known(tiny: Model) -> Model:
    """The tiny model with a prior, trained for a moment."""
    config = PriorTrainConfig(steps=120, batch_images=96, warmup=20, average=0.9)
    with torch.random.fork_rng():
        images = smooth_images(GRAY, 2000, seed=79)
        part, _ = train_prior(images, config, tiny, provenance={}, features=16)
    return replace(tiny, name="known", parts={**tiny.parts, part.name: part})


def cost(model: Model, blob: bytes, quality: float) -> float:
    """Rate plus lmbda times distortion of a file."""
    codec = Codec(model)
    error = metrics.squared_error(IMAGES[..., None], aecodec.decode(blob, codec=codec)[..., None])
    bpp = 8 * len(blob) / (len(IMAGES) * math.prod(IMAGES.shape[1:]))
    return codec.networks.lmbda(round(256 * quality)) * error.sum() / IMAGES.size + bpp


# ---------------------------------------------------------------- the search


@pytest.mark.parametrize("coder", ["zstd", "ans"])
@pytest.mark.parametrize("quality", [2.0, 5.5])
def test_effort_buys_a_lower_cost(known, coder, quality):
    costs = [
        cost(
            known,
            aecodec.encode(IMAGES, codec=Codec(known, coder=coder, effort=e), quality=quality),
            quality,
        )
        for e in (3, 5, 7)
    ]
    assert costs[0] > costs[1] > 0.97 * costs[2]
    assert costs[2] < costs[0]


def test_up_to_three_efforts_are_alike(tiny):
    blobs = {aecodec.encode(IMAGES, codec=Codec(tiny, effort=e)) for e in (1, 2, 3)}
    assert len(blobs) == 1


def test_searched_files_are_the_same_every_time(tiny):
    first, second = (aecodec.encode(IMAGES, codec=Codec(tiny, effort=5)) for _ in range(2))
    assert first == second


def test_no_image_is_worse_than_without(tiny):
    codec = Codec(tiny, effort=6)
    layer, stored_quality = codec.networks.latents(), 1280
    coder = ZstdCoder.of(codec.networks)
    images = np.concatenate([IMAGES, noise_images(GRAY, 30)])
    images = images.reshape(*images.shape[:3], 1)
    plain = ChunkLatents(images, layer, coder)
    searched = ChunkLatents(images, layer, coder, steps=12, lmbda=codec.networks.lmbda)
    rate = coder.rate(plain.at(stored_quality)[0], stored_quality)

    def costs(latents: ChunkLatents) -> np.ndarray:
        symbols, indices = latents.at(stored_quality)
        assert np.array_equal(indices, np.arange(len(images)))
        error = (
            metrics.squared_error(images, latents.decoded(stored_quality, symbols)) / images[0].size
        )
        bits = layer.search().bits(rate, symbols)
        return codec.networks.lmbda(stored_quality) * error + bits / math.prod(images.shape[1:3])

    assert (costs(searched) <= costs(plain) + 1e-9).all()
    assert costs(searched).mean() < costs(plain).mean()


@pytest.mark.parametrize("effort", [0, 10])
def test_no_such_effort(tiny, effort):
    with pytest.raises(ValueError, match=r"effort: expected 1 to 9, got "):
        Codec(tiny, effort=effort)
    assert sorted(SEARCH_STEPS) == list(range(1, 10))


# ---------------------------------------------------------------- rates


def test_soft_symbols_harden():
    v = torch.tensor([0.0, 0.2, 0.5, 0.8, -1.3])
    lower, share = soft_symbols(v, 1e4)
    assert lower.tolist() == [0, 0, 0, 0, -2]
    assert (lower + share).round(decimals=3).tolist() == [0, 0, 0.5, 1, -1]
    _, soft = soft_symbols(v, 1.0)
    assert 0.2 < soft[3] - soft[1] < 0.8


def test_frequency_rate_is_the_entropy_of_the_column():
    symbols = np.array([[0], [0], [0], [1]] * 400, np.int16)
    rate = FrequencyRate(symbols, "cpu")
    zero, one, half = (
        float(rate.bits(torch.zeros(1, 1), torch.tensor([[share]]))) for share in (0.0, 1.0, 0.5)
    )
    assert zero == pytest.approx(-math.log2(0.75), abs=0.01)
    assert one == pytest.approx(2, abs=0.01)
    assert half == pytest.approx((zero + one) / 2)


def test_prior_rate_is_what_the_coder_spends(known):
    codec = Codec(known, coder="ans")
    latents = codec.chunk_latents(IMAGES.reshape(*IMAGES.shape[:3], 1))
    for stored_quality in (600, 1280, 2304):
        symbols, _ = latents.at(stored_quality)
        rate = latents.coder.rate(symbols, stored_quality)
        assert isinstance(rate, PriorRate)
        estimated = codec.networks.latents().search().bits(rate, symbols).sum() / 8
        assert len(latents.coder.pack(symbols, stored_quality)) == pytest.approx(
            estimated, rel=0.03, abs=48
        )


def test_prior_twin_takes_over_the_stored_prior(known):
    from aecodec.container.parts import LATENT_PRIOR
    from aecodec.twins.latent_prior import PriorTwin

    part = known.parts[LATENT_PRIOR]
    twin = PriorTwin(PriorConfig(**part.config))
    twin.load(part.tensors)
    again = twin.arrays(part.tensors["order"], part.tensors["unit"])
    for name, tensor in part.tensors.items():
        assert np.array_equal(again[name], tensor) or name.split(".")[-1] in (
            "weight",
            "bias",
            "shift",
        )
    gains = gains_at(Codec(known).networks.latents().gains, 1280)
    assert (gains > 0).all()


def test_row_shares():
    shares = row_shares(torch.tensor([1.0, 2.25, 9.0]))
    assert shares.sum(1).tolist() == [1, 1, 1]
    assert shares[0, 0] == 1
    assert shares[1, 1:3].tolist() == [0.75, 0.25]
    assert shares[2, 8] == 1


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize("guess", [None, 0, 60, 99])
@pytest.mark.parametrize("ends", [0, 1, 50, 99, 100])
def test_highest_within_where_the_measure_is_infinite(ends, guess):
    """Where latents cannot be coded at all, no error is too large for what they miss."""
    found = highest_within(lambda p: 1.0 + p if p < ends else math.inf, 1e6, 99, guess)
    assert found == (ends - 1 if ends else None)


@pytest.mark.parametrize("guess", [None, 0, 500, 999])
@pytest.mark.parametrize("limit", [1, 77.7, 1e3, 1e5])
def test_highest_within_a_limit(limit, guess):
    found = highest_within(lambda place: 1.01**place, limit, 999, guess)
    assert found == min(999, math.floor(math.log(limit) / math.log(1.01)))


def test_nothing_is_within():
    assert highest_within(lambda place: 5 + place, 4.9, 100, None) is None


def test_a_measure_that_does_not_rise_is_never_over():
    rng = np.random.default_rng(1)
    table = np.sort(rng.integers(0, 1000, 200)) + rng.integers(0, 60, 200)
    for limit in (100, 500, 900):
        for near in (0.0, 0.01):
            found = highest_within(lambda place: float(table[place]), limit, 199, None, near)
            assert found is not None
            assert table[found] <= limit


@pytest.mark.parametrize("effort", [3, 5])
@pytest.mark.parametrize("psnr", [22.0, 26.0])
def test_psnr_by_searched_latents(tiny, effort, psnr):
    images = smooth_images(GRAY, 1200, seed=3)
    codec = Codec(tiny, effort=effort)
    decoded = aecodec.decode(aecodec.encode(images, codec=codec, psnr=psnr), codec=codec)
    found = metrics.psnr_db(int(((decoded.astype(int) - images) ** 2).sum()), images.size)
    assert psnr <= found < psnr + 0.1


@pytest.mark.parametrize("coder", ["zstd", "ans"])
@pytest.mark.parametrize("size", [3.25, 4.25])
def test_size_is_not_exceeded(known, coder, size):
    images = smooth_images(GRAY, 900, seed=4)
    codec = Codec(known, coder=coder)
    blob = aecodec.encode(images, codec=codec, target_bytes_per_image=size)
    assert len(blob) <= size * len(images)
    finer = aecodec.encode(images, codec=codec, target_bytes_per_image=1.5 * size)
    assert len(blob) < len(finer) <= 1.5 * size * len(images)
    errors = [
        ((aecodec.decode(b, codec=codec).astype(int) - images) ** 2).sum() for b in (blob, finer)
    ]
    assert errors[1] < errors[0]
    with aecodec.open(blob) as archive:
        assert archive.info["target"] == {"target_bytes_per_image": size}


@pytest.mark.parametrize("size", [9.0, 16.0, 30.0, 64.0])
@pytest.mark.parametrize("chunk_images", [None, 100])
def test_size_by_either_layer(refined, size, chunk_images):
    images = smooth_images(GRAY, 600, seed=5)
    blob = aecodec.encode(
        images, model=refined, target_bytes_per_image=size, chunk_images=chunk_images
    )
    assert len(blob) <= size * len(images)


def test_size_without_a_model():
    images = smooth_images(GRAY, 400, seed=6)
    blob = aecodec.encode(images, model="none", target_bytes_per_image=30)
    assert len(blob) <= 30 * len(images)
    assert np.abs(aecodec.decode(blob).astype(int) - images).max() > 0


def test_enough_room_is_lossless(refined):
    images = smooth_images(GRAY, 300, seed=7)
    blob = aecodec.encode(images, model=refined, target_bytes_per_image=500)
    assert np.array_equal(aecodec.decode(blob, model=refined), images)


def test_too_little_room_says_so(tiny):
    with pytest.raises(
        ValueError, match=r"target_bytes_per_image is 0\.5, which leaves \d+ bytes for"
    ):
        aecodec.encode(IMAGES, model=tiny, target_bytes_per_image=0.5)
