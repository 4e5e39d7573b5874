"""One open archive in threads, forked and spawned processes, and the file that changes under it."""

from __future__ import annotations

import asyncio
import copy
import gzip
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import aecodec
from aecodec.archive import array
from aecodec.archive.array import Archive
from aecodec.codec.codec import Codec
from aecodec.demo import load_sample
from aecodec.limits import Limits

COUNT = 300
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 9, 9), dtype=np.uint8)
BLOB = aecodec.encode(IMAGES, model="none", chunk_images=7, labels=list(range(COUNT)))
ASKED = np.random.default_rng(1).integers(0, COUNT, 400).tolist()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.aez"
    path.write_bytes(BLOB)
    return path


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "gzip", "url"])
def test_threads(path, tmp_path, kind):
    if kind == "url":
        pytest.importorskip("fsspec", reason="fsspec is not installed")
    (tmp_path / "x.aez.gz").write_bytes(gzip.compress(BLOB, 1))
    with open(path, "rb") as file, gzip.open(tmp_path / "x.aez.gz") as unpacked:
        sources = {"path": path, "bytes": BLOB, "file": file, "gzip": unpacked}
        source = f"file://{path}" if kind == "url" else sources[kind]
        with Archive(source) as archive, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(archive.__getitem__, ASKED))
            labels = list(pool.map(lambda _: archive.labels.tolist(), range(4)))
    np.testing.assert_array_equal(found, IMAGES[ASKED])
    assert labels == [list(range(COUNT))] * 4


@pytest.mark.parametrize("target", [{"quality": 5}, {"lossless": True}], ids=["latents", "pixels"])
def test_threads_decode_with_a_model(target, monkeypatch):
    """The images of one thread, and the model is looked for once."""
    images = load_sample()[:40]
    blob = aecodec.encode(images, model="fashion", chunk_images=10, **target)
    expected = aecodec.decode(blob)
    found = []
    find = array.FileParts.find_codec
    monkeypatch.setattr(array.FileParts, "find_codec", lambda *a: found.append(1) or find(*a))
    asked = np.random.default_rng(2).integers(0, 40, 60).tolist()
    with Archive(blob) as archive, ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(archive.__getitem__, asked))
    np.testing.assert_array_equal(decoded, expected[asked])
    assert found == [1]


def test_asyncio(path):
    async def read(archive):
        return await asyncio.gather(
            *(asyncio.to_thread(archive.__getitem__, index) for index in ASKED[:60])
        )

    with Archive(path) as archive:
        np.testing.assert_array_equal(asyncio.run(read(archive)), IMAGES[ASKED[:60]])


# ---------------------------------------------------------------- processes

SHARED = {}  # what forked children have of their parent


def take_shared(index):
    return SHARED["archive"][index]


def take(archive, index):
    return archive[index]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("kind", ["path", "bytes", "file", "url"])
def test_forked_processes(path, kind):
    if kind == "url":
        pytest.importorskip("fsspec", reason="fsspec is not installed")
    with open(path, "rb") as file:
        source = {"path": path, "bytes": BLOB, "file": file, "url": f"file://{path}"}[kind]
        with Archive(source) as archive:
            SHARED["archive"] = archive
            _ = archive[0]
            with multiprocessing.get_context("fork").Pool(3) as pool:
                found = pool.map(take_shared, ASKED, chunksize=1)
            np.testing.assert_array_equal(found, IMAGES[ASKED])
            np.testing.assert_array_equal(archive[5], IMAGES[5])


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes(path, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    with Archive(path) as archive, multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.starmap(take, [(archive, index) for index in ASKED[:5]])
    np.testing.assert_array_equal(found, IMAGES[ASKED[:5]])


def test_pickled(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    limits = Limits(max_decoded_nbytes=1000)
    for source in ("x.aez", path, BLOB, bytearray(BLOB), memoryview(BLOB)):
        with Archive(source, limits=limits) as archive:
            data = pickle.dumps(archive)
            monkeypatch.chdir("/")
            again, copied = pickle.loads(data), copy.copy(archive)
            monkeypatch.chdir(path.parent)
        assert again.name == archive.name
        assert again.limits == limits
        np.testing.assert_array_equal(again[3:8], IMAGES[3:8])  # the first one is closed
        np.testing.assert_array_equal(copied[8], IMAGES[8])
        again.close()
        with pytest.raises(ValueError, match="closed"):
            again[9]


def test_pickled_with_the_model_that_was_given(tiny, no_models):
    blob = aecodec.encode(IMAGES[:, :8, :8], codec=Codec(tiny))
    expected = aecodec.decode(blob, model=tiny)
    for options in ({"model": tiny}, {"codec": Codec(tiny)}):
        with Archive(blob, **options) as archive:
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(archive))[:5], expected[:5])


def test_not_pickled(path):
    message = "a file object does not pickle"
    with (
        open(path, "rb") as file,
        Archive(file) as archive,
        pytest.raises(TypeError, match=message),
    ):
        pickle.dumps(archive)
    with Archive(path) as archive:
        pass
    with pytest.raises(ValueError, match="the archive is closed"):
        pickle.dumps(archive)


# ---------------------------------------------------------------- a file that changes

OTHERS = {
    "other images": aecodec.encode(
        IMAGES[::-1], model="none", chunk_images=7, labels=list(range(COUNT))
    ),
    "other labels": aecodec.encode(
        IMAGES, model="none", chunk_images=7, labels=list(range(COUNT))[::-1]
    ),
    "fewer images": aecodec.encode(IMAGES[:9], model="none", chunk_images=7),
    "no images": b"something else",
    "nothing": b"",
}


def touch(path):
    """Another time of change, whatever the clock of the file system."""
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def read_or_notice(read):
    """What is read, None where the file was noticed to be another one."""
    try:
        return read()
    except aecodec.AezChangedError as error:
        return None if "was overwritten after it was opened" in str(error) else str(error)


@pytest.mark.parametrize("other", OTHERS)
def test_overwritten_in_place(path, other):
    """Whatever is still read is of the file that was opened."""
    with Archive(path) as archive:
        path.write_bytes(OTHERS[other])
        touch(path)
        chunks = range(0, COUNT, 7)
        found = {i: read_or_notice(lambda i=i: archive[i]) for i in chunks}
        kept = [i for i in chunks if found[i] is not None]
        assert all(np.array_equal(found[i], IMAGES[i]) for i in kept)
        labels = read_or_notice(lambda: archive.labels.tolist())
        assert labels in (None, list(range(COUNT)))
    if other == "other labels":
        assert labels is None
    elif other == "fewer images":
        assert len(kept) <= 1
    else:
        assert not kept


def test_damage_is_not_a_change(path):
    data = bytearray(BLOB)
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with Archive(path) as archive, pytest.raises(aecodec.AezCorruptError):
        _ = archive[:]


@pytest.mark.parametrize("other", OTHERS)
def test_replaced(path, other):
    """An open archive goes on with the file it has; a copy of it says what it finds."""
    with Archive(path) as archive:
        data = pickle.dumps(archive)
        new = path.with_name("new")
        new.write_bytes(OTHERS[other])
        os.replace(new, path)
        np.testing.assert_array_equal(archive[:], IMAGES)
        assert archive.labels.tolist() == list(range(COUNT))
        with pytest.raises(aecodec.AezChangedError, match="another file is here"):
            pickle.loads(data)


def test_the_same_file_again_is_no_change(path):
    with Archive(path) as archive:
        data = pickle.dumps(archive)
        path.unlink()
        path.write_bytes(BLOB)
        touch(path)
        np.testing.assert_array_equal(pickle.loads(data)[:], IMAGES)


def test_every_section_tells_files_apart(path):
    blobs = [BLOB, *list(OTHERS.values())[:3]]
    blobs.append(aecodec.encode(IMAGES, model="none", chunk_images=7, about={"title": "x"}))
    identities = set()
    for blob in blobs:
        with Archive(blob) as archive:
            identities.add(archive.reader.identity)
    assert len(identities) == len(blobs)
