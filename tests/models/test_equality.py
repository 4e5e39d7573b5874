"""Models, parts and codecs: equality, hashes, copies, and what they look like."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER
from aecodec.models.file import pack_model, unpack_model
from aecodec.models.model import Model, Part

PACKAGE = Path(aecodec.__file__).parent
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda it: pickle.loads(pickle.dumps(it)),
    "replace": replace,
}


def with_tensor(model: Model, name: str) -> Model:
    """The model with another value in a tensor of its encoder or its decoder."""
    if name in model.encoder:
        return replace(model, encoder={**model.encoder, name: model.encoder[name] + 1})
    part = model.parts[LATENT_DECODER]
    tensor = part.tensors[name].copy()
    tensor.flat[0] ^= 1
    part = Part(part.name, part.config, {**part.tensors, name: tensor})
    return replace(model, parts={**model.parts, part.name: part})


def test_a_model_equals_the_one_read_from_its_file(tiny):
    again = unpack_model(pack_model(tiny))
    assert again == tiny
    assert hash(again) == hash(tiny)
    assert len({again, tiny}) == 1
    assert again.parts == tiny.parts
    assert dict.fromkeys(again.parts.values(), 1) == dict.fromkeys(tiny.parts.values(), 1)


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_equal(kind, tiny):
    for it in (tiny, tiny.parts[LATENT_DECODER], Codec(tiny, coder="ans")):
        again = COPIES[kind](it)
        assert again == it
        assert hash(again) == hash(it)
        assert it != "something else"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: with_tensor(model, "log_step"),
        lambda model: with_tensor(model, "up.weight"),
        lambda model: replace(model, name="other"),
        lambda model: replace(model, training={"recipe": {"lmbda_min": 1}}),
        lambda model: replace(model, encoder_config={**model.encoder_config, "width": 9}),
        lambda model: model.decoding([LATENT_DECODER]),
    ],
    ids=["encoder", "decoder", "name", "provenance", "settings", "no encoder"],
)
def test_models_that_write_other_bytes_differ(change, tiny):
    assert change(tiny) != tiny
    assert Codec(change(tiny)) != Codec(tiny)


def test_codecs_with_other_options_differ(tiny):
    codec = Codec(tiny)
    assert codec == Codec(tiny)
    assert len({codec, Codec(tiny), Codec(None), codec.with_options(effort=5)}) == 3
    assert codec != Codec(tiny, coder="ans")
    assert Codec(None) == Codec(None)


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_a_codec_works(kind, codec):
    images = np.zeros((3, 8, 8), np.uint8)
    blob = aecodec.encode(images, codec=codec)
    again = COPIES[kind](codec)
    assert aecodec.encode(images, codec=again) == blob
    assert np.array_equal(aecodec.decode(blob, codec=again), images)


def test_models_are_shown_in_a_line(tiny):
    assert repr(tiny) == "<Model 'tiny', 8x8x1: latent_decoder, encoder>"
    found = repr(tiny.parts[LATENT_DECODER])
    assert re.fullmatch(r"<Part latent_decoder, 8x8x1, \d+ bytes, [0-9a-f]{16}>", found)
    assert repr(Codec(tiny)).startswith("Codec(model=<Model 'tiny', 8x8x1:")
    assert "any size" in repr(Model("none", None, {}))


ARRAYS = re.compile(
    r"\b(ndarray|NDArray|Tensor|Images|Floats|Symbols|Planes|Bits|Indices|Integers|Labels|Intervals)\b"
)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_array_is_compared_by_a_generated_equality(path):
    """It would raise: the truth value of an array is ambiguous."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        decorators = [ast.unparse(each) for each in node.decorator_list]
        generated = [each for each in decorators if each.startswith("dataclass")]
        fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
        fields = [each for each in fields if "Callable" not in each]
        if generated and "eq=False" not in generated[0]:
            assert not any(ARRAYS.search(each) for each in fields), node.name
