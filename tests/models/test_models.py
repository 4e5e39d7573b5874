"""Model files: round trip, identity, damage, and where they are looked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from aecodec.container.parts import LATENT_DECODER
from aecodec.errors import AezLimitError, ModelCorruptError, ModelMismatchError, ModelMissingError
from aecodec.models.file import _checksum, _read_metadata, pack_model, unpack_model
from aecodec.models.finding import (
    PATH_VARIABLE,
    find_parts,
    installed_models,
    load_model,
    model_paths,
)
from aecodec.models.model import Model, Part

PART = Part(
    "p",
    {"width": 3, "note": "é"},
    {"b": np.array([[1, -2]], np.int8), "a": np.array([258], np.int32)},
)


def equal(one: Model, other: Model) -> bool:
    def flat(model):
        tensors = {f"encoder.{k}": v for k, v in model.encoder.items()}
        for part in model.parts.values():
            tensors |= {f"{part.name}.{k}": v for k, v in part.tensors.items()}
        return {k: (v.dtype.str, v.shape, v.tobytes()) for k, v in tensors.items()}

    about_one, about_other = (
        (m.name, m.shape, dict(m.encoder_config), dict(m.training)) for m in (one, other)
    )
    configs = [{n: dict(p.config) for n, p in m.parts.items()} for m in (one, other)]
    return about_one == about_other and configs[0] == configs[1] and flat(one) == flat(other)


# ---------------------------------------------------------------- bytes and identity


def test_round_trip(tiny):
    assert equal(unpack_model(pack_model(tiny)), tiny)


def test_same_model_same_bytes(tiny):
    assert pack_model(tiny) == pack_model(unpack_model(pack_model(tiny)))


def test_fingerprint_is_pinned():
    assert PART.fingerprint().hex() == (
        "4c8d3b9626a523172a1fc799ea56c362e290a49a9f663a97f6c71dcdde903fa8"
    )


def test_fingerprint_follows_the_clause():
    """Clause 10.2 once more, by hand."""

    def sized(data):
        return len(data).to_bytes(8, "little") + data

    config = '{"note":"é","part":"p","width":3}'.encode()
    text = b"aez-part-1\0" + sized(config)
    text += sized(b"a") + sized(b"int32") + sized((1).to_bytes(8, "little"))
    text += sized(b"\2\1\0\0")
    text += sized(b"b") + sized(b"int8")
    text += sized((1).to_bytes(8, "little") + (2).to_bytes(8, "little"))
    text += sized(b"\x01\xfe")
    assert PART.fingerprint() == hashlib.sha256(text).digest()


def test_fingerprint_of_big_endian_tensors():
    swapped = {name: t.astype(t.dtype.newbyteorder(">")) for name, t in PART.tensors.items()}
    assert replace(PART, tensors=swapped).fingerprint() == PART.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        replace(PART, name="q"),
        replace(PART, config={"width": 4, "note": "é"}),
        replace(PART, tensors={**PART.tensors, "a": np.array([259], np.int32)}),
        replace(PART, tensors={**PART.tensors, "a": np.array([[258]], np.int32)}),
        replace(PART, tensors={**PART.tensors, "a": np.array([258], np.uint32)}),
        replace(PART, tensors={"a": PART.tensors["a"]}),
        replace(PART, tensors={"aa": PART.tensors["a"], "b": PART.tensors["b"]}),
    ],
)
def test_all_that_decoding_reads_is_in_the_fingerprint(other):
    assert other.fingerprint() != PART.fingerprint()


def test_model_fingerprint_is_pinned():
    model = Model("m", (8, 8, 1), {"p": PART, "o": replace(PART, name="o")})
    assert model.fingerprint().hex() == (
        "24a0e70adfec76ec093724ea9dccf5ef268bf396ebe65c7a71bfed6ba24287b6"
    )


def test_encoder_leaves_the_fingerprint(tiny):
    weights = {name: tensor + 1 for name, tensor in tiny.encoder.items()}
    better = replace(tiny, encoder=weights, encoder_config={"width": 99}, training={}, name="b")
    assert better.fingerprints() == tiny.fingerprints()
    assert better.fingerprint() == tiny.fingerprint()
    assert tiny.decoding(tiny.parts).fingerprint() == tiny.fingerprint()
    assert not tiny.decoding(tiny.parts).encoder


def test_decoder_weight_changes_the_fingerprint(tiny):
    part = tiny.parts[LATENT_DECODER]
    bias = part.tensors["out.bias"].copy()
    bias[0] += 1
    other = replace(part, tensors={**part.tensors, "out.bias": bias})
    assert other.fingerprint() != part.fingerprint()


def test_shape_is_required(tiny):
    tiny.require_shape((8, 8, 1))
    message = "model 'tiny' is for 8x8x1 images, these are 28x28x3"
    with pytest.raises(ModelMismatchError, match=message):
        tiny.require_shape((28, 28, 3))


# ---------------------------------------------------------------- damage


def test_every_97th_byte_flipped(tiny):
    data = pack_model(tiny)
    refused = 0
    for at in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        try:
            model = unpack_model(bytes(damaged))
        except ModelCorruptError:
            refused += 1
        else:
            assert equal(model, tiny), f"byte {at} changed the model unnoticed"
    assert refused > len(data) // 97 * 0.9


def test_truncations(tiny):
    data = pack_model(tiny)
    for nbytes in [*range(40), *range(40, len(data), 997), len(data) - 1]:
        with pytest.raises(ModelCorruptError, match=r"^cut: "):
            unpack_model(data[:nbytes], "cut")


def test_appended_bytes(tiny):
    with pytest.raises(ModelCorruptError, match="damaged model file"):
        unpack_model(pack_model(tiny) + b"\0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, I am a text and no model at all",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        safetensors.numpy.save({"x": np.zeros(3)}),
        safetensors.numpy.save({"x": np.zeros(3)}, {"other": "tool"}),
    ],
    ids=["empty", "text", "png", "no metadata", "other metadata"],
)
def test_not_a_model(data):
    with pytest.raises(ModelCorruptError, match="it: not an aecodec model"):
        unpack_model(data, "it")


def forged(config: object, **tensors: np.ndarray) -> bytes:
    """A file whose checksum is right and whose config is not: anyone can write one."""
    text = config if isinstance(config, str) else json.dumps(config)
    checksum = _checksum(text.encode(), tensors)
    return safetensors.numpy.save(tensors, {"aecodec": text, "sha256": checksum})


GOOD = {
    "format": "aecodec-model-1",
    "name": "m",
    "shape": [8, 8, 1],
    "parts": {},
    "encoder": {},
    "training": {},
}


def test_forging_works():
    assert unpack_model(forged(GOOD)).name == "m"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[]", "config"),
        ("7", "config"),
        ("{", "config"),
        ('{"a": ' * 2_000, "config"),
        ({**GOOD, "format": "aecodec-model-2"}, "format is 'aecodec-model-2', expected"),
        ({**GOOD, "name": 3}, "name is 3"),
        ({**GOOD, "shape": [8, 8]}, r"shape is \[8, 8\]"),
        ({**GOOD, "shape": [8, 8, 0]}, r"shape is \[8, 8, 0\]"),
        ({**GOOD, "shape": [8, 8, "1"]}, "shape is"),
        ({**GOOD, "shape": [8, 8, 70000]}, "shape is"),
        ({**GOOD, "shape": [8, 8, True]}, "shape is"),
        ({**GOOD, "parts": {"\ud800": {}}}, "config is not JSON in UTF-8"),
        ({**GOOD, "parts": []}, "parts is"),
        ({**GOOD, "parts": {"latent_decoder": 5}}, "part latent_decoder is 5"),
        ({k: v for k, v in GOOD.items() if k != "training"}, "training is None"),
    ],
)
def test_forged_config(config, message):
    with pytest.raises(ModelCorruptError, match=message):
        unpack_model(forged(config))


def test_wrong_checksum(tiny):
    data = pack_model(tiny)
    tensors = safetensors.numpy.load(data)
    tensors["encoder.log_step"] = tensors["encoder.log_step"] + 1
    metadata = _read_metadata(data, "it")
    with pytest.raises(ModelCorruptError, match=r"it: model checksum is [0-9a-f]{64}, got "):
        unpack_model(safetensors.numpy.save(tensors, metadata), "it")


def test_limit(tiny, tiny_path):
    size = tiny_path.stat().st_size
    with pytest.raises(AezLimitError, match=f"{size} bytes, max_model_nbytes allows {size - 1}"):
        load_model(tiny_path, max_model_nbytes=size - 1)
    with pytest.raises(AezLimitError, match=f"model: {size} bytes, max_model_nbytes allows 5"):
        unpack_model(pack_model(tiny), max_model_nbytes=5)
    assert load_model(tiny_path, max_model_nbytes=size).name == "tiny"


# ---------------------------------------------------------------- finding


def test_by_file_and_by_name(tiny, tiny_path, installed):
    assert equal(load_model(tiny_path), tiny)
    assert equal(load_model("tiny"), tiny)
    assert equal(load_model(str(installed)), tiny)


@pytest.mark.usefixtures("no_models")
def test_no_such_model():
    with pytest.raises(ModelMissingError, match=r"no model 'x': not a file, .* here \(none\)"):
        load_model("x")


@pytest.mark.usefixtures("installed")
def test_no_such_model_lists_the_others():
    with pytest.raises(ModelMissingError, match=r"no model 'x': .*\(.*tiny.*\)"):
        load_model("x")


@pytest.mark.usefixtures("no_models")
def test_folders_are_searched_in_order(tiny, tmp_path, monkeypatch):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        named = replace(tiny, name=folder.name)
        (folder / "m.safetensors").write_bytes(pack_model(named))
    (folders[0] / "notes.txt").write_text("not a model")
    monkeypatch.setenv(PATH_VARIABLE, ":".join(map(str, folders)))
    assert list(model_paths()) == [folder / "m.safetensors" for folder in folders]
    assert load_model("m").name == "one"


@pytest.mark.usefixtures("no_models")
def test_damaged_models_are_left_out_of_the_search(tiny, tmp_path, monkeypatch):
    (tmp_path / "bad.safetensors").write_bytes(b"junk")
    (tmp_path / "good.safetensors").write_bytes(pack_model(tiny))
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    assert [model.name for model in installed_models()] == ["tiny"]
    with pytest.raises(ModelCorruptError, match=r"bad\.safetensors: not an aecodec model"):
        load_model("bad")


def test_parts_are_found_across_models(tiny):
    one, two = PART, replace(PART, name="o")
    holders = [tiny, Model("a", (8, 8, 1), {"p": one}), Model("b", (8, 8, 1), {"o": two})]
    wanted = {"p": one.fingerprint(), "o": two.fingerprint()}
    found = find_parts(wanted, holders, "both")
    assert found.name == "both"
    assert found.shape == (8, 8, 1)
    assert found.fingerprints() == wanted


def test_missing_part_says_what_to_do(tiny):
    part = tiny.parts[LATENT_DECODER]
    bias = part.tensors["out.bias"] + np.int32(1)
    other = replace(tiny, parts={part.name: replace(part, tensors={"out.bias": bias})})
    wanted = tiny.fingerprints()
    digits = wanted[LATENT_DECODER].hex()[:16]
    message = (
        rf"part latent_decoder {digits} of model 'tiny', which is not here: "
        r"put its file in a folder of \$AECODEC_MODEL_PATH$"
    )
    with pytest.raises(ModelMissingError, match=message):
        find_parts(wanted, [replace(other, name="other")], "tiny")
    found = other.fingerprints()[LATENT_DECODER].hex()[:16]
    message = rf"not here \(another model 'tiny' is, whose part latent_decoder is {found}\): put"
    with pytest.raises(ModelMissingError, match=message):
        find_parts(wanted, [other], "tiny")
    lacking = replace(tiny, parts={"p": PART})
    message = r"not here \(another model 'tiny' is, which has no part latent_decoder\): put"
    with pytest.raises(ModelMissingError, match=message):
        find_parts(wanted, [lacking], "tiny")
