"""Array stores' codecs: found by name, whole images, bounds kept, models told by fingerprint."""

import json
import os
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import COLOUR, GRAY, noise_images, smooth_images

from aecodec.codec.codec import Codec
from aecodec.demo import load_sample
from aecodec.errors import AezCorruptError, ModelMissingError
from aecodec.integrations import array_chunks
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
def nothing_loaded(monkeypatch):
    """Each test begins as a new process does."""
    monkeypatch.setattr("aecodec.integrations.array_chunks._loaded", {})
    array_chunks._codec_of.cache_clear()
    yield
    array_chunks._codec_of.cache_clear()


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
    array_chunks._loaded.clear()
    array_chunks._codec_of.cache_clear()
    opened = zarr.open_array(tmp_path / "a.zarr", mode="r")  # to be looked at, it opens
    assert opened.shape == IMAGES.shape
    digits = tiny.fingerprints()["latent_decoder"].hex()[:16]
    with pytest.raises(ModelMissingError, match=f"part latent_decoder {digits} of model 'tiny'"):
        opened[:]


def test_another_model_of_the_name_is_not_taken(tiny, tmp_path, monkeypatch):
    array = create(AezCodec(model=tiny), store=tmp_path / "a.zarr")
    array[:] = IMAGES
    array_chunks._loaded.clear()
    array_chunks._codec_of.cache_clear()
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
    array_chunks._codec_of.cache_clear()
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
    array_chunks._loaded.clear()
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
    assert zarr.open_array("clothes.zarr", mode="r").shape == images.shape
