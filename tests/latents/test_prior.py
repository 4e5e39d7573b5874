"""The latent prior: the bits of its network, latents under ANS, and files that use it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import GRAY, noise_images, prior_part, random_gains, smooth_images
from second_decoder import predict_latents

import aecodec
from aecodec import entropy
from aecodec.codec.codec import Codec
from aecodec.container import MODE_LATENTS_ANS, MODE_LATENTS_ZSTD
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR
from aecodec.entropy import ans
from aecodec.errors import (
    AezCorruptError,
    ModelCorruptError,
    ModelMissingError,
    QuantizerRangeError,
)
from aecodec.latents.coders import AnsCoder
from aecodec.latents.prior import PriorNetwork
from aecodec.latents.quantizer import gains_at
from aecodec.models.model import Model, Part
from aecodec.nets.latent_prior import ExactPrior, PriorConfig
from aecodec.targets import QUALITY, Target
from aecodec.twins.latent_prior import PriorTwin
from aecodec.twins.starting import seeded

CONFIGS = [PriorConfig(12, 5, 6), PriorConfig(7, 1, 4, 2), PriorConfig(8, 8, 3, 1)]
STORED_QUALITIES = (256, 1000, 2303, 2304)


def layer_of(part: Part, gains: np.ndarray) -> PriorNetwork:
    """The prior of a part at work."""
    return PriorNetwork(Model("it", (8, 8, 1), {part.name: part}), gains)


def symbols_of(count: int, latents: int) -> np.ndarray:
    """Symbols (count, latents), with the extremes in the first row and the last."""
    rng = np.random.default_rng(5)
    symbols = (rng.normal(0, 9, (count, latents))).round().astype(np.int16)
    symbols[0], symbols[-1] = -128, 127
    return symbols


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("c", CONFIGS, ids=str)
@pytest.mark.parametrize("stored_quality", STORED_QUALITIES)
def test_network_agrees_with_numpy(c, stored_quality):
    part, table = prior_part(c, seed=stored_quality), random_gains(c.latents, seed=1)
    layer, symbols = layer_of(part, table), symbols_of(9, c.latents)
    gains = gains_at(table, stored_quality)
    for g in range(c.groups):
        expected = predict_latents(part.config, part.tensors, g, symbols, gains, stored_quality)
        raw = layer.predict(
            g, symbols[:, layer.order], gains[layer.order].astype(np.int64), stored_quality
        )
        np.testing.assert_array_equal(raw, expected)


def test_group_sees_only_the_groups_before_it():
    c = CONFIGS[0]
    layer = layer_of(prior_part(c), random_gains(c.latents, seed=1))
    symbols, gains = symbols_of(4, c.latents), np.full(c.latents, 60, np.int64)
    other = symbols.copy()
    other[:, 5:] += 3
    same = [layer.predict(1, each, gains, 700) for each in (symbols, other)]
    np.testing.assert_array_equal(*same)
    assert (layer.predict(2, symbols, gains, 700) != layer.predict(2, other, gains, 700)).any()


def test_twin_is_the_stored_network():
    torch.manual_seed(0)
    c = PriorConfig(12, 5, 8)
    with seeded(0):
        twin = PriorTwin(c).eval()
    with torch.no_grad():
        twin.see_rows.normal_(0, 0.3)
        twin.out_rows.normal_(0, 0.3)
    unit, gains = np.full(c.latents, 4), np.full(c.latents, 16, np.int64)
    net = ExactPrior(c, twin.arrays(np.arange(c.latents), unit))
    symbols = torch.from_numpy(symbols_of(6, c.latents))
    share = torch.zeros(6, 9)
    share[:, 2] = 1
    with torch.no_grad():
        real = twin.predict(symbols.float() / 64, share)
    real[..., : c.mixtures] += 1024
    for g in range(c.groups):
        found = net(g, symbols, gains, 3 * 256)
        assert (real[:, c.members(g)] - found).abs().max() <= 8


@pytest.mark.parametrize(
    ("tensor", "value", "match"),
    [
        ("mix1.bias", 1 << 24, "layer mix1: sums can reach"),
        ("out2.shift", 32, "layer out2: shift up to 32"),
        ("order", 1, "order does not name every latent once"),
        ("unit", 16, r"unit up to 16, expected 0\.\.15"),
    ],
)
def test_part_that_cannot_be_is_refused(tensor, value, match):
    part = prior_part(CONFIGS[0])
    tensors = {name: array.copy() for name, array in part.tensors.items()}
    tensors[tensor][:2] = value
    with pytest.raises(ModelCorruptError, match=match):
        layer_of(replace(part, tensors=tensors), random_gains(12, seed=1))


def test_prior_of_other_latents_is_refused():
    with pytest.raises(ModelCorruptError, match="latents is 12, the decoder has 11"):
        layer_of(prior_part(CONFIGS[0]), random_gains(11, seed=1))


# ---------------------------------------------------------------- payloads


@pytest.mark.parametrize("c", CONFIGS, ids=str)
@pytest.mark.parametrize("compiled", [True, False], ids=["as installed", "numpy"])
def test_payloads_side_by_side(c, compiled, monkeypatch):
    layer = layer_of(prior_part(c), random_gains(c.latents, seed=1))
    coder = AnsCoder(layer)
    symbols = symbols_of(60, c.latents)
    pieces = [symbols[:50], symbols[50:51], symbols[51:]]
    assert coder.fits(symbols).all()
    payloads = [coder.pack(piece, 1000) for piece in pieces]
    if not compiled:
        monkeypatch.setattr(entropy, "coder", lambda: ans)
        assert [coder.pack(piece, 1000) for piece in pieces] == payloads
    rows = AnsCoder(layer).unpack(payloads, [50, 1, 9], 1000, ["a", "b", "c"])
    decoded = [each.take(np.arange(n)) for each, n in zip(rows, [50, 1, 9], strict=True)]
    for piece, found in zip(pieces, decoded, strict=True):
        np.testing.assert_array_equal(found, piece)


def test_payload_is_what_it_always_was():
    c = CONFIGS[0]
    layer = layer_of(prior_part(c, seed=4), random_gains(c.latents, seed=1))
    payload = AnsCoder(layer).pack(symbols_of(40, c.latents), 1234)
    assert hashlib.sha256(payload).hexdigest() == PAYLOAD_SHA256


PAYLOAD_SHA256 = "8169c31848ce259da028c381d10c22ade8f2a02eabac1aeb53923eee56cb8272"


def test_symbols_beyond_a_byte_do_not_fit():
    coder = AnsCoder(layer_of(prior_part(CONFIGS[0]), random_gains(12, seed=1)))
    symbols = np.zeros((4, 12), np.int16)
    symbols[:, 3] = -129, -128, 127, 128
    assert coder.fits(symbols).tolist() == [False, True, True, False]
    with pytest.raises(QuantizerRangeError, match=r"span -129\.\.128, expected -128\.\.127 under"):
        coder.pack(symbols, 1000)


@pytest.mark.usefixtures("two_threads")
def test_threads_and_batches_change_nothing():
    layer = layer_of(prior_part(CONFIGS[0]), random_gains(12, seed=1))
    symbols, gains = symbols_of(300, 12), np.full(12, 60, np.int64)
    whole = layer.predict(2, symbols, gains, 600)
    torch.set_num_threads(1)
    alone = [layer.predict(2, symbols[[i]], gains, 600) for i in range(len(symbols))]
    np.testing.assert_array_equal(np.concatenate(alone), whole)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_predicts_the_same():
    part, gains = prior_part(CONFIGS[0]), random_gains(12, seed=1)
    model = Model("it", (8, 8, 1), {part.name: part})
    symbols, row = symbols_of(300, 12), np.full(12, 60, np.int64)
    for g in range(3):
        raws = [
            PriorNetwork(model, gains, d).predict(g, symbols, row, 600) for d in ("cpu", "cuda")
        ]
        np.testing.assert_array_equal(*raws)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("quality", [3, 4.5, 9])
def test_smaller_than_zstd_to_the_same_pixels(known, quality):
    images = smooth_images(GRAY, 1500)
    blobs = {
        c: aecodec.encode(images, model=known, quality=quality, coder=c) for c in ("zstd", "ans")
    }
    decoded = {c: aecodec.decode(blob, model=known) for c, blob in blobs.items()}
    np.testing.assert_array_equal(decoded["ans"], decoded["zstd"])
    assert len(blobs["ans"]) < len(blobs["zstd"])
    assert aecodec.verify(blobs["ans"], full=True, model=known) == len(images)


def test_file_names_the_prior_only_where_it_is_used(known):
    images = smooth_images(GRAY, 60)
    parts = {}
    for coder in ("zstd", "ans"):
        with aecodec.open(aecodec.encode(images, model=known, coder=coder)) as archive:
            parts[coder] = list(archive.info["parts"])
            assert archive.info["images_by_mode"] == {
                {"zstd": "latents q5", "ans": "latents ans q5"}[coder]: 60
            }
    assert parts == {"zstd": [LATENT_DECODER], "ans": [LATENT_DECODER, LATENT_PRIOR]}


def test_many_chunks_and_single_images(known):
    images = np.concatenate([smooth_images(GRAY, 100), noise_images(GRAY, 10)])
    codec = Codec(known, coder="ans")
    blob = aecodec.encode(images, codec=codec, quality=4, chunk_images=16)
    with aecodec.open(blob, codec=codec) as archive:
        whole = archive[:]
        np.testing.assert_array_equal(np.concatenate(list(archive.batches())), whole)
        for i in (0, 17, 50, 109):
            np.testing.assert_array_equal(archive[i], whole[i])


def test_guard_holds_under_ans_too(known):
    images = np.concatenate([smooth_images(GRAY, 60), noise_images(GRAY, 20)])
    codec = Codec(known, coder="ans")
    chunk = codec.encode_chunk(images, Target(QUALITY, 2))
    modes = {sub.mode for sub in chunk.sub_payloads}
    assert MODE_LATENTS_ANS in modes
    assert MODE_LATENTS_ZSTD not in modes
    decoded = codec.decode_chunk(chunk, (8, 8, 1), "it")
    errors = ((decoded.astype(float) - images) ** 2).mean(axis=(1, 2, 3))
    assert errors.max() <= codec.networks.mse_limit(512)


def test_psnr_by_latents_under_ans(known):
    images = smooth_images(GRAY, 1500)
    blobs = {c: aecodec.encode(images, model=known, psnr=26, coder=c) for c in ("zstd", "ans")}
    assert len(blobs["ans"]) < len(blobs["zstd"])
    mse = ((aecodec.decode(blobs["ans"], model=known).astype(float) - images) ** 2).mean()
    assert 10 * np.log10(65025 / mse) >= 26


def test_model_without_the_prior(refined):
    with pytest.raises(ModelMissingError, match="'refined' has no part latent_prior"):
        aecodec.encode(smooth_images(GRAY, 3), model=refined, coder="ans")


def test_no_such_coder(known):
    with pytest.raises(ValueError, match="coder: expected one of zstd, ans, got 'xz'"):
        aecodec.encode(smooth_images(GRAY, 3), model=known, coder="xz")


def test_embedded_parts_are_enough(known, no_models):
    images = smooth_images(GRAY, 30)
    blob = aecodec.encode(images, model=known, coder="ans", embed_model=True)
    np.testing.assert_array_equal(aecodec.decode(blob), aecodec.decode(blob, model=known))


def test_damaged_payloads_end_in_an_error(known):
    codec = Codec(known, coder="ans")
    chunk = codec.encode_chunk(smooth_images(GRAY, 12), Target(QUALITY, 7))
    (sub,) = chunk.sub_payloads
    for at in range(0, len(sub.data), 5):
        data = bytearray(sub.data)
        data[at] ^= 0x40
        damaged = replace(chunk, sub_payloads=(replace(sub, data=bytes(data)),))
        with pytest.raises(AezCorruptError, match="here: "):
            codec.decode_chunk(damaged, (8, 8, 1), "here")
