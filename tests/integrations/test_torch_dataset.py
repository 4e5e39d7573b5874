"""The PyTorch data set: the same images by every road, and each chunk decoded once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset

import aecodec
from aecodec.archive.compress import encode
from aecodec.demo import load_sample
from aecodec.integrations import torch as integration
from aecodec.integrations.chunk_cache import Claim, DecodedChunk
from aecodec.integrations.torch import AezDataset, ChunkBatchSampler

COUNT, CHUNK = 50, 8
IMAGES = load_sample()[:COUNT]
IMAGES[11] = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
LABELS = np.arange(COUNT) % 7


@pytest.fixture(scope="module", params=["latents", "pixels"])
def path(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("torch") / f"{request.param}.aez"
    target = {"quality": 5} if request.param == "latents" else {"lossless": True}
    columns = {"who": [f"w{i}" for i in range(COUNT)]}
    blob = encode(
        IMAGES,
        model="fashion",
        chunk_images=CHUNK,
        labels=LABELS,
        columns=columns,
        **target,
    )
    path.write_bytes(blob)
    return path


@pytest.fixture
def whole(path) -> np.ndarray:
    with aecodec.open(path) as archive:
        return archive[:]


@pytest.fixture
def dataset(path):
    dataset = AezDataset(path)
    yield dataset
    dataset.close()


def pixels(image: torch.Tensor) -> np.ndarray:
    return image[0].numpy()


@pytest.fixture
def opened(monkeypatch) -> list[int]:
    """The numbers of the chunks that were opened, in order."""
    numbers: list[int] = []
    original = aecodec.Archive.open_chunks

    def spy(self, chunks):
        numbers.extend(chunks)
        return original(self, chunks)

    monkeypatch.setattr(aecodec.Archive, "open_chunks", spy)
    return numbers


# ---------------------------------------------------------------- items


def test_items(dataset, whole):
    assert len(dataset) == COUNT
    for index in (0, 7, 8, 49, -1, np.int64(11)):
        image, label = dataset[index]
        assert image.dtype == torch.uint8
        assert image.shape == (1, 28, 28)
        np.testing.assert_array_equal(pixels(image), whole[index])
        assert label == LABELS[index]
    for index in (50, -51):
        with pytest.raises(IndexError, match="the file holds 50"):
            dataset[index]


def test_batches_come_as_asked_for(dataset, whole):
    asked = [3, 49, 3, 12, -1, 0]
    items = dataset.__getitems__(asked)
    np.testing.assert_array_equal(np.stack([pixels(image) for image, _ in items]), whole[asked])
    assert [label for _, label in items] == LABELS[asked].tolist()
    assert dataset.__getitems__([]) == []


MASK = np.arange(COUNT) % 7 == 3


@pytest.mark.parametrize(
    "key",
    [
        [3, -1],
        slice(None, None, -9),
        slice(2, 4),
        MASK,
        MASK.tolist(),
        torch.from_numpy(MASK),
        torch.tensor([5, 1]),
        np.array([-50, 49], np.int8),
        np.array([7], np.uint64),
        range(4, 9),
        ...,
    ],
    ids=repr,
)
def test_several_items(dataset, whole, key):
    """A list of items, those that NumPy takes by the same key."""
    theirs = key.numpy() if isinstance(key, torch.Tensor) else key
    for items in (dataset[key], dataset.__getitems__(key)):
        assert isinstance(items, list)
        np.testing.assert_array_equal([pixels(image) for image, _ in items], whole[theirs])
        assert [label for _, label in items] == LABELS[theirs].tolist()


def test_a_batch_may_be_a_tuple(dataset, whole):
    items = dataset.__getitems__((4, 2))
    np.testing.assert_array_equal([pixels(image) for image, _ in items], whole[[4, 2]])


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ([0, 50], IndexError, "image 50, the file holds 50"),
        ([-51], IndexError, "image -51, the file holds 50"),
        (MASK[:-1], IndexError, r"mask has shape \(49,\), expected \(50,\)"),
        (np.array([2**63], np.uint64), IndexError, "the file holds 50"),
        (True, TypeError, "found a single boolean"),
        (1.0, TypeError, "found float"),
        ([0.5, 1.5], TypeError, "found list"),
        (torch.tensor([0.0]), TypeError, "found Tensor"),
        ("1", TypeError, "found str"),
        (None, TypeError, "found None"),
        ([[1, 2]], TypeError, r"shape \(1, 2\), expected \(n,\)"),
        ((1, 2), TypeError, "an item has one index"),
    ],
    ids=repr,
)
def test_refused_indices(dataset, key, kind, message):
    with pytest.raises(kind, match=message):
        dataset[key]
    if not isinstance(key, tuple | bool):
        with pytest.raises(kind, match=message):
            dataset.__getitems__(key)


def test_transforms(path, whole):
    dataset = AezDataset(path, transform=lambda x: x.float() / 255, target_transform=lambda y: -y)
    image, label = dataset[9]
    np.testing.assert_allclose(pixels(image), whole[9] / 255, rtol=1e-6)
    assert label == -LABELS[9]
    dataset.close()


def test_labels_by_choice(path):
    for wanted, expected in ((False, None), ("who", "w9"), (True, 2)):
        dataset = AezDataset(path, labels=wanted)
        item = dataset[9]
        assert isinstance(item, torch.Tensor) if expected is None else item[1] == expected
        dataset.close()
    with pytest.raises(ValueError, match="no column 'age', it has who, label"):
        AezDataset(path, labels="age")


def test_a_file_without_labels_gives_images(whole):
    dataset = AezDataset(encode(whole[:3], model="none"))
    assert dataset[2].shape == (1, 28, 28)
    assert dataset.labels is None
    dataset.close()


def test_a_file_object_cannot_be_shared(path):
    with open(path, "rb") as file, pytest.raises(TypeError, match="expected a path or bytes"):
        AezDataset(file)


# ---------------------------------------------------------------- cache


def test_chunks_are_decoded_once(dataset, opened):
    for _ in range(3):
        dataset.__getitems__(list(range(COUNT)))
    assert opened == list(range(7))


def test_cache_is_bounded(path, whole, opened):
    limit = 3 * CHUNK * 784
    dataset = AezDataset(path, cache_nbytes=limit)
    order = np.random.default_rng(0).permutation(COUNT)
    for index in order:
        np.testing.assert_array_equal(pixels(dataset[index][0]), whole[index])
        assert dataset._cache.nbytes <= limit
    assert 7 < len(opened) < COUNT
    dataset.close()


def test_without_a_cache(path, whole):
    dataset = AezDataset(path, cache_nbytes=0)
    for index in (0, 30, 0):
        np.testing.assert_array_equal(pixels(dataset[index][0]), whole[index])
    assert dataset._cache.nbytes == 0
    dataset.close()
    with pytest.raises(ValueError, match="cache_nbytes is -1"):
        AezDataset(path, cache_nbytes=-1)


def test_chunks_of_latents_are_decoded_as_far_as_asked_for(path, dataset):
    dataset.__getitems__([0, 3])
    chunk, _ = dataset._cache._chunks[0]
    if path.stem == "latents":
        assert chunk._left.tolist() == [False, True, True, False, True, True, True, True]
    dataset.__getitems__(list(range(CHUNK)))
    assert chunk._opened is None


def test_the_cache_keeps_a_running_sum(path, dataset, monkeypatch):
    """Each chunk is measured when it is put and when it is taken from, however many are kept."""
    measured = []
    nbytes = DecodedChunk.nbytes.fget
    monkeypatch.setattr(
        DecodedChunk, "nbytes", property(lambda chunk: measured.append(1) or nbytes(chunk))
    )
    for index in range(COUNT):
        _ = dataset[index]
    assert len(measured) <= COUNT + 1
    cache = dataset._cache
    assert cache.nbytes == sum(nbytes(chunk) for chunk, _ in cache._chunks.values()) > 0


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("cache_nbytes", [0, 2 * CHUNK * 784, 256 << 20])
def test_threads(path, whole, cache_nbytes):
    """The images of one thread, whatever the cache holds at that moment."""
    dataset = AezDataset(path, cache_nbytes=cache_nbytes)
    asked = np.random.default_rng(0).integers(0, COUNT, (80, 5))

    def is_right(indices):
        items = dataset.__getitems__(indices.tolist())
        images = [pixels(image) for image, _ in items]
        labels = [label for _, label in items]
        return np.array_equal(images, whole[indices]) and labels == LABELS[indices].tolist()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_right, asked))
    cache = dataset._cache
    assert cache.nbytes == sum(nbytes for _, nbytes in cache._chunks.values()) <= cache_nbytes
    assert not cache._claims
    dataset.close()


def test_threads_decode_a_chunk_once(dataset, whole, opened):
    with ThreadPoolExecutor(4) as pool:
        items = list(pool.map(dataset.__getitem__, [*range(COUNT)] * 2))
    np.testing.assert_array_equal([pixels(image) for image, _ in items], [*whole, *whole])
    assert sorted(opened) == list(range(7))


def test_a_chunk_that_cannot_be_decoded_keeps_no_thread_waiting(whole, monkeypatch):
    """One thread fails while another one waits for its chunk; that one tries by itself."""
    dataset = AezDataset(encode(whole, model="none", chunk_images=CHUNK))
    begun, awaited = threading.Event(), threading.Event()
    open_chunks, result = aecodec.Archive.open_chunks, Claim.result

    def failing(self, numbers):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            awaited.wait(60)
            raise aecodec.AezCorruptError("damaged on the way")
        yield from open_chunks(self, numbers)

    def waiting(self):
        awaited.set()
        return result(self)

    monkeypatch.setattr(aecodec.Archive, "open_chunks", failing)
    monkeypatch.setattr(Claim, "result", waiting)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(dataset.__getitem__, 3)
        begun.wait(60)
        np.testing.assert_array_equal(pixels(dataset[3]), whole[3])
        with pytest.raises(aecodec.AezCorruptError, match="damaged on the way"):
            other.result()
    assert awaited.is_set()
    dataset.close()


# ---------------------------------------------------------------- another file at the path


def write(path, order, labels):
    images = np.stack([np.full((8, 8), i, np.uint8) for i in order])
    aecodec.compress(images, path, model="none", chunk_images=4, labels=labels, force=True)


@pytest.fixture
def gray(tmp_path):
    """A file whose images have the gray of their labels."""
    write(tmp_path / "x.aez", range(20), list(range(20)))
    return tmp_path / "x.aez"


def overwrite(path, *others):
    new = path.with_name("new.aez")
    write(new, *others)
    path.write_bytes(new.read_bytes())
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("change", [write, overwrite])
@pytest.mark.parametrize("opened_before", [False, True])
@pytest.mark.parametrize(
    "others",
    [
        (range(19, -1, -1), list(range(19, -1, -1))),
        (range(20), list(range(19, -1, -1))),
        (range(10), list(range(10))),
    ],
)
def test_another_file_is_noticed(gray, change, opened_before, others):
    dataset = AezDataset(gray)
    if opened_before:
        assert int(dataset[7][0].max()) == dataset[7][1] == 7
    data = pickle.dumps(dataset)
    change(gray, *others)
    for touched in (dataset, pickle.loads(data), copy(dataset)):
        for _ in range(2):
            with pytest.raises(aecodec.AezChangedError, match="another file is here"):
                touched[7]
        touched.close()
    assert len(AezDataset(gray)) == len(others[1])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_notice_another_file(gray, method):
    if method not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    dataset = AezDataset(gray)
    write(gray, range(19, -1, -1), list(range(19, -1, -1)))
    loader = DataLoader(dataset, 4, num_workers=1, multiprocessing_context=method)
    with pytest.raises(aecodec.AezChangedError, match="another file is here"):
        next(iter(loader))


def test_something_else_at_the_path(gray):
    dataset = AezDataset(gray)
    gray.write_bytes(b"not an archive" * 20)
    with pytest.raises(aecodec.AezChangedError, match=r"another file is here.*not an .aez file"):
        dataset[0]


def test_the_same_file_again_is_taken(gray, monkeypatch):
    dataset, data = AezDataset(str(gray)), gray.read_bytes()
    assert dataset[5][1] == 5
    gray.unlink()
    assert dataset[6][1] == int(dataset[6][0].max()) == 6  # what is open stays so
    gray.write_bytes(data)
    monkeypatch.chdir(gray.parent.parent)
    assert dataset[12][1] == int(dataset[12][0].max()) == 12
    dataset.close()


def test_a_relative_path_stays_the_same_file(gray, monkeypatch):
    monkeypatch.chdir(gray.parent)
    dataset = AezDataset("x.aez")
    monkeypatch.chdir("/")
    assert dataset[12][1] == int(dataset[12][0].max()) == 12
    dataset.close()


# ---------------------------------------------------------------- processes


def test_pickled(dataset, whole):
    dataset.__getitems__(list(range(COUNT)))
    data = pickle.dumps(dataset)
    assert len(data) < 4000  # nothing that was decoded
    again = pickle.loads(data)
    np.testing.assert_array_equal(pixels(again[20][0]), whole[20])
    again.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(path, whole, method):
    if method not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    dataset = AezDataset(path)
    _ = dataset[0]  # the file is open, and the networks are built, before the fork
    loader = DataLoader(
        dataset, 16, num_workers=2, multiprocessing_context=method, persistent_workers=True
    )
    for _ in range(2):
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        np.testing.assert_array_equal(images[:, 0].numpy(), whole)
        np.testing.assert_array_equal(labels.numpy(), LABELS)
    dataset.close()


def test_subsets_and_plain_samplers(dataset, whole):
    part = Subset(dataset, [40, 4, 44])
    images, _ = next(iter(DataLoader(part, 3)))
    np.testing.assert_array_equal(images[:, 0].numpy(), whole[[40, 4, 44]])
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(0))
    seen = torch.cat([labels for _, labels in DataLoader(dataset, 7, sampler=sampler)])
    assert sorted(seen.tolist()) == sorted(LABELS.tolist())


# ---------------------------------------------------------------- the sampler


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 20])
@pytest.mark.parametrize("batch_size", [1, 6, 50, 64])
@pytest.mark.parametrize("window", [1, 16, None])
def test_every_image_once(dataset, workers, batch_size, window):
    sampler = ChunkBatchSampler(dataset, batch_size, workers=workers, window_images=window)
    for _ in range(3):
        expected = len(sampler)
        batches = list(sampler)
        assert len(batches) == expected == len(sampler)
        assert sorted(i for batch in batches for i in batch) == list(range(COUNT))
        assert max(map(len, batches)) <= batch_size


def test_dropping_the_last(dataset):
    sampler = ChunkBatchSampler(dataset, 6, drop_last=True)
    assert [len(batch) for batch in sampler] == [6] * 8 == [6] * len(sampler)
    assert len(ChunkBatchSampler(dataset, 51, drop_last=True)) == 0


def test_epochs_differ_and_can_be_fixed(dataset):
    sampler = ChunkBatchSampler(dataset, 6, seed=3)
    first, second = list(sampler), list(sampler)
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(ChunkBatchSampler(dataset, 6, seed=4)) != first
    in_order = list(ChunkBatchSampler(dataset, 6, shuffle=False, workers=2))
    assert [i for batch in in_order for i in batch] == list(range(COUNT))


def test_images_are_mixed_within_and_between_chunks(dataset):
    sampler = ChunkBatchSampler(dataset, 16, window_images=32)
    first = next(iter(sampler))
    assert len({index // CHUNK for index in first}) > 2
    assert np.any(np.diff(first) < 0)


@pytest.mark.parametrize("workers", [2, 3])
def test_no_chunk_goes_to_two_workers(dataset, workers):
    sampler = ChunkBatchSampler(dataset, 4, workers=workers, window_images=8)
    chunks: list[set[int]] = [set() for _ in range(workers)]
    for _ in range(4):  # in every epoch the same ones; batches at the end of longer streams aside
        for k, batch in enumerate(list(sampler)[: 3 * workers]):
            chunks[k % workers] |= {index // CHUNK for index in batch}
    for i in range(workers):
        for j in range(i):
            assert not chunks[i] & chunks[j]


def test_few_chunks_are_shared_by_images(whole):
    dataset = AezDataset(encode(whole, model="none", chunk_images=COUNT))
    sampler = ChunkBatchSampler(dataset, 4, workers=2)
    images: list[set[int]] = [set(), set()]
    for _ in range(4):
        for k, batch in enumerate(list(sampler)[:12]):
            images[k % 2] |= set(batch)
    assert not images[0] & images[1]
    assert len(images[0] | images[1]) == COUNT
    dataset.close()


def test_a_small_cache_is_enough_for_the_sampler(path, opened):
    limit = 3 * CHUNK * 784 * 2  # of the seven chunks
    dataset = AezDataset(path, cache_nbytes=limit)
    loader = DataLoader(dataset, batch_sampler=ChunkBatchSampler(dataset, 8, window_images=16))
    assert sum(len(images) for images, _ in loader) == COUNT
    assert sorted(opened) == list(range(7))
    dataset.close()


def test_wrong_batch_size(dataset):
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        ChunkBatchSampler(dataset, 0)


# ---------------------------------------------------------------- the rest


def test_the_package_does_not_import_it():
    code = "import sys, aecodec.cli; print('aecodec.integrations.torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
    assert integration.CACHE_NBYTES == 256 << 20


def test_the_example_learns(path, tmp_path, capsys):
    import runpy

    example = Path(__file__).parents[2] / "examples" / "train_classifier.py"
    main = runpy.run_path(str(example))["main"]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    images = rng.integers(0, 60, (400, 8, 8), np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 3] += 150
    for name, rows in (("a", slice(300)), ("b", slice(300, None))):
        aecodec.compress(images[rows], tmp_path / f"{name}.aez", model="none", labels=labels[rows])
    accuracy = main([str(tmp_path / "a.aez"), str(tmp_path / "b.aez"), "--epochs", "6"])
    assert accuracy > 0.9
    assert "accuracy" in capsys.readouterr().out
