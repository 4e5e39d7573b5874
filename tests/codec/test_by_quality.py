"""Modes by cost: nothing comes back under the floor of a quality, no file is larger than lossless.

The bundled models meet sets that they were not trained for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import GRAY, build_model, noise_images, smooth_images

import aecodec
from aecodec.codec.candidates import Candidate, Rule, cheapest
from aecodec.codec.codec import Codec
from aecodec.container import MODES, SubPayload
from aecodec.demo import load_sample
from aecodec.models.finding import load_model
from aecodec.targets import floor_db, mse_at

CLOTHES = load_sample()[:30].reshape(-1, 28, 28)


def letters(count: int) -> np.ndarray:
    """Strokes of a pen, unlike digits: bars, slants and boxes, some thick, some thin."""
    rng = np.random.default_rng(3)
    row, column = np.mgrid[:28, :28]
    images = np.zeros((count, 28, 28), np.uint8)
    for image in images:
        for _ in range(rng.integers(2, 5)):
            angle, offset = rng.uniform(0, np.pi), rng.uniform(-9, 9)
            away = (row - 14) * np.cos(angle) + (column - 14) * np.sin(angle) - offset
            ink = 255 * np.clip(rng.uniform(1, 3) - np.abs(away), 0, 1)
            inside = (abs(row - 14) < 11) & (abs(column - 14) < 9)
            np.maximum(image, (ink * inside).astype(np.uint8), out=image)
    return images


SETS = {
    "clothes": lambda: CLOTHES,
    "negatives": lambda: 255 - CLOTHES,
    "rotated": lambda: np.rot90(CLOTHES, 1, (1, 2)),
    "upside down": lambda: CLOTHES[:, ::-1],
    "noise": lambda: np.random.default_rng(0).integers(0, 256, CLOTHES.shape, np.uint8),
    "letters": lambda: letters(30),
    "half of each": lambda: np.concatenate([CLOTHES[:15], 255 - CLOTHES[15:]]),
    "black and white": lambda: (255 * (CLOTHES > 100)).astype(np.uint8),
    "flat": lambda: np.full((30, 28, 28), 77, np.uint8),
    "one": lambda: 255 - CLOTHES[:1],
}


def psnr_of_each(images: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    errors = (images.astype(np.int64) - decoded) ** 2
    return 10 * np.log10(255**2 / np.maximum(errors.mean(axis=(1, 2)), 1e-9))


@pytest.mark.parametrize(
    ("kind", "quality"),
    [*((kind, None) for kind in SETS), ("negatives", 1), ("letters", 3), ("noise", 9)],
)
def test_no_image_is_under_the_floor_and_no_file_over_lossless(kind, quality):
    images = SETS[kind]()
    asked = {} if quality is None else {"quality": quality}
    blob = aecodec.encode(images, **asked)
    worst = psnr_of_each(images, aecodec.decode(blob)).min()
    assert worst >= floor_db(256 * (quality or 5))
    lossless, plain = (
        len(aecodec.encode(images, lossless=True, model=model)) for model in (None, "none")
    )
    assert len(blob) <= lossless <= plain


def test_own_kind_stays_in_latents():
    with aecodec.open(aecodec.encode(CLOTHES)) as archive:
        by_mode = archive.info["images_by_mode"]
    assert by_mode["latents q5"] >= 25


@pytest.mark.parametrize("quality", [1, 5, 9])
@pytest.mark.parametrize("kind", ["smooth", "noise"])
def test_floor_does_not_trust_a_badly_trained_model(quality, kind):
    """A decoder that rebuilds nothing, and says of itself that this is its usual error."""
    model = build_model(GRAY, "bad")
    layers = {name: tensor * 0 for name, tensor in model.encoder.items()}
    config = model.encoder_config | {"mse_p999": [9000.0] * 9}
    bad = replace(model, encoder=layers, encoder_config=config)
    images = (smooth_images if kind == "smooth" else noise_images)(GRAY, 40)
    blob = aecodec.encode(images, model=bad, quality=quality)
    worst = psnr_of_each(images[..., 0], aecodec.decode(blob, model=bad)[..., 0]).min()
    assert worst >= floor_db(256 * quality)
    assert len(blob) <= len(aecodec.encode(images, model="none"))


def test_floor_under_ans():
    images = 255 - CLOTHES[:10]
    blob = aecodec.encode(images, model="fashion", coder="ans")
    assert psnr_of_each(images, aecodec.decode(blob)).min() >= 18


def test_floor_of_a_quality():
    floors = [floor_db(stored) for stored in (256, 512, 640, 1280, 1792, 2304)]
    assert floors == [12, 13.5, 14.25, 18, 20, 22]
    assert mse_at(20) == pytest.approx(255**2 / 100)


def test_a_model_that_rebuilds_nothing_is_not_chosen():
    """At the finest qualities the digits' model would win clothes by coding pixels only."""
    for quality in (1, 5, 9):
        with aecodec.open(aecodec.encode(CLOTHES, quality=quality)) as archive:
            assert archive.info["model"] == "fashion"


# ---------------------------------------------------------------- the choice


def candidate(costs):
    """A way to code two-pixel images at these costs in bits."""
    count = len(costs)
    return Candidate(
        np.array(costs, float),
        np.zeros(count),
        np.zeros((count, 1, 2, 1), np.uint8),
        lambda rows: SubPayload(0, 0, bytes(len(rows))),
    )


def test_each_image_takes_what_costs_least():
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 2, 1), np.uint8)
    choice = cheapest(images, [candidate([1, 9, 5]), candidate([2, 3, 4])])
    assert choice.tolist() == [0, 1, 1]


def test_images_without_a_candidate_go_to_zstd():
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 2, 1), np.uint8)
    choice = cheapest(images, [candidate([1, np.inf, 5]), candidate([2, np.inf, 4])])
    assert choice.tolist() == [0, -1, 1]
    assert cheapest(images, []).tolist() == [-1, -1, -1]


def test_expensive_images_go_to_zstd():
    images = np.zeros((50, 4, 4, 1), np.uint8)
    assert (cheapest(images, [candidate([400] * 50)]) == -1).all()


def test_candidate_over_the_limit_costs_infinitely_much():
    images = np.full((2, 2, 2, 1), 10, np.uint8)
    x_hat = np.stack([images[0] + 3, images[1] + 4])
    rule = Rule(mse_limit=9, mse_enough=0, lmbda=0.5)
    made = Candidate.of(images, x_hat, np.array([8.0, 8.0]), rule, lambda rows: None)
    assert made.costs.tolist() == [8 + 0.5 * 4 * 9, np.inf]


def test_enough_keeps_latents_whatever_they_cost():
    codec = Codec(load_model("fashion"))
    images = CLOTHES[..., None]
    latents = codec.chunk_latents(images)
    kept = codec.encode_latents(latents, 256 * 7)
    by_cost = codec.encode_latents(latents, 256 * 7, mse_enough=0.0)
    shares = [
        sum(chunk.assignment.count(i) for i, s in enumerate(chunk.sub_payloads) if is_latents(s))
        for chunk in (kept, by_cost)
    ]
    assert shares[0] > 25
    assert shares[1] < 5
    assert by_cost.sum_squared_error < kept.sum_squared_error


def is_latents(sub: SubPayload) -> bool:
    return MODES[sub.mode].holds_latents
