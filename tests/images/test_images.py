import gzip
import hashlib
import io
import os
import struct
import sys
import threading
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from aecodec import images
from aecodec.images import ImageSetError, detect_kind, open_images, open_sink

STREAM_KINDS = ("idx", "idx.gz", "npy", "npz")
SHAPES = [(7, 5, 6), (7, 5, 6, 1), (7, 5, 6, 2), (7, 5, 6, 3), (7, 5, 6, 4)]


class Pipe(io.RawIOBase):
    """Bytes that can only be read on, or only be written, a few at a time."""

    def __init__(self, data=None):
        super().__init__()
        self._data = None if data is None else io.BytesIO(data)
        self.written = bytearray()

    def readable(self):
        return self._data is not None

    def writable(self):
        return self._data is None

    def readinto(self, buffer):
        return self._data.readinto(memoryview(buffer)[:1000])

    def write(self, data):
        self.written += bytes(data)
        return memoryview(data).nbytes


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_set(target, x, kind, **options):
    options = {"has_channel_axis": x.ndim == 4, "image_count": len(x)} | options
    batches = x.reshape(*x.shape[:3], -1) if x.size else x.reshape(*x.shape[:3], 1)
    with open_sink(target, kind, batches.shape[1:], **options) as sink:
        for start in range(0, len(x), 3):
            sink.write(batches[start : start + 3])


def packed(x, kind):
    target = io.BytesIO()
    write_set(target, x, kind)
    return target.getvalue()


def read_set(source, batch_images=3):
    with open_images(source) as opened:
        batches = list(opened.batches(batch_images))
        for batch in batches:
            assert batch.dtype == np.uint8
            assert batch.flags.c_contiguous
            assert batch.shape[1:] == opened.shape
        assert all(len(batch) == batch_images for batch in batches[:-1])
        shape = opened.shape if opened.has_channel_axis else opened.shape[:2]
        return np.concatenate([np.zeros((0, *opened.shape), np.uint8), *batches]).reshape(
            opened.image_count, *shape
        )


def npy_bytes(x, **options):
    target = io.BytesIO()
    np.lib.format.write_array(target, x, **options)
    return target.getvalue()


def npz_bytes(**arrays):
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


def idx_bytes(dims, data, dtype_code=8):
    return struct.pack(f">BBBB{len(dims)}I", 0, 0, dtype_code, len(dims), *dims) + data


def png_bytes(width, height, depth, colour, rows):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


def save_pictures(folder, x, names=None):
    folder.mkdir(exist_ok=True)
    for i, one in enumerate(x):
        Image.fromarray(one).save(folder / (names[i] if names else f"{i}.png"))
    return folder


# --- Round trips ---


@pytest.mark.parametrize("kind", STREAM_KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip_by_path(tmp_path, kind, shape):
    x = random_images(*shape)
    write_set(tmp_path / "set", x, kind)
    with open_images(str(tmp_path / "set")) as opened:
        assert (opened.kind, opened.image_count, opened.names) == (kind, 7, None)
    assert np.array_equal(read_set(tmp_path / "set"), x)


@pytest.mark.parametrize("kind", STREAM_KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip_through_pipes(kind, shape):
    x = random_images(*shape)
    target = Pipe()
    write_set(target, x, kind)
    assert np.array_equal(read_set(Pipe(bytes(target.written))), x)


@pytest.mark.parametrize("kind", STREAM_KINDS)
@pytest.mark.parametrize("shape", [(0, 5, 6), (0, 5, 6, 1)])
def test_no_images_are_a_set(kind, shape):
    data = packed(np.zeros(shape, np.uint8), kind)
    assert read_set(io.BytesIO(data)).shape == shape
    assert read_set(Pipe(data)).shape == shape


@pytest.mark.parametrize("batch_images", [1, 2, 7, 8, 10**12])
@pytest.mark.parametrize("kind", [*STREAM_KINDS, "array"])
def test_batch_sizes(kind, batch_images):
    x = random_images(7, 5, 6)
    source = x if kind == "array" else io.BytesIO(packed(x, kind))
    assert np.array_equal(read_set(source, batch_images), x)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 2), (5, 6, 3), (5, 6, 4)])
def test_folder_round_trip(tmp_path, shape):
    x = random_images(7, *shape)
    (tmp_path / "out").mkdir()
    write_set(tmp_path / "out", x, "folder")
    assert sorted(os.listdir(tmp_path / "out")) == [f"{i:06}.png" for i in range(7)]
    with open_images(tmp_path / "out") as opened:
        assert (opened.kind, opened.image_count, opened.shape[:2]) == ("folder", 7, (5, 6))
        assert opened.has_channel_axis == (len(shape) == 3)
    assert np.array_equal(read_set(tmp_path / "out"), x)


def test_array_is_not_copied():
    x = random_images(7, 5, 6)
    with open_images(x) as opened:
        assert opened.kind == "array"
        assert all(np.shares_memory(batch, x) for batch in opened.batches(3))


def test_array_of_any_order_comes_in_c_order():
    x = np.asfortranarray(random_images(7, 5, 6, 3))[::2]
    assert np.array_equal(read_set(x), x)


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_a_set_is_read_twice_but_not_from_a_pipe(kind):
    x = random_images(7, 5, 6)
    with open_images(io.BytesIO(packed(x, kind))) as opened:
        assert len(list(opened.batches(3))) == len(list(opened.batches(3))) == 3
    if kind == "npz":
        return  # its pipe was copied to the disk
    with open_images(Pipe(packed(x, kind))) as opened:
        list(opened.batches(3))
        with pytest.raises(ValueError, match="a pipe can be read only once"):
            next(opened.batches(3))


def test_file_object_is_read_from_where_it_stands_and_left_open():
    x = random_images(7, 5, 6)
    for kind in ("idx", "idx.gz", "npy"):
        file = io.BytesIO(b"before" + packed(x, kind))
        file.seek(6)
        assert np.array_equal(read_set(file), x)
        assert not file.closed


@pytest.mark.skipif(sys.platform == "win32", reason="no os.mkfifo")
def test_named_pipe(tmp_path):
    x = random_images(7, 5, 6)
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(
        target=(tmp_path / "fifo").write_bytes, args=(packed(x, "npy"),), daemon=True
    )
    writer.start()
    assert np.array_equal(read_set(tmp_path / "fifo"), x)
    writer.join()


# --- Bytes as other programs write and read them ---


def test_idx_literal_bytes():
    data = b"\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\3abcdef"
    x = read_set(io.BytesIO(data))
    assert x.tolist() == [[[97, 98, 99]], [[100, 101, 102]]]
    assert packed(x, "idx") == data
    assert packed(x[..., None], "idx") == b"\0\0\x08\x04" + data[4:16] + b"\0\0\0\1abcdef"
    assert gzip.decompress(packed(x, "idx.gz")) == data


def test_npy_is_what_numpy_saves():
    for shape in SHAPES:
        x = random_images(*shape)
        assert packed(x, "npy") == npy_bytes(x)


def test_npz_is_loaded_by_numpy():
    x = random_images(7, 5, 6)
    with np.load(io.BytesIO(packed(x, "npz")), allow_pickle=False) as loaded:
        assert loaded.files == ["images"]
        assert np.array_equal(loaded["images"], x)


def test_gzip_and_zip_bytes_do_not_depend_on_time_or_name(tmp_path, monkeypatch):
    x = random_images(7, 5, 6)
    for kind in ("idx.gz", "npz"):
        write_set(tmp_path / "first", x, kind)
        monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
        write_set(tmp_path / "second", x, kind)
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert packed(x, "idx.gz")[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # no name, no time


def test_npz_bytes_are_pinned():
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    digest = hashlib.sha256(packed(x, "npz")).hexdigest()
    assert digest == "6aefda2be9d364d9fab2a216de264d5c30dd9c900f0a54750a732eece220bb91"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(version):
    x = random_images(7, 5, 6)
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (7, 5, 6), }\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    data = b"\x93NUMPY" + bytes(version) + length + header + x.tobytes()
    assert np.array_equal(read_set(Pipe(data)), x)


def test_compressed_npz_and_other_names():
    x = random_images(7, 5, 6)
    target = io.BytesIO()
    np.savez_compressed(target, x)
    assert np.array_equal(read_set(Pipe(target.getvalue())), x)
    labels = np.arange(7, dtype=np.uint8)
    assert np.array_equal(read_set(io.BytesIO(npz_bytes(x=x, y=x[:, :2]))), x)
    assert np.array_equal(read_set(io.BytesIO(npz_bytes(digits=x, labels=labels))), x)


def test_fortran_order_npy(tmp_path):
    x = random_images(7, 5, 6, 3)
    data = npy_bytes(np.asfortranarray(x))
    (tmp_path / "f.npy").write_bytes(data)
    assert np.array_equal(read_set(tmp_path / "f.npy"), x)
    for stream in (Pipe(data), io.BytesIO(data), io.BytesIO(npz_bytes(x=np.asfortranarray(x)))):
        with pytest.raises(ImageSetError, match="Fortran order cannot be streamed"):
            open_images(stream)
    for damaged, found in ((data[:-1], len(data) - 1), (data + b"x", len(data) + 1)):
        (tmp_path / "f.npy").write_bytes(damaged)
        with pytest.raises(ImageSetError, match=f"expected {len(data)} bytes .*, found {found}"):
            open_images(tmp_path / "f.npy")


# --- Memory ---


def peak_nbytes_of_reading(source, batch_images):
    tracemalloc.start()
    try:
        with open_images(source) as opened:
            count = sum(len(batch) for batch in opened.batches(batch_images))
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fortran_order", [False, True])
def test_large_npy_is_read_in_bounded_memory(tmp_path, fortran_order):
    path = tmp_path / "large.npy"
    # In Fortran order each batch touches the whole mapped file: a smaller one will do
    shape, batch_images = ((8, 1024, 1024), 4) if fortran_order else ((200, 1024, 1024), 10)
    header = {"descr": "|u1", "fortran_order": fortran_order, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + shape[0] * 1024 * 1024)  # sparse
    count, peak_nbytes = peak_nbytes_of_reading(path, batch_images)
    assert count == shape[0]
    assert peak_nbytes < (2.5 * batch_images + 4) * 1024 * 1024


def test_compressed_sets_are_read_in_bounded_memory():
    x = np.zeros((64, 1024, 1024), np.uint8)
    npz = io.BytesIO()
    np.savez_compressed(npz, x)
    for data in (npz.getvalue(), packed(x, "idx.gz")):
        count, peak_nbytes = peak_nbytes_of_reading(Pipe(data), 4)
        assert count == 64
        assert peak_nbytes < 16 * 1024 * 1024


def test_a_size_that_lies_allocates_nothing():
    data = idx_bytes((2**32 - 1, 2**32 - 1, 2**32 - 1), b"few")
    tracemalloc.start()
    try:
        with pytest.raises(ImageSetError, match="found 3, cut short"):
            read_set(io.BytesIO(data), 1000)
        peak_nbytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_nbytes < 4 * images.READ_NBYTES


# --- What is refused ---


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "an empty file, expected an IDX file"),
        (b"hello, world", "not an image set, it starts with b'hello, world', expected an IDX"),
        (b"\x89AEZ\r\n\x1a\n", "an .aez file, already compressed"),
        (b"\x89PNG\r\n\x1a\n", "a single PNG picture .give the folder that holds it"),
        (b"\xff\xd8\xff\xe0", "a single JPEG picture"),
        (b"GIF89a", "a single GIF picture"),
        (b"P5 3 4 255\n", "a single PGM picture"),
        (b"RIFF\0\0\0\0WEBP", "a single WebP picture"),
        (b"RIFF\0\0\0\0WAVE", "not an image set"),
        (b"BMW is not a bitmap", "not an image set"),
        (b"\0\0\0\x20ftypavif", "not an image set"),
    ],
)
def test_what_is_no_set_is_named(head, message):
    with pytest.raises(ImageSetError, match=f"digits: {message}"):
        detect_kind(head, "digits")
    with pytest.raises(ImageSetError, match=f"stream: {message}"):
        open_images(Pipe(head))


def test_what_is_no_source_is_a_type_error():
    with pytest.raises(TypeError, match="expected a path, a binary file or an array, found"):
        open_images([1, 2, 3])


def test_missing_path():
    with pytest.raises(FileNotFoundError, match="absent"):
        open_images("absent.npy")


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: io.BytesIO(npy_bytes(x))])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 4, 4), np.float32), r"dtype float32, expected uint8; .* \(images \* 255\)"),
        (
            np.zeros((2, 4, 4), np.uint16),
            r"dtype uint16, expected uint8; .* images.astype\(",
        ),
        (np.full((2, 4, 4), 0.5), r"its values are 0\.5 to 0\.5: \(images \* 255\)\.round\(\)"),
        (np.full((2, 4, 4), 200.0), r"its values are 200 to 200: images\.astype\(np\.uint8\)$"),
        (
            np.full((2, 4, 4), 99.5),
            r"99\.5 to 99\.5, not whole: images\.round\(\)\.astype\(",
        ),
        (np.full((2, 4, 4), 4095, np.int32), "4095 to 4095, expected at most 255: scale or clip"),
        (np.full((2, 4, 4), -1.0), "-1 to -1, and negative values are no gray levels"),
        (np.full((2, 4, 4), -1, np.int16), "-1 to -1, and negative values are no gray levels"),
        (np.full((2, 4, 4), np.nan), "it holds NaN or infinity"),
        (np.full((2, 4, 4), np.inf, np.float16), "it holds NaN or infinity"),
        (np.zeros((0, 4, 4), np.float64), "for values from 0 to 1"),
        (np.zeros((2, 4, 4), complex), "expected whole numbers from 0 to 255"),
        (np.zeros((2, 4, 4), bool), r"dtype bool, expected uint8; .* \* 255"),
        (np.zeros((60, 784), np.uint8), r"shape \(60, 784\), expected \(N, H, W\).*; reshape"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), r"shape \(2, 2, 2, 2, 2\), expected \(N, H, W\)"),
        (np.zeros((2, 0, 4), np.uint8), r"shape \(2, 0, 4\), expected sides of at least 1"),
        (np.zeros((2, 4, 0), np.uint8), r"shape \(2, 4, 0\), expected sides of at least 1"),
        (np.zeros((2, 4, 4, 0), np.uint8), "0 channels in .*, expected 1 to 4$"),
        (np.zeros((2, 3, 32, 32), np.uint8), "32 channels in .*; move the channels to the end"),
    ],
)
def test_wrong_arrays(x, wrap, message):
    with pytest.raises(ImageSetError, match=message):
        open_images(wrap(x))


def objects(*items) -> np.ndarray:
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([np.zeros((4, 4), np.uint8)] * 2, r"expected uint8; np\.stack\(images\)$"),
        ([np.zeros((4, 4))] * 2, r"np\.stack\(images\) first, then: .*0 to 0: \(images \* 255"),
        (
            [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)],
            r"2 shapes, \(4, 4\) and \(4, 5\)",
        ),
        ([np.zeros((4, 4), np.uint8), None], "it holds a NoneType, expected an array"),
        ([objects(1)], "are of dtype object themselves"),
        ([], r"for uint8 images of one shape: np\.stack\(images\)"),
    ],
)
def test_arrays_of_objects(items, message):
    with pytest.raises(ImageSetError, match=message):
        open_images(objects(*items))


@pytest.mark.parametrize("batch_images", [0, -1])
def test_batches_of_nothing(batch_images):
    with pytest.raises(ValueError, match=f"batch_images is {batch_images}, expected at least 1"):
        open_images(random_images(2, 3, 4)).batches(batch_images)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx_bytes((5,), bytes(5)), r"IDX of 1 dimension \(labels\?.*\), expected images"),
        (idx_bytes((5, 4), bytes(20)), r"found shape \(5, 4\), expected \(N, H, W\)"),
        (idx_bytes((5, 4, 0), b""), r"found shape \(5, 4, 0\), expected sides"),
        (idx_bytes((5, 4, 4), bytes(80), 9), "found dtype int8, expected uint8"),
        (idx_bytes((5, 4, 4), bytes(160), 0x0B), "found dtype int16, expected uint8"),
        (idx_bytes((5, 4, 4), bytes(320), 0x0D), "found dtype float32, expected uint8"),
        (idx_bytes((5, 4, 4), b"")[:14], "the IDX header is cut after 14 bytes"),
        (gzip.compress(b"hello", mtime=0), "holds no IDX file, it starts with b'hell'"),
        (gzip.compress(b"", mtime=0), "holds no IDX file, it starts with b''"),
    ],
)
def test_wrong_idx(data, message):
    with pytest.raises(ImageSetError, match=message):
        open_images(Pipe(data))


@pytest.mark.parametrize("kind", ["idx", "npy"])
def test_cut_and_long_files(kind):
    data = packed(random_images(7, 5, 6), kind)
    with pytest.raises(ImageSetError, match="expected 210 bytes of pixels, found 209, cut short"):
        read_set(io.BytesIO(data[:-1]))
    with pytest.raises(ImageSetError, match="expected 210 bytes of pixels, found 212 or more"):
        read_set(io.BytesIO(data + b"xx"))
    none = packed(np.zeros((0, 5, 6), np.uint8), kind)
    with pytest.raises(ImageSetError, match="expected 0 bytes of pixels, found 1 or more"):
        read_set(io.BytesIO(none + b"x"))


def test_the_last_batch_comes_only_after_the_end_was_checked():
    with open_images(io.BytesIO(packed(random_images(7, 5, 6), "idx") + b"x")) as opened:
        batches = opened.batches(7)
        with pytest.raises(ImageSetError, match="found 211 or more"):
            next(batches)


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_every_cut_is_refused(kind):
    data = packed(random_images(2, 3, 4), kind)
    for nbytes in range(len(data)):
        for wrap in (io.BytesIO, Pipe):
            with pytest.raises(ImageSetError, match="stream: "):
                read_set(wrap(data[:nbytes]))


@pytest.mark.parametrize("kind", ["idx.gz", "npz"])
def test_no_flipped_bit_passes_unseen(kind):
    x = random_images(2, 3, 4)
    data = packed(x, kind)
    for i in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[i // 8] ^= 1 << i % 8
        try:
            read = read_set(io.BytesIO(damaged))
        except ImageSetError:
            continue
        assert np.array_equal(read, x)  # a flip in a date, say


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x93NUMPY\x01\0\x02\0{}", "the .npy header is damaged"),
        (b"\x93NUMPY\x01\0\x03\0(((", "the .npy header is damaged"),
        (b"\x93NUMPY\x09\0\x03\0(((", r"\.npy version \(9, 0\), expected 1.0, 2.0 or 3.0"),
        (npy_bytes(np.array([None] * 3), allow_pickle=True), "found dtype object, expected uint8"),
    ],
)
def test_wrong_npy(data, message):
    with pytest.raises(ImageSetError, match=message):
        open_images(Pipe(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npz_bytes(), "found no array"),
        (npz_bytes(a=np.zeros((2, 3, 4), np.uint8), b=np.zeros((2, 3, 4), np.uint8)),
         r"2 arrays can be the images; .* holds a uint8\(2, 3, 4\); b uint8\(2, 3, 4\)"),
        (npz_bytes(a=np.zeros((2, 3, 4))), "a.npy: found dtype float64, expected uint8"),
        (npz_bytes(a=np.zeros((2, 3))), r"expected an array of images, .* found a float64\(2, 3\)"),
        (npz_bytes(x=np.zeros((2, 3, 4)), y=np.zeros((2, 3, 4), np.uint8)),
         r"the array 'x' is float64\(2, 3, 4\), expected uint8 images; name one after a colon"),
        (b"PK\x03\x04 and no more", "damaged, File is not a zip file"),
    ],
)  # fmt: skip
def test_wrong_npz(data, message):
    with pytest.raises(ImageSetError, match=message):
        open_images(Pipe(data))


def test_encrypted_npz():
    data = bytearray(npz_bytes(x=np.zeros((2, 3, 4), np.uint8)))
    for signature, flag_offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flag_offset] |= 1
    with pytest.raises(ImageSetError, match="encrypted"):
        open_images(io.BytesIO(data))


def test_damaged_npz_member():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("x.npy", npy_bytes(random_images(2, 3, 4)))
    data = bytearray(target.getvalue())
    data[data.index(b"PK\x01\x02") - 1] ^= 1  # the last pixel
    with pytest.raises(ImageSetError, match="damaged, Bad CRC-32"):
        read_set(io.BytesIO(data))


# --- Folders ---


def test_natural_order(tmp_path):
    names = ["img10.png", "img2.PNG", "img1.png", "b.png", "a.png", "img02.png", "7.png"]
    folder = save_pictures(tmp_path / "in", random_images(7, 3, 4), names)
    with open_images(folder) as opened:
        expected = ("7.png", "a.png", "b.png", "img1.png", "img02.png", "img2.PNG", "img10.png")
        assert opened.names == expected


def test_other_entries_are_ignored_and_counted(tmp_path):
    folder = save_pictures(tmp_path / "in", random_images(2, 3, 4))
    (folder / "notes.txt").write_text("hello")
    (folder / "._0.png").write_text("a resource fork")
    (folder / "more.png").mkdir()
    with open_images(folder) as opened:
        assert opened.names == ("0.png", "1.png")
        assert sorted(opened.skipped) == [
            ("._0.png", "hidden"),
            ("notes.txt", "not the name of a picture"),
        ]


def test_empty_folder_is_an_input_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no pictures among 1 entries.* \.bmp .* \.webp"):
        open_images(tmp_path)


@pytest.mark.parametrize("suffix", [s for s in images.PICTURE_SUFFIXES if s != ".ppm"])
def test_gray_pictures_of_every_suffix(tmp_path, suffix):
    x = np.full((2, 8, 8), 77, np.uint8)
    folder = save_pictures(tmp_path / "in", x, [f"0{suffix}", f"1{suffix.upper()}"])
    read = read_set(folder)
    if suffix in (".webp", ".gif"):  # WebP has no gray, GIF has palettes
        read = read[..., 0]
    assert np.array_equal(read, x)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P1\n2 1\n1 0\n", [0, 255]),
        (b"P2\n2 1\n255\n7 8\n", [7, 8]),
        (b"P4\n2 1\n\x80", [0, 255]),
        (b"P5\n2 1\n15\n\x0f\0", [255, 0]),
    ],
)
def test_netpbm_pictures(tmp_path, data, expected):
    (tmp_path / "a.pgm").write_bytes(data)
    assert read_set(tmp_path).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("1", 1, [255]),
        ("L", 7, [7]),
        ("LA", (7, 8), [7, 8]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 4), [1, 2, 3, 4]),
    ],
)
def test_picture_modes(tmp_path, mode, pixel, expected):
    Image.new(mode, (4, 3), pixel).save(tmp_path / "a.png")
    with open_images(tmp_path) as opened:
        assert opened.shape == (3, 4, len(expected))
        assert opened.has_channel_axis == (len(expected) > 1)
        (batch,) = opened.batches(10)
    assert (batch == expected).all()


@pytest.mark.parametrize("alpha", [None, 0])
def test_palette_pictures(tmp_path, alpha):
    picture = Image.new("P", (4, 3), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.save(tmp_path / "a.png", **({} if alpha is None else {"transparency": 1}))
    (batch,) = open_images(tmp_path).batches(1)
    assert batch[0, 0, 0].tolist() == [10, 20, 30] + ([] if alpha is None else [alpha])


def test_a_transparent_colour_is_kept(tmp_path):
    Image.new("RGB", (4, 3), (1, 2, 3)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    (batch,) = open_images(tmp_path).batches(1)
    assert batch[0, 0, 0].tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", png_bytes(2, 1, 16, 0, bytes(5))),  # gray
        ("a.png", png_bytes(2, 1, 16, 2, bytes(13))),  # RGB, which Pillow would narrow
        ("a.png", png_bytes(2, 1, 16, 4, bytes(9))),  # gray and alpha
        ("a.png", png_bytes(2, 1, 16, 6, bytes(17))),  # RGBA
        ("a.pgm", b"P5 2 1 65535\n" + bytes(4)),
        ("a.ppm", b"P6 2 1 65535\n" + bytes(12)),
    ],
)
def test_16_bit_pictures_are_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageSetError, match=rf"{name}: more than 8 bits .*16-bit.*, expected 8"):
        open_images(tmp_path)


def test_float_and_cmyk_pictures_are_refused(tmp_path):
    Image.new("F", (4, 3)).save(tmp_path / "a.tif")
    with pytest.raises(ImageSetError, match=r"a\.tif: more than 8 bits"):
        open_images(tmp_path)
    Image.new("CMYK", (4, 3)).save(tmp_path / "a.tif")
    with pytest.raises(ImageSetError, match=r"a\.tif: mode CMYK, expected one of L, LA"):
        open_images(tmp_path)


def test_animations_are_refused(tmp_path):
    frames = [Image.new("L", (4, 3), i) for i in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageSetError, match=r"a\.gif: 3 frames, expected one"):
        open_images(tmp_path)


def test_pictures_that_differ_are_skipped(tmp_path):
    save_pictures(tmp_path, np.zeros((3, 3, 4), np.uint8))
    Image.new("L", (5, 3)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 3), "red").save(tmp_path / "b.png")
    with open_images(tmp_path) as opened:
        assert opened.shape == (3, 4, 1)
        assert sum(map(len, opened.batches(2))) == opened.image_count == 3
        assert opened.names == ("0.png", "1.png", "2.png")
        assert opened.skipped == (
            ("a.png", "shape (H, W, C) is (3, 5, 1), that of most is (3, 4, 1)"),
            ("b.png", "shape (H, W, C) is (3, 4, 3), that of most is (3, 4, 1)"),
        )


def test_most_pictures_decide_the_shape_not_the_first(tmp_path):
    save_pictures(tmp_path, np.zeros((3, 3, 4), np.uint8), ["b.png", "c.png", "d.png"])
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with open_images(tmp_path) as opened:
        assert opened.shape == (3, 4, 1)


def test_damaged_pictures_are_skipped_and_named(tmp_path):
    x = random_images(3, 30, 40)
    save_pictures(tmp_path, x)
    data = (tmp_path / "1.png").read_bytes()
    for nbytes in (0, 4, 20, 40, 200, len(data) - 40):
        (tmp_path / "1.png").write_bytes(data[:nbytes])
        with open_images(tmp_path) as opened:
            batches = list(opened.batches(2))
            assert [len(batch) for batch in batches] == [2]
            assert np.array_equal(batches[0][..., 0], x[[0, 2]])
            assert opened.names == ("0.png", "2.png")
            ((name, reason),) = opened.skipped
            assert name == "1.png"
            assert reason.startswith("cannot be decoded as a picture")


def test_nothing_but_damaged_pictures_is_an_error(tmp_path):
    (tmp_path / "1.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageSetError, match=r"1\.png: cannot be decoded as a picture"):
        open_images(tmp_path)


def test_a_picture_that_vanishes_is_an_input_error(tmp_path):
    save_pictures(tmp_path, random_images(2, 3, 4))
    with open_images(tmp_path) as opened:
        (tmp_path / "1.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"1\.png"):
            list(opened.batches(1))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("limit", "message"), [(11, "Pillow's limit, 11"), (5, "cannot be deco")])
def test_decompression_bombs_are_refused(tmp_path, monkeypatch, limit, message):
    save_pictures(tmp_path, random_images(1, 3, 4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageSetError, match=f"0.png: .*{message}"):
        open_images(tmp_path)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"reading .* needs Pillow: pip install aecodec\[png\]"):
        open_images(tmp_path)
    with pytest.raises(ImportError, match=r"writing .* needs Pillow: pip install aecodec\[png\]"):
        write_set(tmp_path, random_images(1, 3, 4), "folder")


# --- Sinks ---


def written_names(folder, names):
    folder.mkdir()
    write_set(folder, random_images(len(names), 3, 4), "folder", names=names)
    return sorted(set(os.listdir(folder)) - {"metadata.csv", "metadata.json"})


def test_picture_names(tmp_path):
    assert written_names(tmp_path / "a", ["b.JPEG", "a.png"]) == ["a.png", "b.png"]
    assert written_names(tmp_path / "b", ["v1.2", "x"]) == ["v1.2.png", "x.png"]
    assert written_names(tmp_path / "c", ["a.png", "a.jpg", "b.gif", "b.bmp", "c.PNG"]) == [
        "a.jpg.png",
        "a.png",
        "b.bmp",
        "b.png",
        "c.PNG",
    ]


def test_a_picture_is_never_written_over(tmp_path):
    (tmp_path / "000000.png").write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"000000\.png"):
        write_set(tmp_path, random_images(1, 3, 4), "folder")
    assert (tmp_path / "000000.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "tar"}, "kind is 'tar', expected one of idx, idx.gz, npy, npz, folder"),
        ({"shape": (3, 4, 3)}, "has 3 channels, they need has_channel_axis"),
        ({"shape": (3, 0, 1)}, "expected sides of at least 1"),
        ({"image_count": 1 << 32, "kind": "idx"}, r"IDX file holds sides below 2\*\*32"),
        ({"kind": "folder", "names": ["a"]}, "1 names, expected 2"),
    ],
)
def test_wrong_sinks(tmp_path, options, message):
    options = {"kind": "npy", "shape": (3, 4, 1), "image_count": 2} | options
    target = tmp_path if options["kind"] == "folder" else io.BytesIO()
    with pytest.raises(ValueError, match=message):
        open_sink(target, has_channel_axis=False, **options)


def test_folder_sink_needs_an_existing_folder(tmp_path):
    options = {"has_channel_axis": False, "image_count": 2}
    with pytest.raises(NotADirectoryError, match="absent: expected an existing folder"):
        open_sink(tmp_path / "absent", "folder", (3, 4, 1), **options)
    with pytest.raises(TypeError, match="needs a path, not a file object"):
        open_sink(io.BytesIO(), "folder", (3, 4, 1), **options)


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_wrong_batches(kind):
    sink = open_sink(io.BytesIO(), kind, (3, 4, 1), has_channel_axis=False, image_count=2)
    with pytest.raises(ValueError, match=r"batch has shape \(2, 3, 4\), expected \(n, 3, 4, 1\)"):
        sink.write(random_images(2, 3, 4))
    with pytest.raises(TypeError, match="batch has dtype float64, expected uint8"):
        sink.write(np.zeros((2, 3, 4, 1)))
    with pytest.raises(ValueError, match="3 images written, expected 2"):
        sink.write(random_images(3, 3, 4, 1))
    sink.write(random_images(1, 3, 4, 1))
    with pytest.raises(ValueError, match="1 images written, expected 2"):
        sink.close()


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_an_error_while_writing_is_the_one_seen(tmp_path, kind):
    def give_up():
        options = {"has_channel_axis": False, "image_count": 2}
        with open_sink(tmp_path / "out", kind, (3, 4, 1), **options):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        give_up()
