"""Encoding options: what has no effect beside the others is refused."""

from __future__ import annotations

import numpy as np
import pytest

import aecodec
from aecodec.archive.options import Options
from aecodec.codec.codec import Codec
from aecodec.models.finding import load_model

IMAGES = np.zeros((2, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def fashion():
    return load_model("fashion")


@pytest.mark.parametrize(
    ("name", "value"),
    [("coder", "ans"), ("coder", "zstd"), ("effort", 3), ("variant", "fast"), ("model", "fashion")],
)
def test_a_codec_brings_its_own(fashion, name, value):
    with pytest.raises(ValueError, match=f"^{name}: has no effect with a codec"):
        aecodec.encode(IMAGES, codec=Codec(fashion), **{name: value})


@pytest.mark.parametrize("model", [{"model": "none"}, {"codec": Codec(None)}])
@pytest.mark.parametrize(("name", "value"), [("quality", 5), ("quality", 1), ("embed_model", True)])
def test_no_model_has_no_quality(model, name, value):
    with pytest.raises(ValueError, match=f"^{name}: has no effect without a model"):
        aecodec.encode(IMAGES, **model, **{name: value})


@pytest.mark.parametrize(("name", "value"), [("coder", "ans"), ("effort", 9), ("variant", "small")])
def test_no_model_has_no_variants(name, value):
    with pytest.raises(ValueError, match=f"^{name}: has no effect without a model"):
        Options(model="none", **{name: value})


@pytest.mark.parametrize("target", [{"lossless": True}, {"max_error": 4}])
@pytest.mark.parametrize(("name", "value"), [("coder", "zstd"), ("effort", 5)])
def test_bounds_have_no_latents(target, name, value):
    with pytest.raises(ValueError, match=f"^{name}: has no effect under max_error or lossless"):
        Options(**target, **{name: value})
    Options(quality=4, **{name: value})
    Options(psnr=30, **{name: value})


@pytest.mark.parametrize("count", [0, -1])
def test_chunk_of_no_images(count):
    with pytest.raises(ValueError, match=f"^chunk_images: expected 1 or more, got {count}"):
        aecodec.encode(IMAGES, model="none", chunk_images=count)


@pytest.mark.parametrize("count", [2.5, True, "7"])
def test_chunk_of_another_type(count):
    with pytest.raises(TypeError, match="chunk_images: expected a whole number"):
        aecodec.encode(IMAGES, model="none", chunk_images=count)


def test_wrong_coder_and_effort_are_found_before_anything_is_read():
    with pytest.raises(ValueError, match="coder: expected one of zstd, ans, got 'xz'"):
        Options(coder="xz")
    with pytest.raises(ValueError, match="effort: expected 1 to 9, got 12"):
        Options(effort=12)


def test_decoding_with_a_codec_takes_no_other_model(fashion):
    blob = aecodec.encode(IMAGES, model="none")
    for read in (aecodec.decode, aecodec.open):
        with pytest.raises(ValueError, match=r"^model: has no effect with a codec"):
            read(blob, codec=Codec(fashion), model="mnist")
