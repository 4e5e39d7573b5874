"""Array stores' codecs: found by name, whole images, bounds kept, models told by fingerprint."""

import json
import os
import pickle
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import COLOUR, GRAY, noise_images, smooth_images

import aecodec
from aecodec.codec.codec import Codec
from aecodec.demo import load_sample
from aecodec.errors import AezCorruptError, ModelMissingError
from aecodec.integrations import array_chunks, loaded
from aecodec.integrations.array_chunks import ChunkSettings
from aecodec.models import finding
from aecodec.models.file import pack_model
from aecodec.models.finding import PATH_VARIABLE

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
numcodecs = pytest.importorskip("numcodecs", reason="numcodecs is not installed")

from aecodec.integrations.numcodecs import AezCodec as NumcodecsCodec
from aecodec.integrations.zarr import AezCodec

ROOT = Path(__file__).resolve().parents[2]
IMAGES = smooth_images(GRAY, 60)[..., 0]


@pytest.fixture(autouse=True)
def nothing_loaded():
    """Each test begins as a new process does."""
    forget()
    yield
    forget()


def forget():
    loaded.GIVEN.clear()
    array_chunks.CODECS.clear()


def create(codec, images=IMAGES, *, store=None, chunks=None, **options):
    return zarr.create_array(
        zarr.storage.MemoryStore() if store is None else store,
        shape=images.shape,
        chunks=chunks or (16, *images.shape[1:]),
        dtype=images.dtype,
        serializer=codec,
        compressors=None,
        **options,
    )


# ---------------------------------------------------------------- Zarr


@pytest.mark.parametrize("max_error", [0, 3])
def test_zarr_keeps_the_bound(refined, max_error):
    array = create(AezCodec(model=refined, max_error=max_error))
    array[:] = IMAGES  # 60 images in chunks of 16: the last one is padded
    error = np.abs(array[:].astype(int) - IMAGES)
    assert error.max() <= max_error
    assert (array[17] == array[:][17]).all()


def test_zarr_quality_and_psnr(tiny):
    coarse, fine = (create(AezCodec(model=tiny, quality=q)) for q in (1, 9))
    sizes, errors = [], []
    for array in (coarse, fine):
        array[:] = IMAGES
        sizes.append(array.nbytes_stored())
        errors.append(np.square(array[:].astype(int) - IMAGES).mean())
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1] > 0


def test_zarr_inside_shards(refined):
    array = create(AezCodec(model=refined, lossless=True), shards=(32, 8, 8))
    array[:] = IMAGES
    assert (array[:] == IMAGES).all()
    assert (array[40:43] == IMAGES[40:43]).all()
    array[5] = 7  # one image of a chunk of a shard
    assert (array[5] == 7).all()
    assert (array[6:] == IMAGES[6:]).all()


def test_zarr_colour_with_channel_axis(refined_colour):
    images = smooth_images(COLOUR, 10)
    array = create(AezCodec(model=refined_colour, max_error=2), images, chunks=(4, 13, 10, 3))
    array[:] = images
    assert np.abs(array[:].astype(int) - images).max() <= 2


def test_zarr_fill_value_without_chunks(tiny):
    array = create(AezCodec(model=tiny), fill_value=9)
    assert array.nchunks_initialized == 0
    assert (array[:] == 9).all()
    array[16:32] = IMAGES[16:32]
    assert array.nchunks_initialized == 1
    assert (array[:16] == 9).all()


def test_zarr_metadata_survives_json_and_names_parts(refined, tmp_path):
    create(AezCodec(model=refined, max_error=4), store=tmp_path / "a.zarr")
    metadata = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    (codec,) = metadata["codecs"]
    fingerprint = refined.fingerprints()["pixel_fast"].hex()
    assert codec == {
        "name": "aecodec",
        "configuration": {
            "max_error": 4,
            "model": "refined",
            "parts": {"pixel_fast": fingerprint},
        },
    }
    assert AezCodec.from_dict(codec) == AezCodec(model=refined, max_error=4)


@pytest.mark.parametrize(
    ("images", "chunks", "message"),
    [
        (IMAGES.astype(np.uint16), None, "dtype: expected uint8, got uint16"),
        (IMAGES[0], (8, 8), r"shape: expected \(N, H, W\) or \(N, H, W, C\), got \(8, 8\)"),
        (IMAGES, (16, 4, 8), r"chunks: expected whole images, \(n, 8, 8\), got \(16, 4, 8\)"),
        (np.zeros((4, 9, 8), np.uint8), None, "model 'tiny' is for 8x8x1 images, these are 9x8x1"),
        (np.zeros((4, 8, 8, 5), np.uint8), None, "expected 1 to 4 channels, got 5"),
    ],
)
def test_zarr_refuses_other_arrays_at_creation(tiny, images, chunks, message):
    with pytest.raises(ValueError, match=message):
        create(AezCodec(model=tiny), images, chunks=chunks)


def test_zarr_missing_model_is_told_by_name(tiny, tmp_path, no_models):
    array = create(AezCodec(model=tiny), store=tmp_path / "a.zarr")
    array[:] = IMAGES
    forget()
    opened = zarr.open_array(tmp_path / "a.zarr", mode="r")  # to be looked at, it opens
    assert opened.shape == IMAGES.shape
    digits = tiny.fingerprints()["latent_decoder"].hex()[:16]
    with pytest.raises(ModelMissingError, match=f"part latent_decoder {digits} of model 'tiny'"):
        opened[:]


def test_another_model_of_the_name_is_not_taken(tiny, tmp_path, monkeypatch):
    array = create(AezCodec(model=tiny), store=tmp_path / "a.zarr")
    array[:] = IMAGES
    forget()
    part = tiny.parts["latent_decoder"]
    changed = {name: t.copy() for name, t in part.tensors.items()}
    changed["out.bias"] = changed["out.bias"] + 1
    other = replace(tiny, parts={part.name: replace(part, tensors=changed)})
    (tmp_path / "tiny.safetensors").write_bytes(pack_model(other))
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    with pytest.raises(ModelMissingError, match="part latent_decoder"):
        zarr.open_array(tmp_path / "a.zarr", mode="r")[:]


def test_zarr_damaged_chunk(tiny, tmp_path):
    create(AezCodec(model=tiny), store=tmp_path / "a.zarr")[:] = IMAGES
    path = tmp_path / "a.zarr" / "c" / "0" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AezCorruptError, match="footer"):
        zarr.open_array(tmp_path / "a.zarr", mode="r")[:]


def test_chunk_of_another_shape(tiny):
    settings = ChunkSettings.from_config({"model": tiny})
    blob = settings.encode(IMAGES[:5])
    with pytest.raises(AezCorruptError, match=r"\(5, 8, 8\), the array's chunks are \(6, 8, 8\)"):
        settings.decode(blob, (6, 8, 8))


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        ({}, TypeError, "model: expected a name, got None"),
        ({"model": "tiny", "speed": 1}, ValueError, "unknown field 'speed'"),
        ({"model": "none", "quality": "5"}, TypeError, "quality: expected a number, got '5'"),
        ({"model": "none", "quality": 5, "psnr": 30}, ValueError, "expected one of quality"),
        ({"model": "none", "coder": "lz4"}, ValueError, "coder: expected one of zstd, ans"),
        ({"model": "none", "variant": "x"}, ValueError, "variant: expected one of"),
        ({"model": "none", "quality": 3}, ValueError, "quality: has no effect without a model"),
        ({"model": "none", "coder": "ans"}, ValueError, "coder: has no effect without a model"),
        ({"model": "none", "variant": "fast"}, ValueError, "variant: has no effect"),
        ({"model": "none", "lossless": True, "coder": "ans"}, ValueError, "coder: has no effect"),
        ({"model": "x", "parts": {"a": "ff"}}, ValueError, "a: expected 64 hexadecimal digits"),
        ({"model": "x", "parts": []}, TypeError, "parts: expected an object"),
    ],
)
def test_wrong_configuration(config, kind, message):
    with pytest.raises(kind, match=message):
        AezCodec(**config)


def test_a_bound_needs_a_pixel_model(tiny):
    with pytest.raises(ModelMissingError, match="'tiny' has no part pixel_fast"):
        AezCodec(model=tiny, lossless=True)


# ---------------------------------------------------------------- numcodecs


def test_numcodecs_round_trip(refined):
    codec = NumcodecsCodec(model=refined, max_error=2)
    decoded = codec.decode(codec.encode(IMAGES))
    assert decoded.shape == IMAGES.shape
    assert np.abs(decoded.astype(int) - IMAGES).max() <= 2
    out = np.empty_like(IMAGES)
    codec.decode(codec.encode(IMAGES), out=out)
    assert (out == decoded).all()


def test_numcodecs_config_survives_json(refined):
    codec = NumcodecsCodec(model=refined, max_error=2)
    config = json.loads(json.dumps(codec.get_config()))
    assert config["id"] == "aecodec"
    assert config["max_error"] == 2
    again = NumcodecsCodec.from_config(config)
    assert again == codec
    assert hash(again) == hash(codec)
    assert repr(again) == repr(codec)
    assert again != NumcodecsCodec(model=refined, max_error=3)


@pytest.mark.parametrize("place", ["filters", "compressors"])
def test_zarr_2_arrays(refined, place):
    codec = NumcodecsCodec(model=refined, max_error=1)
    options = {"compressors": None, "filters": None, place: codec}
    array = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=IMAGES.shape,
        chunks=(16, 8, 8),
        dtype="uint8",
        zarr_format=2,
        **options,
    )
    array[:] = IMAGES
    assert np.abs(array[:].astype(int) - IMAGES).max() <= 1


def test_numcodecs_refuses_other_arrays(tiny):
    with pytest.raises(ValueError, match="expected uint8"):
        NumcodecsCodec(model=tiny).encode(IMAGES.astype(np.float32))


NOISE = noise_images(COLOUR, 30)
LOSSLESS = {"model": "none", "lossless": True}


def layouts(images):
    """The same images with other strides, by name."""
    padded = np.zeros(tuple(2 * size + 1 for size in images.shape), np.uint8)
    spread = padded[tuple(slice(1, None, 2) for _ in images.shape)]
    spread[:] = images
    backwards = images[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    read_only = images.copy()
    read_only.flags.writeable = False
    turned = np.ascontiguousarray(images.swapaxes(1, 2)).swapaxes(1, 2)
    buffer = np.frombuffer(b"\0\0\0" + images.tobytes(), np.uint8, offset=3)
    return {
        "C": images.copy(),
        "Fortran": np.asfortranarray(images),
        "spread": spread,
        "backwards": backwards,
        "read-only": read_only,
        "turned": turned,
        "offset": buffer.reshape(images.shape),
        "memoryview": memoryview(images.copy()),
        "Fortran memoryview": memoryview(np.asfortranarray(images)),
        "memmap-like": images.copy().view(np.memmap),
    }


SETS = {"gray": NOISE[..., 0].copy(), "colour": NOISE}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("layout", layouts(SETS["gray"]))
def test_numcodecs_takes_any_strides(kind, layout):
    images, codec = SETS[kind], NumcodecsCodec(**LOSSLESS)
    blob = codec.encode(layouts(images)[layout])
    decoded = codec.decode(blob)
    np.testing.assert_array_equal(decoded, images)
    plain = aecodec.encode(images, **LOSSLESS, chunk_images=len(images))
    assert (blob == plain) == ("Fortran" not in layout)  # of C order, the file is as ever
    np.testing.assert_array_equal(aecodec.decode(blob), images)
    np.testing.assert_array_equal(aecodec.decode(plain), aecodec.decode(blob))
    given = np.asarray(layouts(images)[layout])
    assert aecodec.encode(given, **LOSSLESS, chunk_images=len(images)) == plain


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numcodecs_gives_the_bytes_that_other_codecs_give(kind, order):
    images = np.asarray(SETS[kind], order=order)
    ours, theirs = NumcodecsCodec(**LOSSLESS), numcodecs.Zlib()
    blob, packed = ours.encode(images), theirs.encode(images)
    decoded = ours.decode(blob)
    assert decoded.tobytes(order="A") == theirs.decode(packed)
    for out in (
        np.empty(images.shape, np.uint8, order),
        np.empty(images.size, np.uint8),
        np.empty((2, images.size // 2), np.uint8, "F"),
        np.empty(images.size // 2, ">u2"),
        bytearray(images.size),
        memoryview(bytearray(images.size)),
    ):
        expected = copy(out) if not isinstance(out, memoryview) else memoryview(bytearray(out))
        assert ours.decode(blob, out=out) is out
        theirs.decode(packed, out=expected)
        np.testing.assert_array_equal(np.asarray(out), np.asarray(expected))


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numcodecs_writes_into_any_strides(kind, order):
    images, codec = SETS[kind], NumcodecsCodec(**LOSSLESS)
    blob = codec.encode(np.asarray(images, order=order))
    for name, out in layouts(np.zeros_like(images)).items():
        if name in ("read-only", "offset"):
            with pytest.raises(ValueError, match="out: is read-only"):
                codec.decode(blob, out=out)
        else:
            assert codec.decode(blob, out=out) is out
            np.testing.assert_array_equal(np.asarray(out), images)


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (np.empty((29, 13, 10), np.uint8), ValueError, "out: has 3770 bytes, the images have 3900"),
        (np.empty((30, 13, 10), np.uint16), ValueError, "out: has 7800 bytes"),
        (bytes(3900), ValueError, "out: is read-only"),
        ([0] * 3900, TypeError, "bytes-like object is required"),
    ],
    ids=["short", "wide", "bytes", "list"],
)
def test_numcodecs_refuses_other_outputs(out, kind, message):
    codec = NumcodecsCodec(**LOSSLESS)
    blob = codec.encode(SETS["gray"])
    with pytest.raises(kind, match=message):
        codec.decode(blob, out=out)


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        (SETS["gray"].astype(">u2"), ValueError, "expected uint8"),
        (SETS["gray"].view(np.int8), ValueError, "expected uint8"),
        (SETS["gray"] > 9, ValueError, "expected uint8"),
        (SETS["gray"][0], ValueError, "expected uint8"),
        (SETS["gray"].tobytes(), ValueError, "expected uint8"),
        (SETS["gray"].tolist(), TypeError, "bytes-like object is required"),
        (np.ma.masked_equal(SETS["gray"], 0), TypeError, "masked array"),
    ],
    ids=["big-endian", "int8", "bool", "one image", "bytes", "list", "masked"],
)
def test_numcodecs_refuses_other_buffers(images, kind, message):
    with pytest.raises(kind, match=message):
        NumcodecsCodec(**LOSSLESS).encode(images)


@pytest.mark.parametrize("place", ["filters", "compressors"])
@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_zarr_2_arrays_of_both_orders(kind, order, place, tmp_path):
    images = SETS[kind]
    options = {"compressors": None, "filters": None, place: NumcodecsCodec(**LOSSLESS)}
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=images.shape,
        chunks=(8, *images.shape[1:]),
        dtype="uint8",
        zarr_format=2,
        order=order,
        **options,
    )
    array[:] = images
    array[3:5] = images[3:5, ::-1]  # part of a chunk
    expected = images.copy()
    expected[3:5] = images[3:5, ::-1]
    np.testing.assert_array_equal(array[:], expected)
    opened = zarr.open_array(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(opened[2:19, 1::2], expected[2:19, 1::2])


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("memory", ["C", "F"])
def test_zarr_3_arrays_of_both_orders(kind, memory):
    images = SETS[kind]
    with zarr.config.set({"array.order": memory}):
        array = create(AezCodec(**LOSSLESS), images, chunks=(8, *images.shape[1:]))
        array[:] = np.asfortranarray(images)
        np.testing.assert_array_equal(array[:], images)
        array[::2] = images[1::2]
        np.testing.assert_array_equal(array[::2], images[1::2])


# ---------------------------------------------------------------- models that share their parts


def with_another_encoder(model, name="tiny"):
    encoder = {key: -tensor for key, tensor in model.encoder.items()}
    return replace(model, name=name, encoder=encoder)


@pytest.mark.parametrize("make", [NumcodecsCodec, AezCodec])
def test_each_model_encodes_by_itself(tiny, make):
    """Decoding parts that are the same do not make two models one."""
    other = with_another_encoder(tiny)
    assert other.fingerprints() == tiny.fingerprints()
    expected = [
        aecodec.encode(IMAGES[:20], codec=Codec(model), quality=4, chunk_images=20)
        for model in (tiny, other)
    ]
    assert expected[0] != expected[1]
    for turn in (0, 1, 0):
        codec = make(model=(tiny, other)[turn], quality=4)
        assert codec.settings.encode(IMAGES[:20]) == expected[turn]
        again = ChunkSettings.from_config(codec.settings.to_config())  # as a store keeps it
        assert again == codec.settings
        assert again.encode(IMAGES[:20]) == expected[turn]
        copied = pickle.loads(pickle.dumps(codec))
        assert copied == codec
        forget()
        assert copied.settings.encode(IMAGES[:20]) == expected[turn]


def test_options_have_codecs_of_their_own():
    images, model = load_sample()[:6], finding.load_model("fashion")
    for coder in ("zstd", "ans", "zstd"):
        settings = ChunkSettings.from_config({"model": model, "quality": 5, "coder": coder})
        codec = Codec(model, coder=coder)
        expected = aecodec.encode(images, codec=codec, quality=5, chunk_images=6)
        assert settings.encode(images) == expected
    assert len(array_chunks.CODECS) == 2


def test_a_model_given_by_name_is_not_pickled(tiny_path, tiny):
    by_name = ChunkSettings.from_config({"model": str(tiny_path), "quality": 4})
    data = pickle.dumps(by_name)
    assert len(data) < 2000
    expected = by_name.encode(IMAGES[:20])
    forget()
    again = pickle.loads(data)
    assert again.encode(IMAGES[:20]) == expected
    assert again.fingerprint == loaded.whole_fingerprint(tiny) != ""


def test_an_installed_model_of_the_name_comes_first(tiny, tmp_path, monkeypatch):
    for name, model in (("a", with_another_encoder(tiny, "a")), ("tiny", tiny)):
        (tmp_path / f"{name}.safetensors").write_bytes(pack_model(model))
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    config = ChunkSettings.from_config({"model": tiny, "quality": 4}).to_config()
    for name in ("a", "tiny"):
        forget()
        found = ChunkSettings.from_config({**config, "model": name})
        found._shared_codec()
        (kept,) = array_chunks.CODECS._values.values()
        assert kept[0].model.name == name


def test_caches_are_bounded(tiny):
    for i in range(loaded.MODELS_MAX + 3):
        settings = ChunkSettings.from_config({"model": replace(tiny, name=f"m{i}")})
        settings._shared_codec()
    assert len(loaded.GIVEN) == loaded.MODELS_MAX
    assert len(array_chunks.CODECS) == loaded.CODECS_MAX
    first = ChunkSettings.from_config({"model": replace(tiny, name="m0")})
    assert first.decode(first.encode(IMAGES[:3])).shape == (3, 8, 8)


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_dask_writes_and_reads_stores(refined, tmp_path, scheduler):
    dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
    images = np.concatenate([IMAGES] * 3)
    array = create(AezCodec(model=refined, lossless=True), images, store=tmp_path / "a.zarr")
    lazy = dask_array.from_array(images, chunks=(16, 8, 8))
    lazy.store(array, lock=False, scheduler=scheduler)
    np.testing.assert_array_equal(array[:], images)
    read = dask_array.from_zarr(str(tmp_path / "a.zarr"))
    np.testing.assert_array_equal(read.compute(scheduler=scheduler), images)


# ---------------------------------------------------------------- both


def test_without_model():
    images = noise_images(GRAY, 12)[..., 0]
    array = create(AezCodec(model="none", lossless=True), images)
    array[:] = images
    assert (array[:] == images).all()


def test_threads_share_one_codec(refined, monkeypatch):
    """Eight threads, one building of the networks, and the results of one thread."""
    settings = ChunkSettings.from_config({"model": refined, "quality": 4})
    expected = settings.encode(IMAGES[:20])
    array_chunks.CODECS.clear()
    built = []
    real = Codec

    def counted(*args, **options):
        built.append(threading.get_ident())
        return real(*args, **options)

    monkeypatch.setattr("aecodec.integrations.array_chunks.Codec", counted)
    with ThreadPoolExecutor(8) as pool:
        blobs = list(pool.map(lambda _: settings.encode(IMAGES[:20]), range(24)))
        decoded = list(pool.map(settings.decode, blobs))
    assert set(blobs) == {expected}
    assert len(built) == 1
    assert all((images == decoded[0]).all() for images in decoded)


def test_found_by_name_in_a_new_process(tmp_path, tiny_path):
    """The entry points of pyproject.toml, as an installation would write them."""
    tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    place = tmp_path / "aecodec-9.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: aecodec\nVersion: 9\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {home}\n" for name, home in entries.items())
        for group, entries in groups.items()
    ]
    (place / "entry_points.txt").write_text("\n".join(lines))
    code = (
        "import sys, numpy as np, numcodecs, zarr\n"
        "assert not any(name.startswith('aecodec') for name in sys.modules)\n"
        "x = np.zeros((4, 8, 8), np.uint8) + 40\n"
        "codec = numcodecs.get_codec({'id': 'aecodec', 'model': 'tiny', 'quality': 9})\n"
        "assert codec.decode(codec.encode(x)).shape == x.shape\n"
        "s = {'name': 'aecodec', 'configuration': {'model': 'tiny', 'quality': 9}}\n"
        "a = zarr.create_array(sys.argv[1], shape=x.shape, chunks=x.shape, dtype='uint8',\n"
        "                      serializer=s, compressors=None)\n"
        "a[:] = x\n"
        "b = zarr.open_array(sys.argv[1], mode='r')\n"
        "print(type(b.metadata.codecs[0]).__module__, abs(b[:].astype(int) - x).max() < 40)\n"
    )
    environment = {
        **os.environ,
        PATH_VARIABLE: str(tiny_path.parent),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zarr")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "aecodec.integrations.zarr True\n"


@pytest.mark.parametrize("module", ["zarr", "numcodecs"])
def test_missing_package_names_the_extra(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.modules[{module + '.abc'!r}] = None\n"
        f"import aecodec.integrations.{module}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"ImportError: the {'Zarr ' * (module == 'zarr')}codec needs {module}" in run.stderr
    assert f"pip install aecodec[{module}]" in run.stderr


def test_installed_model_is_found_by_fingerprint(installed, tiny):
    config = AezCodec(model="tiny").to_dict()
    renamed = {**config["configuration"], "model": "another name"}
    forget()
    settings = ChunkSettings.from_config(renamed)
    assert settings.decode(settings.encode(IMAGES)).shape == IMAGES.shape
    assert finding.load_model("tiny").fingerprints() == tiny.fingerprints()


def test_readme_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    images = load_sample()[:200]
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"), init_globals={"images": images})
    assert zarr.open_array("images.zarr", mode="r").shape == images.shape
