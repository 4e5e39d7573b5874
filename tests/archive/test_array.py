"""The lazy array over an open file."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from conftest import COLOUR, GRAY, noise_images, smooth_images

import aecodec
from aecodec.archive import sections
from aecodec.archive.array import Archive
from aecodec.archive.compress import encode
from aecodec.codec.codec import Codec
from aecodec.container import ChunkHead, Header, Section, Writer
from aecodec.container.parts import LATENT_DECODER, PIXEL_FAST
from aecodec.errors import AezCorruptError, AezLimitError, ModelMismatchError, ModelMissingError
from aecodec.latents.rows import OFTEN
from aecodec.limits import Limits
from aecodec.models.file import pack_model

COUNT, CHUNK = 50, 8
INFO_KEYS = [
    "version",
    "images",
    "height",
    "width",
    "channels",
    "chunks",
    "chunk_images",
    "target",
    "model",
    "parts",
    "model_embedded",
    "file_nbytes",
    "payload_nbytes",
    "raw_nbytes",
    "bpp",
    "max_error",
    "psnr_db",
    "images_by_mode",
    "source",
    "title",
    "origin",
    "licence",
    "label",
    "classes",
    "columns",
]


@pytest.fixture(scope="module")
def blob(codec) -> bytes:
    """50 images in chunks of 8, the second chunk mixed."""
    images = smooth_images(GRAY, COUNT)
    images[10:13] = noise_images(GRAY, 3)
    return encode(images, codec=codec, quality=5, chunk_images=CHUNK)


@pytest.fixture(scope="module")
def whole(blob, codec) -> np.ndarray:
    with Archive(blob, codec=codec) as archive:
        return np.concatenate(list(archive.batches()))


@pytest.fixture
def archive(blob, codec) -> Iterator[Archive]:
    with Archive(blob, codec=codec) as opened:
        yield opened


class Recorder(io.BytesIO):
    """Remembers which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.spans: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.spans.append((start, start + len(data)))
        return data

    def touched(self, start: int, end: int) -> bool:
        return any(a < end and start < b for a, b in self.spans)


# ---------------------------------------------------------------- indexing


@pytest.mark.parametrize("index", [0, 7, 8, 11, 49, -1, -50, np.int64(17)])
def test_one_image(archive, whole, index):
    np.testing.assert_array_equal(archive[index], whole[index])
    assert archive[index].shape == (8, 8, 1)


@pytest.mark.parametrize("index", [50, -51, 10**9])
def test_index_out_of_range(archive, index):
    with pytest.raises(IndexError, match=f"image {index}, the file holds 50"):
        archive[index]


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(3, 21),
        slice(5, 5),
        slice(30, 10),
        slice(-7, None),
        slice(None, None, 7),
        slice(None, None, -1),
        slice(40, 3, -5),
        slice(45, 1000),
    ],
    ids=str,
)
def test_slices(archive, whole, key):
    np.testing.assert_array_equal(archive[key], whole[key])
    assert archive[key].dtype == np.uint8


def test_iteration(archive, whole):
    images = list(archive)
    assert len(images) == len(archive) == COUNT
    np.testing.assert_array_equal(np.stack(images), whole)


# ---------------------------------------------------------------- shape


def test_channel_axis_comes_back_as_it_was(codec, colour_codec):
    gray = smooth_images(GRAY, 5)
    with Archive(encode(gray[..., 0], codec=codec), codec=codec) as archive:
        assert archive.shape == (5, 8, 8)
        assert archive[2].shape == (8, 8)
        assert archive[1:4].shape == (3, 8, 8)
        assert next(iter(archive)).shape == (8, 8)
    with Archive(encode(gray, codec=codec), codec=codec) as archive:
        assert archive.shape == (5, 8, 8, 1)
        assert archive[2].shape == (8, 8, 1)
    colour = smooth_images(COLOUR, 5)
    with Archive(encode(colour, codec=colour_codec), codec=colour_codec) as archive:
        assert archive.shape == archive[:].shape == (5, 13, 10, 3)
        assert repr(archive) == "<Archive 'bytes' (5, 13, 10, 3)>"


def test_no_images_at_all(codec):
    empty = np.empty((0, 8, 8), np.uint8)
    with Archive(encode(empty, codec=codec), codec=codec) as archive:
        assert len(archive) == 0
        assert archive.shape == archive[:].shape == (0, 8, 8)
        assert list(archive) == []
        assert archive.info["bpp"] is None
        assert archive.info["psnr_db"] is None
        assert archive.info["images_by_mode"] == {}
        with pytest.raises(IndexError, match="image 0, the file holds 0"):
            archive[0]


# ---------------------------------------------------------------- what it says


def test_info(archive, blob, whole, tiny):
    info = archive.info
    assert list(info) == INFO_KEYS
    assert (info["images"], info["chunks"], info["chunk_images"]) == (50, 7, 8)
    assert (info["height"], info["width"], info["channels"]) == (8, 8, 1)
    assert info["target"] == {"quality": 5}
    assert info["model"] == "tiny"
    assert info["parts"] == {LATENT_DECODER: tiny.fingerprints()[LATENT_DECODER].hex()}
    assert info["model_embedded"] is False
    assert info["file_nbytes"] == len(blob)
    assert info["raw_nbytes"] == 3200
    assert info["bpp"] == 8 * len(blob) / 3200
    assert sum(info["images_by_mode"].values()) == 50
    assert info["images_by_mode"]["stored"] >= 3
    original = smooth_images(GRAY, COUNT)
    original[10:13] = noise_images(GRAY, 3)
    difference = whole.astype(int) - original
    assert info["max_error"] == np.abs(difference).max()
    assert info["psnr_db"] == pytest.approx(10 * np.log10(65025 / (difference**2).mean()))
    assert json.loads(json.dumps(info)) == info


def test_info_of_a_lossless_file():
    images = noise_images(GRAY, 4)
    with Archive(encode(images, model="none")) as archive:
        info = archive.info
        assert info["psnr_db"] is None
        assert info["max_error"] == 0
        assert info["target"] is None
        assert info["model"] is None
        assert info["parts"] == {}
        assert archive.names is None
        np.testing.assert_array_equal(archive[:], images)


def test_only_touched_chunks_are_read(blob, codec):
    file = Recorder(blob)
    with Archive(file, codec=codec) as archive:
        file.spans.clear()
        _ = archive[20]
        read_nbytes = sum(end - start for start, end in file.spans)
        assert read_nbytes < len(blob) / 4
        file.spans.clear()
        _ = archive[21]
        assert file.spans == []  # the same chunk, kept
        _ = archive[30]
        assert file.spans != []


def test_info_reads_no_payload(codec):
    images = noise_images(GRAY, 400)
    data = encode(images, codec=codec, quality=9)
    file = Recorder(data)
    with Archive(file, codec=codec) as archive:
        _ = archive.info
    assert sum(end - start for start, end in file.spans) < len(data) / 10


# ---------------------------------------------------------------- models


@pytest.mark.usefixtures("no_models")
def test_embedded_model_is_enough(tiny, codec):
    images = smooth_images(GRAY, 20)
    data = encode(images, codec=codec, embed_model=True)
    with Archive(encode(images, codec=codec), codec=codec) as plain:
        expected = plain[:]
    with Archive(data) as archive:
        assert archive.info["model_embedded"] is True
        np.testing.assert_array_equal(archive[:], expected)
    assert len(data) < len(pack_model(tiny)) + 2000


@pytest.mark.usefixtures("no_models")
def test_missing_model(blob):
    with Archive(blob) as archive:
        assert len(archive) == COUNT  # what it says needs no model
        with pytest.raises(ModelMissingError, match="of model 'tiny', which is not here"):
            archive[0]


@pytest.mark.usefixtures("installed")
def test_installed_model_is_found(blob, whole):
    with Archive(blob) as archive:
        np.testing.assert_array_equal(archive[:], whole)


def test_model_by_path_and_by_value(blob, whole, tiny, tiny_path):
    for model in (tiny, tiny_path, str(tiny_path)):
        with Archive(blob, model=model) as archive:
            np.testing.assert_array_equal(archive[3], whole[3])


def other_model(tiny):
    part = tiny.parts[LATENT_DECODER]
    bias = part.tensors["linear.bias"] + np.int32(1 << 12)
    part = replace(part, tensors={**part.tensors, "linear.bias": bias})
    return replace(tiny, name="other", parts={LATENT_DECODER: part})


def test_mismatching_model_names_both(blob, tiny):
    other = other_model(tiny)
    wanted, got = (m.fingerprints()[LATENT_DECODER].hex()[:16] for m in (tiny, other))
    message = f"of model 'tiny' has fingerprint {wanted}, model 'other' has {got}"
    with Archive(blob, model=other) as archive, pytest.raises(ModelMismatchError, match=message):
        archive[0]
    with (
        Archive(blob, codec=Codec(other)) as archive,
        pytest.raises(ModelMismatchError, match=message),
    ):
        archive[0]


def test_embedded_model_of_other_parts_is_corrupt(codec, tiny, monkeypatch):
    monkeypatch.setattr(
        "aecodec.archive.head.pack_model", lambda model: pack_model(other_model(model))
    )
    data = encode(smooth_images(GRAY, 4), codec=codec, embed_model=True)
    with (
        Archive(data) as archive,
        pytest.raises(AezCorruptError, match="embedded model is not the one that the file names"),
    ):
        archive[0]
    assert tiny.encoder


def test_embedded_model_that_could_leave_the_exact_range_is_corrupt(codec, monkeypatch):
    good = codec.model
    part = good.parts[LATENT_DECODER]
    bias = np.full_like(part.tensors["out.bias"], 1 << 24)
    part = replace(part, tensors={**part.tensors, "out.bias": bias})
    poisoned = replace(good, parts={part.name: part})
    monkeypatch.setattr(codec, "model", poisoned)  # the codec keeps its good networks
    data = encode(smooth_images(GRAY, 4), codec=codec, embed_model=True)
    with (
        Archive(data) as archive,
        pytest.raises(AezCorruptError, match="embedded model: layer out: sums can reach"),
    ):
        archive[0]


def test_part_that_the_file_does_not_name_is_not_used(codec, refined, monkeypatch):
    """Nothing would say that it is the right one."""
    part = refined.parts[PIXEL_FAST]
    monkeypatch.setattr("aecodec.codec.networks.Networks.parts_of", lambda *_: [part.name])
    data = encode(smooth_images(GRAY, 4), codec=Codec(refined))
    message = "chunk 0: mode 2 needs part latent_decoder, section PART names pixel_fast"
    with Archive(data, model=refined) as archive, pytest.raises(AezCorruptError, match=message):
        archive[0]


@pytest.mark.parametrize("key", [slice(None), slice(None, None, -1), slice(8, 16)])
def test_whole_chunks_are_held_against_their_hash(key, monkeypatch):
    images = noise_images(GRAY, 20)
    pack = ChunkHead.pack
    monkeypatch.setattr(
        ChunkHead, "pack", lambda head: pack(replace(head, pixels_sha256=bytes(32)))
    )
    data = encode(images, model="none", chunk_images=8)
    with Archive(data) as archive, pytest.raises(AezCorruptError, match="decoded pixels have sha"):
        archive[key]


# ---------------------------------------------------------------- sources and limits


def test_bytes_path_and_file(blob, whole, codec, tmp_path):
    path = tmp_path / "x.aez"
    path.write_bytes(blob)
    with open(path, "rb") as file:
        for source in (blob, bytearray(blob), memoryview(blob), path, str(path), file):
            with Archive(source, codec=codec) as archive:
                np.testing.assert_array_equal(archive[5], whole[5])
        assert not file.closed  # it is the caller's


def test_own_file_is_closed(blob, codec, tmp_path):
    path = tmp_path / "x.aez"
    path.write_bytes(blob)
    archive = aecodec.open(path, codec=codec)
    archive.close()
    with pytest.raises(ValueError, match="closed file"):
        archive[0]


def test_own_file_is_closed_when_it_is_no_archive(tmp_path):
    path = tmp_path / "x.aez"
    path.write_bytes(b"not an archive" * 10)
    with pytest.raises(AezCorruptError, match=r"x\.aez"):
        Archive(path)  # a file left open would be a ResourceWarning, and so an error here


def test_images_asked_for_often_are_the_same(blob, whole, codec):
    """Symbols are unpacked image by image at first, and all at once where that goes on."""
    with Archive(blob, codec=codec) as archive:
        for turn in range(2 * OFTEN):
            i = 7 * turn % len(whole)
            np.testing.assert_array_equal(archive[i], whole[i])


def test_pipe_is_read_whole(blob, whole, codec):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with Archive(Pipe(blob), codec=codec) as archive:
        np.testing.assert_array_equal(archive[5], whole[5])


def test_decoded_limit(blob, codec):
    with Archive(blob, codec=codec, limits=Limits(max_decoded_nbytes=640)) as archive:
        assert archive[:10].nbytes == 640
        with pytest.raises(
            AezLimitError, match="704 bytes of images, max_decoded_nbytes allows 640"
        ):
            archive[:11]


def test_embedded_model_limit(codec):
    data = encode(smooth_images(GRAY, 4), codec=codec, embed_model=True)
    message = "payload_nbytes is [0-9]+, max_model_nbytes allows 1000"
    limits = Limits(max_model_nbytes=1000)
    with Archive(data, limits=limits) as archive, pytest.raises(AezLimitError, match=message):
        archive[0]


# ---------------------------------------------------------------- hostile sections

EMPTY = Header(8, 8, 1, target_kind=0, target_value=0, chunk_images=4, required_flags=0)


def file_with(*sections: Section) -> bytes:
    out = io.BytesIO()
    Writer(out, EMPTY, list(sections)).close()
    return out.getvalue()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"{", "section META: not JSON"),
        (b"[]", "section META is not a JSON object"),
        (b"\xff\xfe\xfd", "section META: not JSON"),
        ("{}".encode("utf-16"), "section META: not JSON"),
        (b"[" * 100_000, "section META: not JSON"),
    ],
    ids=["cut", "list", "not utf-8", "utf-16", "deep"],
)
def test_hostile_metadata(payload, message):
    with pytest.raises(AezCorruptError, match=message):
        Archive(file_with(Section("META", required=False, payload=payload)))


def test_repeated_section():
    meta = Section("META", required=False, payload=b"{}")
    with pytest.raises(AezCorruptError, match=r"META"):
        Archive(file_with(meta, meta))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"junk", "section NAME: damaged zlib data"),
        (zlib.compress(b"[]") + b"more", "zlib data cut, or followed by other bytes"),
        (zlib.compress(b"[]")[:-1], "zlib data cut, or followed by other bytes"),
        (zlib.compress(b"{}"), "section NAME: not a JSON list of texts: found '{'"),
        (zlib.compress(b"[3]"), "section NAME: not a JSON list of texts: found '3'"),
        (zlib.compress(b'["a"]'), "over 0 names, expected 0"),
    ],
    ids=["junk", "longer", "cut", "object", "number", "count"],
)
def test_hostile_names(payload, message):
    with (
        Archive(file_with(Section("NAME", required=False, payload=payload))) as archive,
        pytest.raises(AezCorruptError, match=message),
    ):
        _ = archive.names


def test_name_bomb():
    data = file_with(Section("NAME", required=False, payload=zlib.compress(b" " * (80 << 20), 9)))
    limits = Limits(max_column_nbytes=32 << 20)
    message = f"section NAME: unpacks to over {32 << 20} bytes, max_column_nbytes allows no more"
    with Archive(data, limits=limits) as archive, pytest.raises(AezLimitError, match=message):
        _ = archive.names


def test_names_are_unpacked_once(monkeypatch):
    unpacked = []
    inflated = sections.inflated
    monkeypatch.setattr(sections, "inflated", lambda *a: unpacked.append(1) or inflated(*a))
    payload = zlib.compress(b"[]")
    with Archive(file_with(Section("NAME", required=False, payload=payload))) as archive:
        assert [archive.names for _ in range(9)] == [()] * 9
    assert len(unpacked) == 1
