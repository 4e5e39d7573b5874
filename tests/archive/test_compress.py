"""Whole sets: arrays to bytes, image sets to files and back."""

from __future__ import annotations

import gzip
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import GRAY, noise_images, smooth_images

import aecodec
from aecodec.archive.array import Archive
from aecodec.archive.compress import compress, encode
from aecodec.archive.decompress import decode, decompress
from aecodec.archive.outputs import default_output
from aecodec.archive.verify import verify
from aecodec.codec.plan import ChunkPlan
from aecodec.errors import AezCorruptError, ModelMismatchError, ModelMissingError
from aecodec.images import open_images
from aecodec.models.file import pack_model

IMAGES = smooth_images(GRAY, 40)[..., 0]
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def write_idx(path: Path, images: np.ndarray) -> Path:
    data = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape)
    data += images.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_set(kind: str, folder: Path, images: np.ndarray) -> Path:
    if kind == "npy":
        np.save(folder / "set.npy", images)
        return folder / "set.npy"
    if kind == "npz":
        np.savez_compressed(folder / "set.npz", images=images)
        return folder / "set.npz"
    if kind == "idx":
        return write_idx(folder / "set-ubyte", images)
    if kind == "idx.gz":
        return write_idx(folder / "set-ubyte.gz", images)
    from PIL import Image

    (folder / "set").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / "set" / f"cell {i:03}.png")
    return folder / "set"


def read_set(path: Path) -> np.ndarray:
    with open_images(path) as source:
        return np.concatenate(list(source.batches(1000)))


class Pipe(io.BytesIO):
    """A stream that cannot seek, read in whatever pieces."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 1000) if size and size > 0 else size)


# ---------------------------------------------------------------- arrays and bytes


def test_arrays_round_trip_within_the_limit(codec):
    blob = aecodec.encode(IMAGES, codec=codec, quality=8)
    images = aecodec.decode(blob, codec=codec)
    assert images.shape == IMAGES.shape
    assert images.dtype == np.uint8
    assert np.abs(images.astype(int) - IMAGES).mean() < 5
    with Archive(blob, codec=codec) as archive:
        np.testing.assert_array_equal(archive[:], images)


def test_same_input_same_bytes(codec, tiny):
    blobs = {encode(IMAGES, codec=codec, quality=4, chunk_images=9) for _ in range(2)}
    blobs.add(encode(IMAGES, model=tiny, quality=4, chunk_images=9))
    assert len(blobs) == 1
    embedded = {encode(IMAGES, model=tiny, embed_model=True) for _ in range(3)}
    assert len(embedded) == 1


@pytest.mark.parametrize("images", [IMAGES.astype(np.float32), IMAGES.astype(np.uint16)])
def test_other_types_are_refused(codec, images):
    with pytest.raises(ValueError, match="expected uint8"):
        encode(images, codec=codec)


@pytest.mark.parametrize("quality", [0, 10, float("nan")])
def test_quality_is_checked_first(quality, codec):
    with pytest.raises(ValueError, match="quality: expected 1 to 9"):
        encode(IMAGES, codec=codec, quality=quality)


def test_empty_set(codec):
    for shape in ((0, 8, 8), (0, 8, 8, 1)):
        blob = encode(np.empty(shape, np.uint8), codec=codec)
        assert decode(blob, codec=codec).shape == shape


# ---------------------------------------------------------------- choosing a model


@pytest.mark.usefixtures("no_models")
def test_no_model_fits():
    with pytest.raises(ModelMissingError, match=r"no installed model is for 8x8x1.*aecodec train"):
        encode(IMAGES)


def test_model_for_another_shape(tiny):
    with pytest.raises(ModelMismatchError, match="is for 8x8x1 images, these are 8x9x1"):
        encode(np.zeros((2, 8, 9), np.uint8), model=tiny)


@pytest.mark.usefixtures("installed")
def test_installed_model_is_taken():
    with Archive(encode(IMAGES)) as archive:
        assert archive.info["model"] == "tiny"


@pytest.mark.usefixtures("no_models")
def test_best_of_several_is_taken(tiny, tmp_path, monkeypatch):
    """The other model's latents are the same, its decoder is off by 60 gray levels."""
    part = tiny.parts["latent_decoder"]
    bias = part.tensors["linear.bias"]
    unit = 1 << part.tensors["linear.shift"].astype(np.int32)
    worse = replace(part, tensors={**part.tensors, "linear.bias": bias + 60 * 16 * unit})
    poor = replace(tiny, name="a-poor-one", parts={part.name: worse})
    (tmp_path / "a.safetensors").write_bytes(pack_model(poor))
    (tmp_path / "b.safetensors").write_bytes(pack_model(tiny))
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(tmp_path))
    with Archive(encode(IMAGES)) as archive:
        assert archive.info["model"] == "tiny"


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("kind", ["npy", "npz", "idx", "idx.gz", "folder"])
def test_sets_come_back_as_they_were(kind, tmp_path, codec, tiny):
    source = write_set(kind, tmp_path, IMAGES)
    summary = compress(source, tmp_path / "x.aez", codec=codec, quality=7)
    assert summary.images == 40
    assert summary.nbytes == (tmp_path / "x.aez").stat().st_size
    out = default_output(str(tmp_path / "x.aez"), kind)
    done = decompress(tmp_path / "x.aez", model=tiny)
    assert (done.output, done.kind, done.images) == (out, kind, 40)
    decoded = read_set(out)[..., 0]
    np.testing.assert_array_equal(decoded, decode((tmp_path / "x.aez").read_bytes(), model=tiny))
    difference = decoded.astype(np.int64) - IMAGES
    assert np.abs(difference).max() == summary.max_error
    psnr = 10 * np.log10(65025 / (difference**2).mean())
    assert summary.psnr_db == pytest.approx(psnr)
    if kind == "folder":
        assert sorted(os.listdir(out)) == [f"cell {i:03}.png" for i in range(40)]


def test_lossless_round_trip_is_the_same_file(tmp_path):
    source = write_set("idx", tmp_path, noise_images(GRAY, 9)[..., 0])
    compress(source, tmp_path / "x.aez", model="none")
    decompress(tmp_path / "x.aez", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()


def test_pipes(tmp_path, codec, tiny):
    source = write_set("npy", tmp_path, IMAGES)
    packed = io.BytesIO()
    compress(Pipe(source.read_bytes()), packed, codec=codec, chunk_images=16)
    from_file = io.BytesIO()
    compress(source, from_file, codec=codec, chunk_images=16)
    assert packed.getvalue() == from_file.getvalue()
    out = io.BytesIO()
    decompress(Pipe(packed.getvalue()), out, kind="npy", model=tiny)
    np.testing.assert_array_equal(
        np.load(io.BytesIO(out.getvalue())), decode(packed.getvalue(), codec=codec)
    )


@pytest.mark.parametrize(
    ("images", "start", "stop"),
    [
        (slice(5, 20), 5, 20),
        (slice(None, 9), 0, 9),
        (slice(-3, None), 37, 40),
        (slice(30, 10), 30, 30),
        (slice(8, 1000), 8, 40),
    ],
)
def test_ranges(tmp_path, codec, tiny, images, start, stop):
    blob = encode(IMAGES, codec=codec, chunk_images=8)
    done = []
    count = decompress(
        blob, tmp_path / "x.npy", images=images, model=tiny, progress=lambda *n: done.append(n)
    ).images
    assert count == stop - start
    decoded = np.load(tmp_path / "x.npy")
    np.testing.assert_array_equal(decoded, decode(blob, codec=codec)[start:stop])
    assert not done or done[-1] == (count, count)


def test_step_is_refused(tmp_path, codec):
    with pytest.raises(ValueError, match="images: step is 2, expected 1"):
        decompress(encode(IMAGES, codec=codec), tmp_path / "x.npy", images=slice(0, 9, 2))
    assert not (tmp_path / "x.npy").exists()


def test_progress(tmp_path, codec, tiny):
    done: list[tuple[int, int]] = []

    def note(*numbers: int) -> None:
        done.append((numbers[0], numbers[1]))

    compress(IMAGES, tmp_path / "x.aez", codec=codec, chunk_images=15, progress=note)
    assert done == [(15, 40), (30, 40), (40, 40)]
    done.clear()
    verify(tmp_path / "x.aez", full=True, model=tiny, progress=note)
    assert done == [(15, 40), (30, 40), (40, 40)]


# ---------------------------------------------------------------- outputs


def test_existing_output_is_kept(tmp_path, codec, tiny):
    target = tmp_path / "x.aez"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"x\.aez: exists"):
        compress(IMAGES, target, codec=codec)
    assert target.read_bytes() == b"old"
    compress(IMAGES, target, codec=codec, force=True)
    (tmp_path / "x.npy").write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"x\.npy: exists"):
        decompress(target, tmp_path / "x.npy", model=tiny)
    assert (tmp_path / "x.npy").read_bytes() == b"old"


def test_failing_input_leaves_no_output(tmp_path, codec):
    path = tmp_path / "cut.npy"
    np.save(path, IMAGES)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut"):
        compress(path, tmp_path / "x.aez", codec=codec, chunk_images=8)
    assert os.listdir(tmp_path) == ["cut.npy"]


def test_disappearing_input_leaves_no_output(tmp_path, codec):
    folder = write_set("folder", tmp_path, IMAGES[:20])

    def remove_one(done: int, total: int) -> None:
        (folder / "cell 019.png").unlink(missing_ok=True)

    with pytest.raises(FileNotFoundError, match=r"cell 019\.png"):
        compress(folder, tmp_path / "x.aez", codec=codec, chunk_images=8, progress=remove_one)
    assert os.listdir(tmp_path) == ["set"]


def test_missing_input(tmp_path, codec):
    with pytest.raises(FileNotFoundError, match="nothing"):
        compress(tmp_path / "nothing", tmp_path / "x.aez", codec=codec)
    assert os.listdir(tmp_path) == []


@full_disk
def test_full_disk(codec):
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OSError, match="No space left on device"),
    ):
        compress(IMAGES, full, codec=codec)


def test_disk_filling_up_leaves_the_old_output(tmp_path, codec):
    target = tmp_path / "x.aez"
    target.write_bytes(b"old")

    def fill_up(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        compress(IMAGES, target, codec=codec, force=True, progress=fill_up)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.aez"]


def test_damaged_file_leaves_no_output(tmp_path, codec, tiny):
    blob = bytearray(encode(IMAGES, codec=codec, chunk_images=8))
    blob[len(blob) // 2] ^= 1
    with pytest.raises(AezCorruptError, match="chunk"):
        decompress(bytes(blob), tmp_path / "x.npy", model=tiny)
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize("full", [False, True])
def test_verify(codec, tiny, full):
    blob = encode(IMAGES, codec=codec, chunk_images=8)
    assert verify(blob, full=full, model=tiny) == 40


@pytest.mark.parametrize("full", [False, True])
def test_verify_finds_a_flipped_payload_byte(codec, tiny, full):
    blob = encode(IMAGES, codec=codec, chunk_images=8)
    with Archive(blob, codec=codec) as archive:
        data = archive.reader.read_chunk(3).sub_payloads[0].data
    damaged = bytearray(blob)
    damaged[blob.index(data) + len(data) // 2] ^= 0x20
    with pytest.raises(AezCorruptError, match="chunk 3"):
        verify(bytes(damaged), full=full, model=tiny)


@pytest.mark.usefixtures("no_models")
def test_checksums_need_no_model(codec):
    blob = encode(IMAGES, codec=codec)
    assert verify(blob) == 40
    with pytest.raises(ModelMissingError, match=r"'tiny', which is not here: .*; or give it as"):
        verify(blob, full=True)


def test_full_verification_finds_wrong_pixels(codec, tiny, monkeypatch):
    """All checksums right, and yet other pixels: what --full is for."""
    assemble = ChunkPlan.chunk

    def lie(self):
        return replace(assemble(self), pixels_sha256=bytes(32))

    monkeypatch.setattr(ChunkPlan, "chunk", lie)
    blob = encode(IMAGES, codec=codec)
    assert verify(blob) == 40
    with pytest.raises(AezCorruptError, match="chunk 0: decoded pixels have sha256"):
        verify(blob, full=True, model=tiny)


def test_verification_against_the_originals(codec, tiny):
    blob = encode(IMAGES, codec=codec, chunk_images=16)
    assert verify(blob, against=IMAGES, model=tiny) == 40
    other = IMAGES.copy()
    other[20, 0, 0] ^= 0xFF
    with pytest.raises(AezCorruptError, match="chunk 1: against the original its max error and"):
        verify(blob, against=other, model=tiny)
    for wrong in (IMAGES[:39], np.concatenate([IMAGES, IMAGES[:1]]), IMAGES[:16]):
        with pytest.raises(ValueError, match="40 images, the set to compare with has another"):
            verify(blob, against=wrong, model=tiny)
    with pytest.raises(ValueError, match=r"its images are \(8, 8, 1\), those to compare with"):
        verify(blob, against=np.zeros((40, 9, 8), np.uint8), model=tiny)


@pytest.mark.parametrize(
    ("archive", "kind", "out"),
    [
        ("a/x.aez", "npy", "a/x.npy"),
        ("x.npy.aez", "npy", "x.npy"),
        ("x-ubyte.gz.aez", "idx.gz", "x-ubyte.gz"),
        ("x-ubyte.aez", "idx", "x-ubyte"),
        ("x.aez", "folder", "x"),
        ("x.bin", "npz", "x.bin.out.npz"),
    ],
)
def test_default_output(archive, kind, out):
    assert default_output(archive, kind) == Path(out)


def test_the_name_of_the_output_tells_its_kind(tmp_path, codec, tiny):
    blob = encode(IMAGES, codec=codec)
    for name, kind in (("a.npz", "npz"), ("a.idx", "idx"), ("a.gz", "idx.gz"), ("a", "npy")):
        assert decompress(blob, tmp_path / name, model=tiny).kind == kind
    with pytest.raises(TypeError, match="without a target the source must be a path or URL"):
        decompress(blob, model=tiny)


def test_a_folder_never_goes_into_a_file_object(tmp_path, codec, tiny):
    compress(write_set("folder", tmp_path, IMAGES), tmp_path / "x.aez", codec=codec)
    out = io.BytesIO()
    done = decompress(tmp_path / "x.aez", out, model=tiny)
    assert (done.output, done.kind, done.left_out) == (None, "npy", ["names"])
    with pytest.raises(TypeError, match="a folder of pictures needs a path"):
        decompress(tmp_path / "x.aez", io.BytesIO(), kind="folder", model=tiny)
