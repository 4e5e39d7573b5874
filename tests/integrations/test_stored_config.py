"""Arrays of strangers: their metadata name no file, and whatever is in them is an AezError."""

from __future__ import annotations

import json
import random
import re
import sys

import numpy as np
import pytest
from conftest import COLOUR, GRAY, noise_images, smooth_images

import aecodec
from aecodec.errors import (
    AezCorruptError,
    AezError,
    AezLimitError,
    AezUnsupportedError,
    ModelMismatchError,
    ModelMissingError,
)
from aecodec.integrations import array_chunks, loaded
from aecodec.models.file import pack_model

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
numcodecs = pytest.importorskip("numcodecs", reason="numcodecs is not installed")

from zarr.core.buffer import default_buffer_prototype

from aecodec.integrations.numcodecs import AezCodec as NumcodecsCodec
from aecodec.integrations.zarr import AezCodec

IMAGES = smooth_images(GRAY, 12)[..., 0]
NO_MODEL = {"model": "none", "lossless": True}
FINGERPRINT = "0" * 64


@pytest.fixture(autouse=True)
def nothing_loaded():
    """Each test begins as a new process does."""
    forget()
    yield
    forget()


def forget():
    loaded.GIVEN.clear()
    array_chunks.CODECS.clear()


def stored(version, images=IMAGES, chunk=None, **config):
    """The files of a store of one array, by their names."""
    store = zarr.storage.MemoryStore()
    codec = {"serializer": AezCodec(**config)} if version == 3 else {"filters": None}
    array = zarr.create_array(
        store,
        shape=images.shape,
        chunks=(chunk or 4, *images.shape[1:]),
        dtype="uint8",
        zarr_format=version,
        compressors=None if version == 3 else NumcodecsCodec(**config),
        **codec,
    )
    array[:] = images
    return {name: value.to_bytes() for name, value in store._store_dict.items()}


def doctored(files, version, config):
    """The files, with another configuration of the codec."""
    name = "zarr.json" if version == 3 else ".zarray"
    metadata = json.loads(files[name])
    if version == 3:
        metadata["codecs"][0]["configuration"] = config
    else:
        metadata["compressor"] = {**config, "id": "aecodec"}
    return {**files, name: json.dumps(metadata).encode()}


def opened(files):
    buffer = default_buffer_prototype().buffer
    contents = {name: buffer.from_bytes(data) for name, data in files.items()}
    return zarr.open_array(zarr.storage.MemoryStore(contents), mode="r+")


def read(files, version, config):
    return opened(doctored(files, version, config))[:]


def ask_numcodecs(files, version, config):
    del files, version
    return numcodecs.get_codec({**config, "id": "aecodec"})


BOTH = pytest.mark.parametrize("version", [2, 3])
DOORS = pytest.mark.parametrize("door", [read, ask_numcodecs])


# ---------------------------------------------------------------- names


@pytest.fixture
def files_opened():
    """The names of files that are opened from now on."""
    names = []
    watching = [True]

    def hook(event, arguments):
        if watching and event == "open":
            names.append(str(arguments[0]))

    sys.addaudithook(hook)  # there is no way to take it away
    yield names
    watching.clear()


@BOTH
@DOORS
@pytest.mark.parametrize("how", ["absolute", "relative", "with parts", "no suffix"])
def test_metadata_name_no_file(version, door, how, tiny, tmp_path, monkeypatch, files_opened):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.safetensors").write_bytes(pack_model(tiny))
    name = {"absolute": str(tmp_path / "secret.safetensors"), "no suffix": "secret"}.get(
        how, "./secret.safetensors"
    )
    parts = {"parts": {"latent_decoder": FINGERPRINT}} if how == "with parts" else {}
    files = stored(version, **NO_MODEL)
    files_opened.clear()
    if parts and door is ask_numcodecs:
        codec = door(files, version, {"model": name, **parts})  # which may be looked at
        assert codec.get_config()["model"] == name
    else:
        with pytest.raises(ModelMissingError, match=re.escape(repr(name))):
            door(files, version, {"model": name, **parts})
    assert not [name for name in files_opened if "secret" in name]


def test_nothing_of_a_file_is_in_an_error(tmp_path):
    path = tmp_path / "passwd"
    path.write_bytes(b"root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(ModelMissingError) as caught:
        AezCodec.from_dict({"name": "aecodec", "configuration": {"model": str(path)}})
    assert "header of" not in str(caught.value)
    assert str(path.stat().st_size) not in str(caught.value).replace(str(path), "")


@BOTH
def test_installed_models_are_found_by_name(version, installed):
    files = stored(version, model="tiny", quality=4)
    expected = opened(files)[:]
    forget()
    np.testing.assert_array_equal(read(files, version, {"model": "tiny", "quality": 4}), expected)


@BOTH
def test_a_given_model_is_found_by_its_parts_alone(version, tiny):
    files = stored(version, model=tiny, quality=4)
    config = array_chunks.ChunkSettings.from_config({"model": tiny, "quality": 4}).to_config()
    assert read(files, version, config).shape == IMAGES.shape
    with pytest.raises(ModelMissingError):
        read(files, version, {"model": "tiny", "quality": 4})


def test_the_constructor_takes_paths(tiny_path, tiny):
    for make in (AezCodec, NumcodecsCodec):
        for model in (str(tiny_path), tiny_path, tiny):
            assert make(model=model, quality=4).settings.model == "tiny"


# ---------------------------------------------------------------- odd values

ODD = [
    ({}, AezCorruptError, "model: expected a name, found None"),
    ({"model": ["x"]}, AezCorruptError, "model: expected a name, found list of 1"),
    ({"model": 10**400}, AezCorruptError, "model: expected a name, found a number beyond"),
    ({"model": "\ud800", "parts": {}}, AezCorruptError, r"at most 255 bytes of UTF-8, found '\\ud"),
    ({"model": "x" * 256, "parts": {}}, AezCorruptError, "at most 255 bytes of UTF-8"),
    ({"model": "a\0b"}, ModelMissingError, "no model"),
    ({"model": "none", "speed": 1}, AezUnsupportedError, "unknown field 'speed'"),
    ({"model": "none", "\ud800": 1}, AezUnsupportedError, r"unknown field '\\ud800'"),
    ({"model": "none", "quality": [1]}, AezCorruptError, "quality: expected a number, found list"),
    ({"model": "none", "quality": True}, AezCorruptError, "quality: expected a number, found True"),
    ({"model": "none", "quality": "5"}, AezCorruptError, "quality: expected a number, found '5'"),
    ({"model": "none", "quality": 10**400}, AezCorruptError, "quality: expected a number, found a"),
    ({"model": "none", "quality": float("nan")}, AezCorruptError, "expected a number, found nan"),
    (
        {"model": "none", "psnr": float("inf")},
        AezCorruptError,
        "psnr: expected a number, found inf",
    ),
    ({"model": "none", "max_error": 1.5}, AezCorruptError, "max_error: expected a whole number"),
    ({"model": "none", "max_error": 128}, AezCorruptError, "max_error: expected 0 to 127, got 128"),
    ({"model": "none", "max_error": 1, "psnr": 30}, AezCorruptError, "expected one of quality"),
    ({"model": "none", "lossless": "yes"}, AezCorruptError, "lossless: expected true or false"),
    ({"model": "none", "coder": {}}, AezCorruptError, "coder: expected text, found dict of 0"),
    ({"model": "none", "coder": "new"}, AezUnsupportedError, "coder: expected one of zstd, ans"),
    ({"model": "none", "variant": [[]]}, AezCorruptError, "variant: expected text"),
    ({"model": "none", "variant": "x"}, AezUnsupportedError, "variant: expected one of fast"),
    ({"model": "x", "parts": []}, AezCorruptError, "parts: expected an object, found list of 0"),
    ({"model": "x", "parts": {"a": 1}}, AezCorruptError, "a: expected 64 hexadecimal digits"),
    ({"model": "x", "parts": {"a": "ff"}}, AezCorruptError, "a: expected 64 hexadecimal digits"),
    ({"model": "x", "parts": {"": FINGERPRINT}}, AezCorruptError, "parts: expected names of 1"),
    ({"model": "x", "parts": {"a\n": FINGERPRINT}}, AezCorruptError, "parts: expected names of 1"),
]


@DOORS
@pytest.mark.parametrize(("config", "kind", "message"), ODD)
def test_odd_configurations(config, kind, message, door):
    with pytest.raises(kind, match=message) as caught:
        door(stored(3, **NO_MODEL), 3, config)
    assert len(str(caught.value).encode()) < 500


def test_configurations_that_are_no_objects():
    for odd in (None, [], 1, "x"):
        with pytest.raises(AezCorruptError, match="expected an object"):
            AezCodec.from_dict({"name": "aecodec", "configuration": odd})
        with pytest.raises(AezCorruptError, match="expected an object"):
            NumcodecsCodec.from_config(odd)
    with pytest.raises(AezCorruptError, match="expected codec 'aecodec'"):
        AezCodec.from_dict({"name": ["aecodec"]})


@pytest.mark.parametrize("make", [AezCodec, NumcodecsCodec])
def test_a_callers_number_that_is_too_large(make):
    with pytest.raises(ValueError, match="quality: is out of range"):
        make(model="none", quality=10**400)


VALUES = [
    None, True, 0, -1, 10**400, 1.5, float("nan"), float("-inf"), "", "none", "mnist", "\ud800",
    "../../etc/passwd", "zstd", "fast", [1], {}, {"a": {"b": []}}, ["x"] * 5, "z" * 100_000,
    {"latent_decoder": FINGERPRINT}, {"pixel_fast": "\u0661" * 64},
]  # fmt: skip


@pytest.mark.usefixtures("no_models")
@BOTH
def test_many_configurations(version):
    """Whatever a configuration holds: an array of images, or an AezError."""
    files = stored(version, **NO_MODEL)
    choose = random.Random(0)
    keys = [*array_chunks.CONFIG_KEYS, "shape", "name", "\ud800"]
    found = set()
    for _ in range(200):
        config = {choose.choice(keys): choose.choice(VALUES) for _ in range(choose.randrange(4))}
        config = {**choose.choice([{}, NO_MODEL]), **config}
        for act in (read, write, ask_numcodecs):
            found.add(outcome(act, files, version, config))
    assert found >= {"done", AezCorruptError, AezUnsupportedError}


def outcome(act, *arguments):
    try:
        act(*arguments)
    except AezError as error:
        return type(error)
    return "done"


def write(files, version, config):
    opened(doctored(files, version, config))[:4] = IMAGES[:4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [12, 64]}, r"shape: expected \(N, H, W\)"),
        ({"shape": [12, 8, 9]}, "chunks: expected whole images"),
        ({"data_type": "float32", "fill_value": 0.0}, "dtype: expected uint8, got float32"),
    ],
)
def test_arrays_that_hold_no_images(change, message):
    files = stored(3, **NO_MODEL)
    metadata = {**json.loads(files["zarr.json"]), **change}
    if len(metadata["shape"]) == 2:
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = [4, 64]
    with pytest.raises(AezCorruptError, match=message):
        opened({**files, "zarr.json": json.dumps(metadata).encode()})


# ---------------------------------------------------------------- chunks


def chunk_of(files):
    return next(name for name in files if not name.endswith(("zarr.json", ".zarray", ".zattrs")))


@BOTH
def test_a_chunk_of_more_images_than_the_arrays(version):
    files = stored(version, **NO_MODEL)
    huge = aecodec.encode(np.zeros((40_000, 8, 8), np.uint8), model="none")
    with pytest.raises((AezError, ValueError)):  # what Zarr 2 finds by itself is a ValueError
        opened({**files, chunk_of(files): huge})[:]


@pytest.mark.parametrize("out", [None, np.empty(2560, np.uint8)])
def test_a_chunk_that_is_larger_than_a_buffer_may_be(out):
    claims = aecodec.encode(np.zeros((4, 8, 8), np.uint8), model="none", chunk_images=4)
    codec = NumcodecsCodec(**NO_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        shape = (1 << 20, 1 << 10, 1 << 10)
        patch.setattr("aecodec.archive.array.Archive.shape", property(lambda _: shape))
        kind, message = (
            (AezLimitError, "a codec of numcodecs gives 2113929216")
            if out is None
            else (ValueError, f"out: has 2560 bytes, the images have {1 << 40}")
        )
        with pytest.raises(kind, match=message):
            codec.decode(claims, out=out)


def test_what_is_encoded_can_be_decoded(monkeypatch):
    codec = NumcodecsCodec(**NO_MODEL)
    monkeypatch.setattr(NumcodecsCodec, "max_buffer_size", 100)
    with pytest.raises(ValueError, match="has 768 bytes, expected at most 100"):
        codec.encode(IMAGES)


@BOTH
def test_chunks_beyond_the_default_limits(version):
    """An array's chunk may be as large as the array says, whose images are what was asked for."""
    images = np.zeros((1, 5000, 5000), np.uint8)  # counts three times
    images[0, ::7] = 9
    np.testing.assert_array_equal(opened(stored(version, images, 1, **NO_MODEL))[:], images)


def test_a_model_in_a_chunk_is_not_used(tiny):
    files = stored(3, model=tiny, quality=4)
    other = aecodec.encode(IMAGES[:4], model=tiny, embed_model=True)
    config = json.loads(files["zarr.json"])["codecs"][0]["configuration"]
    forget()
    with pytest.raises(ModelMissingError, match="the array needs part latent_decoder"):
        read({**files, chunk_of(files): other}, 3, config)


def test_a_chunk_of_another_model(tiny, tiny_colour):
    images = noise_images(GRAY, 4)[..., 0]
    blob = aecodec.encode(images, model="none")
    codec = NumcodecsCodec(model=tiny, quality=4)
    assert codec.decode(blob).shape == images.shape
    other = aecodec.encode(smooth_images(COLOUR, 4), model=tiny_colour, embed_model=True)
    with pytest.raises(ModelMismatchError, match="part latent_decoder"):
        codec.decode(other)
