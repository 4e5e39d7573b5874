"""The first chunks tell whether a model helps: no file is larger than zstd alone makes it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec.archive.compress import compress
from aecodec.demo import load_sample

CLOTHES = load_sample().reshape(-1, 28, 28)


def written(images, **options):
    file = io.BytesIO()
    summary = compress(images, file, **options)
    return summary, file.getvalue()


def sets():
    bars = np.where(np.arange(28) % 7 < 3, 255, 0).astype(np.uint8)
    return {
        "negatives": 255 - CLOTHES[:300],
        "black and white": (255 * (CLOTHES[:300] > 100)).astype(np.uint8),
        "repeated": np.tile(CLOTHES[:20], (20, 1, 1)),
        "stripes": np.broadcast_to(bars, (300, 28, 28)),
        "one": CLOTHES[:1],
        "two": 255 - CLOTHES[:2],
    }


@pytest.mark.parametrize("asked", [{"lossless": True}, {"max_error": 2}, {"max_error": 40}, {}])
@pytest.mark.parametrize("kind", sets())
def test_no_file_is_larger_than_the_plain_one(kind, asked):
    images = sets()[kind]
    _, blob = written(images, **asked)
    plain = aecodec.encode(images, model="none", **asked)
    assert len(blob) <= len(plain)
    bound = asked.get("max_error", 0 if asked else 255)
    assert np.abs(aecodec.decode(blob).astype(int) - images).max() <= bound


def test_file_that_needs_no_model_names_none():
    images = 255 - CLOTHES[:300]
    summary, blob = written(images, model="fashion", lossless=True)
    assert blob == aecodec.encode(images, model="none", lossless=True)
    assert summary.model == "none"
    assert summary.tried_model == "fashion"
    assert summary.unlike_images == 300


def test_file_that_a_model_makes_smaller_keeps_it():
    summary, blob = written(CLOTHES[:50], lossless=True)
    assert (summary.model, summary.tried_model, summary.unlike_images) == ("fashion", "fashion", 0)
    assert len(blob) < len(aecodec.encode(CLOTHES[:50], model="none"))


def test_unlike_images_of_a_quality_are_those_without_its_latents():
    images = np.concatenate([CLOTHES[:20], 255 - CLOTHES[:30]])
    summary, _ = written(images)
    assert 30 <= summary.unlike_images < 40
    assert written(images, model="none")[0].unlike_images == 0


def test_first_chunks_decide_for_a_stream_of_many(refined):
    """More images than are read at once: what was encoded before is not encoded again."""
    images = np.concatenate([smooth_images(GRAY, 30, seed) for seed in range(4)])
    done = []
    file = io.BytesIO()
    compress(
        images,
        file,
        model=refined,
        max_error=4,
        chunk_images=20,
        progress=lambda now, total: done.append((now, total)),
    )
    decoded = aecodec.decode(file.getvalue(), model=refined).astype(int)
    assert np.abs(decoded - images).max() <= 4
    assert done == [(n, 120) for n in range(20, 121, 20)]
    noise = noise_images(GRAY, 100)
    blob = aecodec.encode(noise, model=refined, lossless=True, chunk_images=20)
    assert blob == aecodec.encode(noise, model="none", lossless=True, chunk_images=20)


def test_embedded_model_stays(refined, no_models):
    images = smooth_images(GRAY, 3)
    blob = aecodec.encode(images, model=refined, lossless=True, embed_model=True)
    assert len(blob) > len(aecodec.encode(images, model="none", lossless=True))
    with aecodec.open(blob) as archive:
        assert archive.info["model"] == "refined"
