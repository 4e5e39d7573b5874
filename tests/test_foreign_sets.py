"""The bundled models on images of another kind than any they saw: bounds hold, sizes stay sane."""

from __future__ import annotations

import string
from functools import cache
from importlib.metadata import files

import numpy as np
import pytest
import zstandard
from PIL import Image, ImageDraw, ImageFont

import aecodec
from aecodec.codec.codec import Codec
from aecodec.container.parts import VARIANTS
from aecodec.demo import load_sample

FONT_PACKAGES = ("font-roboto", "font-source-serif-pro", "font-amatic-sc")
CHUNK_IMAGES = 256
SIDE = 28


@cache
def letters() -> np.ndarray:
    """Every letter and digit once in each of many fonts, light on dark: uint8 (N, 28, 28)."""
    paths = [p for name in FONT_PACKAGES for p in files(name) or () if p.suffix == ".ttf"]
    glyphs = []
    for path in sorted(paths, key=str):
        font = ImageFont.truetype(str(path.locate()), 22)
        for letter in string.ascii_letters + string.digits:
            image = Image.new("L", (SIDE, SIDE))
            ImageDraw.Draw(image).text((SIDE // 2, SIDE // 2), letter, 255, font, anchor="mm")
            glyphs.append(np.asarray(image))
    distinct = np.unique(np.stack(glyphs), axis=0)
    return np.random.default_rng(0).permutation(distinct)[: 3 * CHUNK_IMAGES]


@cache
def digits() -> np.ndarray:
    """scikit-learn's 8x8 digits, scaled to 28x28."""
    datasets = pytest.importorskip("sklearn.datasets")
    small = (datasets.load_digits().images[:300] * 15.9375).astype(np.uint8)
    scaled = [
        Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in small
    ]
    return np.stack([np.asarray(image) for image in scaled])


def shapes() -> np.ndarray:
    """Constants, single bright pixels, checkerboards and noise."""
    rng = np.random.default_rng(0)
    points = np.zeros((20, SIDE * SIDE), np.uint8)
    points[np.arange(20), rng.integers(0, SIDE * SIDE, 20)] = 255
    board = (np.indices((SIDE, SIDE)).sum(0) % 2 * 255).astype(np.uint8)
    return np.concatenate(
        [
            np.arange(0, 256, 5, dtype=np.uint8)[:, None, None].repeat(SIDE, 1).repeat(SIDE, 2),
            points.reshape(20, SIDE, SIDE),
            np.stack([board, 255 - board]),
            rng.integers(0, 256, (40, SIDE, SIDE), np.uint8),
        ]
    )


SETS = {
    "letters": letters,
    "digits": digits,
    "shapes": shapes,
    "clothes": lambda: load_sample()[:300],
    "inverted clothes": lambda: 255 - load_sample()[:300],
}


@cache
def codec(model: str, variant: str) -> Codec:
    """A codec with a bundled model and one of its pixel models."""
    return Codec(aecodec.load_model(model), pixel_part=VARIANTS[variant])


def images_of(name: str, *, every: bool) -> np.ndarray:
    """All of a set, or some hundred images from all over it: the shapes, which are few, all."""
    images = SETS[name]()
    return images if every else images[:: len(images) // 100]


of_some_and_of_all = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["quick", "deep"]
)


@of_some_and_of_all
@pytest.mark.parametrize("bound", [0, 8, 32])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("model", ["mnist", "fashion"])
@pytest.mark.parametrize("name", SETS)
def test_bound_holds(name, model, variant, bound, every):
    images = images_of(name, every=every)
    own = codec(model, variant)
    blob = aecodec.encode(images, codec=own, max_error=bound)
    decoded = aecodec.decode(blob, codec=own)
    assert np.abs(decoded.astype(int) - images).max() <= bound
    assert len(blob) <= images.nbytes * 1.01 + 1024


@of_some_and_of_all
@pytest.mark.parametrize("quality", [1, 5, 9])
@pytest.mark.parametrize("model", ["mnist", "fashion"])
@pytest.mark.parametrize("name", SETS)
def test_nothing_comes_back_as_garbage(name, model, quality, every):
    images = images_of(name, every=every)
    own = codec(model, "fast")
    blob = aecodec.encode(images, codec=own, quality=quality)
    decoded = aecodec.decode(blob, codec=own)
    errors = ((decoded.astype(float) - images) ** 2).mean(axis=(1, 2))
    assert errors.max() <= own.networks.mse_limit(256 * quality)
    assert len(blob) <= images.nbytes * 1.01 + 1024


@pytest.mark.parametrize("variant", VARIANTS)
def test_lossless_letters_cost_less_than_zstd(variant):
    """With the model that is picked for them; another one's files are zstd's and the container."""
    images = letters()
    packer = zstandard.ZstdCompressor(level=19)
    chunks = range(0, len(images), CHUNK_IMAGES)
    rival = sum(len(packer.compress(images[i : i + CHUNK_IMAGES].tobytes())) for i in chunks)
    assert len(aecodec.encode(images, variant=variant, lossless=True)) < rival
    unfit = aecodec.encode(images, codec=codec("fashion", variant), lossless=True)
    assert len(unfit) < 1.02 * rival
