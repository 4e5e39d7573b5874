"""An archive as an array: whatever NumPy gives for the array of all images, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aecodec
from aecodec.archive.array import Archive
from aecodec.limits import Limits

COUNT = 23
COLOUR = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), dtype=np.uint8)
GRAY = COLOUR[..., 0]


@pytest.fixture(params=["gray", "colour"])
def images(request) -> np.ndarray:
    return GRAY if request.param == "gray" else COLOUR


@pytest.fixture
def archive(images):
    with Archive(aecodec.encode(images, model="none", chunk_images=4)) as archive:
        yield archive


def same(found, expected) -> None:
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


MASK = np.arange(COUNT) % 3 == 1
KEYS = [
    5,
    -1,
    np.int8(3),
    np.uint64(22),
    np.array(7),
    torch.tensor(4),
    slice(None),
    slice(19, 2, -5),
    slice(np.int64(2), 9),
    slice(9, 2),
    ...,
    (),
    [],
    [3, -1, 3],
    range(2, 9),
    np.array([5, 0, -23], np.int16),
    np.array([5, 0], ">i4"),
    np.array([], np.uint8),
    np.array([[1, 2, 3], [4, 5, -6]]),
    torch.tensor([2, 1]),
    MASK,
    MASK.tolist(),
    ~MASK & MASK,
    torch.from_numpy(MASK),
    (3, slice(None), slice(2, 5)),
    (slice(None, None, 2), 1),
    (..., 0),
    (..., slice(None), 0),
    (4, ...),
    (4, ..., 2),
    (4, ..., [2, 1], [0, 1]),
    (..., [2, 1], [0, 1], 0),
    (slice(2, 5), ..., 1, [0, 1]),
    (3, 2, 4),
    (-3, -2, -1),
    ([1, 5], slice(4, 8)),
    ([1, 5], [2, 3]),
    ([[1], [5]], [2, 3, 4]),
    ([1, 5], slice(None), [2, 3]),
    (5, slice(None), [2, 3]),
    (slice(3, 9), [2, 3], [0, 1]),
    (MASK, 2, slice(None, None, -1)),
    (slice(2, 4), np.array([1, 0, 1, 0, 1, 1], bool)),
    (np.array([1, 2]), ..., np.array([0, 1])),
    (..., [3, 1], slice(None)),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:40])
def test_keys(archive, images, key):
    theirs = key.numpy() if isinstance(key, torch.Tensor) else key
    same(archive[key], images[theirs])


def test_keys_at_random(archive, images):
    rng = np.random.default_rng(1)

    def part(size: int) -> object:
        start, stop = rng.integers(-size - 2, size + 3, 2)
        step = int(rng.choice([-3, -2, -1, 1, 2, 5]))
        return [
            int(rng.integers(-size, size)),
            slice(int(start), int(stop), step),
            slice(None),
            rng.integers(-size, size, 3),
            rng.integers(0, size, (2, 3)).astype(np.uint8),
            rng.integers(0, size, 3).tolist(),
        ][rng.integers(6)]

    for _ in range(400):
        axes = int(rng.integers(1, images.ndim + 1))
        key = [part(size) for size in images.shape[:axes]]
        if rng.integers(3) == 0:
            key.insert(int(rng.integers(len(key) + 1)), ...)
        key = tuple(key)
        try:
            expected = images[key]
        except IndexError:  # index arrays that do not go together
            with pytest.raises(IndexError):
                archive[key]
            continue
        same(archive[key], expected)


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        (23, IndexError, "image 23, the file holds 23"),
        (-24, IndexError, "image -24, the file holds 23"),
        (2**70, IndexError, "the file holds 23"),
        ([0, 23], IndexError, "image 23, the file holds 23"),
        ([0, -24], IndexError, "image -24, the file holds 23"),
        (np.array([2**64 - 1], np.uint64), IndexError, "image 18446744073709551615"),
        (np.ones(22, bool), IndexError, r"mask has shape \(22,\), expected \(23,\)"),
        (np.ones((23, 6), bool), IndexError, r"mask has shape \(23, 6\), expected \(23,\)"),
        ([True, False], IndexError, r"mask has shape \(2,\)"),
        ((0, 9), IndexError, "out of bounds"),
        ((0, 0, 0, 0, 0), IndexError, "names 5 axes, the images have [34]"),
        ((..., 0, ...), IndexError, "one `...` at most"),
        (True, TypeError, "found a single boolean"),
        (np.True_, TypeError, "found a single boolean"),
        (np.array(True), TypeError, "found a single boolean"),
        (torch.tensor(True), TypeError, "found a single boolean"),
        ((0, False), TypeError, "found a single boolean"),
        ([True, 2], TypeError, "found both"),
        (None, TypeError, "numpy.newaxis"),
        ((0, None), TypeError, "numpy.newaxis"),
        (1.0, TypeError, "found float"),
        (np.float32(1), TypeError, "found float32"),
        ([1.0, 2.0], TypeError, "found list"),
        (np.array([1.0]), TypeError, "found ndarray"),
        (np.array([]), TypeError, "found ndarray"),
        (slice(0.5, 2), TypeError, "slice indices must be integers"),
        ("1", TypeError, "found str"),
        ("label", TypeError, "found str"),
        (b"1", TypeError, "found bytes"),
        ({1, 2}, TypeError, "found set"),
        ([[1], [2, 3]], TypeError, "found list"),
        ([1, None], TypeError, "found list"),
        ([2**70], TypeError, "found list"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refused(archive, key, kind, message):
    with pytest.raises(kind, match=message):
        archive[key]


# ---------------------------------------------------------------- take


@pytest.mark.parametrize(
    "key", [[3, -1, 3], (0, 22), range(4), MASK, MASK.tolist(), [], slice(2, 9), np.uint8([5, 6])]
)
def test_take(archive, key):
    expected = archive[list(key) if isinstance(key, tuple) else key]
    same(archive.take(key), expected.reshape(len(expected), *archive.image_shape))


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ([0, 23], IndexError, "image 23, the file holds 23"),
        (np.ones(24, bool), IndexError, "mask has shape"),
        ([0.0, 1.9], TypeError, "found list"),
        (3, TypeError, "found int"),
        (None, TypeError, "found None"),
        ([[1, 2]], TypeError, r"shape \(1, 2\), expected \(n,\)"),
    ],
)
def test_take_refuses(archive, key, kind, message):
    with pytest.raises(kind, match=message):
        archive.take(key)


# ---------------------------------------------------------------- NumPy, torch, Dask


def test_facts_of_an_array(archive, images):
    for name in ("shape", "ndim", "size", "nbytes", "dtype"):
        assert getattr(archive, name) == getattr(images, name)
    assert len(archive) == len(images)
    assert archive.chunks == (4, *images.shape[1:])


def test_as_an_array(archive, images):
    same(np.asarray(archive), images)
    same(np.array(archive), images)
    same(np.asarray(archive, np.float32), images.astype(np.float32))
    same(archive.__array__(), images)  # NumPy 1 gives no argument, or a dtype
    same(archive.__array__(np.int16), images.astype(np.int16))
    with pytest.raises(ValueError, match="decoded into a new array"):
        archive.__array__(copy=False)
    assert np.mean(archive) == images.mean()
    assert (images == archive).all()
    same(np.stack(list(archive)), images)
    same(np.stack(list(reversed(archive))), images[::-1])
    np.asarray(archive)[:] = 0  # the caller's own
    same(np.asarray(archive), images)


def test_as_a_tensor(archive, images):
    same(torch.from_numpy(np.asarray(archive)).numpy(), images)
    same(torch.as_tensor(archive[2:7]).numpy(), images[2:7])


def test_no_images():
    with Archive(aecodec.encode(GRAY[:0], model="none")) as archive:
        same(np.asarray(archive), GRAY[:0])
        same(archive[[]], GRAY[:0])
        same(archive[..., 0], GRAY[:0, :, 0])
        assert archive.size == 0
        assert archive.chunks[0] == 1
        with pytest.raises(IndexError, match="image 0, the file holds 0"):
            archive[0]


def test_membership_is_refused(archive, images):
    with pytest.raises(TypeError, match=r"container|iterable"):
        _ = images[0] in archive


def test_the_limit_holds_for_every_key():
    blob = aecodec.encode(GRAY, model="none", chunk_images=4)
    with Archive(blob, limits=Limits(max_decoded_nbytes=5 * 30)) as archive:
        for key in (
            slice(5),
            [0] * 5,
            (slice(5), 0),
            MASK & (MASK.cumsum() < 6),
        ):
            assert archive[key].dtype == np.uint8
        for key in (slice(6), [0] * 6, (..., 0), ~MASK, np.zeros((2, 3), int)):
            with pytest.raises(aecodec.AezLimitError, match="max_decoded_nbytes allows 150"):
                archive[key]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask(images, tmp_path, scheduler):
    dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
    path = tmp_path / "x.aez"
    aecodec.compress(images, path, model="none", chunk_images=4)
    with aecodec.open(path) as archive:
        lazy = dask_array.from_array(archive)
        assert lazy.shape == images.shape
        assert lazy.dtype == np.uint8
        same(lazy.compute(scheduler=scheduler), images)
        again = dask_array.from_array(archive, chunks=archive.chunks)
        assert again.chunks[0] == (4, 4, 4, 4, 4, 3)
        same(again[3:20, ::2].compute(scheduler=scheduler), images[3:20, ::2])
        assert again.sum().compute(scheduler=scheduler) == images.sum()
        assert dask_array.from_array(archive).name == lazy.name  # one file, one name


def test_slices_as_dask_makes_them(archive, images):
    """What Dask asks of an array, without Dask."""
    block = (slice(2, 6, None), *(slice(0, size, None) for size in images.shape[1:]))
    same(np.asarray(archive[block]), images[block])
