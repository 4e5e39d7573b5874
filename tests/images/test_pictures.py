"""Pictures as their viewers show them, and folders that hold more than sound pictures."""

import os
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import aecodec
from aecodec.images import ImageSetError, open_images

posix_only = pytest.mark.skipif(os.name == "nt", reason="links, named pipes and permissions")
CORNER = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def read(folder):
    with open_images(folder) as opened:
        batches = list(opened.batches(100))
        return np.concatenate(batches), opened


def save(path, pixels=CORNER, **options):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


# ---------------------------------------------------------------- turned


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


TURNS = {  # to be seen, the stored pixels are
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.swapaxes(x, 0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
    8: lambda x: np.rot90(x, 1),
}
FORMATS = [
    ("png", {}),
    ("tif", {}),
    ("tif", {"compression": "tiff_lzw"}),
    ("tif", {"compression": "tiff_adobe_deflate"}),
    ("webp", {"lossless": True}),
]


@pytest.mark.parametrize(("suffix", "options"), FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, suffix, options, orientation):
    colours = np.stack([CORNER, CORNER + 1, CORNER + 2], axis=2)
    name = f"a.{suffix}"
    save(tmp_path / "in" / name, colours, exif=exif_of(orientation), **options)
    found, opened = read(tmp_path / "in")
    np.testing.assert_array_equal(found[0], TURNS[orientation](colours))
    turned = [f"1 picture turned upright, as EXIF says: {name}"]
    assert [note.text for note in opened.notes] == (turned if orientation > 1 else [])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_jpeg_is_applied(tmp_path, orientation):
    big = np.repeat(np.repeat(CORNER, 8, axis=0), 8, axis=1)
    save(tmp_path / "in" / "a.jpg", big, exif=exif_of(orientation), quality=95)
    with Image.open(tmp_path / "in" / "a.jpg") as picture:
        stored = np.atleast_3d(np.asarray(picture))
    np.testing.assert_array_equal(read(tmp_path / "in")[0][0], TURNS[orientation](stored))


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b""])
def test_damaged_exif_is_passed_over(tmp_path, exif):
    save(tmp_path / "in" / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "in")[0][0, ..., 0], CORNER)


def test_an_orientation_out_of_range_is_passed_over(tmp_path):
    save(tmp_path / "in" / "a.png", exif=exif_of(99))
    np.testing.assert_array_equal(read(tmp_path / "in")[0][0, ..., 0], CORNER)


# ---------------------------------------------------------------- colours


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(path, kind, data):
    """The PNG with one more chunk after its header."""
    png = path.read_bytes()
    path.write_bytes(png[:33] + chunk(kind, data) + png[33:])


def notes_of(folder):
    return [(note.text, note.is_loss) for note in read(folder)[1].notes]


def test_a_colour_profile_is_told(tmp_path):
    cms = pytest.importorskip("PIL.ImageCms")
    srgb = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    colours = np.zeros((3, 4, 3), np.uint8)
    save(tmp_path / "in" / "a.png", colours, icc_profile=srgb)
    assert notes_of(tmp_path / "in") == []
    other = cms.ImageCmsProfile(cms.createProfile("LAB")).tobytes()
    for name in "bcde":
        save(tmp_path / "in" / f"{name}.png", colours, icc_profile=other)
    text = "4 pictures with a colour profile, which is not kept: b.png, c.png, d.png, ..."
    assert notes_of(tmp_path / "in") == [(text, True)]


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (b"gAMA", struct.pack(">I", 45455), []),
        (b"gAMA", struct.pack(">I", 100000), ["gamma"]),
        (b"sRGB", b"\0", []),
        (b"cHRM", struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]), []),
        (
            b"cHRM",
            struct.pack(">8I", *[31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]),
            ["c"],
        ),
    ],
)
def test_gamma_and_primaries_are_told(tmp_path, kind, data, told):
    save(tmp_path / "in" / "a.png")
    with_chunk(tmp_path / "in" / "a.png", kind, data)
    notes = [text for text, _ in notes_of(tmp_path / "in")]
    assert len(notes) == len(told)
    for text, word in zip(notes, told, strict=True):
        assert text.startswith(f"1 picture with a {word}")


def test_the_summary_lists_what_is_different(tmp_path):
    save(tmp_path / "in" / "a.png", exif=exif_of(3))
    summary = aecodec.compress(tmp_path / "in", tmp_path / "x.aez", model="none")
    assert summary.notes == ("1 picture turned upright, as EXIF says: a.png",)


# ---------------------------------------------------------------- what is skipped, with the reason


def save_float(path):
    Image.fromarray(np.zeros((3, 4), np.float32)).save(path)


def save_16_bit(path):
    Image.fromarray(np.zeros((3, 4), np.uint16)).save(path)


def save_cmyk(path):
    Image.new("CMYK", (4, 3)).save(path)


def save_frames(path):
    frames = [Image.new("L", (4, 3), i * 50) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


def save_premultiplied(path):
    Image.new("RGBA", (4, 3), (10, 20, 30, 100)).save(path)
    tag = struct.pack("<HHI", 338, 3, 1)
    data = path.read_bytes()
    assert data.count(tag) == 1
    path.write_bytes(data.replace(tag + b"\2", tag + b"\1"))


def save_signed(path):
    Image.new("L", (4, 3), 200).save(path, tiffinfo={339: 2})


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("x.tif", save_float, "more than 8 bits per sample"),
        ("x.png", save_16_bit, "more than 8 bits per sample"),
        ("x.jpg", save_cmyk, "mode CMYK, expected one of"),
        ("x.tif", save_cmyk, "mode CMYK, expected one of"),
        ("x.gif", save_frames, "3 frames, expected one picture"),
        ("x.png", save_frames, "3 frames, expected one picture"),
        ("x.tif", save_frames, "3 frames, expected one picture"),
        ("x.webp", save_frames, "3 frames, expected one picture"),
        ("x.tif", save_premultiplied, "multiplied by the transparency"),
        ("x.tif", save_signed, "samples have signs"),
        ("x.jxl", lambda path: path.touch(), "a picture of a kind that is not read"),
    ],
)
def test_what_cannot_be_kept_is_skipped_and_told(tmp_path, name, write, reason):
    save(tmp_path / "in" / "a.png")
    write(tmp_path / "in" / name)
    found, opened = read(tmp_path / "in")
    assert len(found) == 1
    ((skipped, told),) = opened.skipped
    assert skipped == name
    assert reason in told
    assert opened.skipped[0].is_loss


def test_white_as_zero_is_shown_as_white(tmp_path):
    save(tmp_path / "in" / "a.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "in" / "a.tif") as picture:
        expected = np.asarray(picture)
    np.testing.assert_array_equal(read(tmp_path / "in")[0][0, ..., 0], expected)


# ---------------------------------------------------------------- channels


def as_mode(pixels, mode):
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grays_stored_as_colours_are_grays_among_grays(tmp_path, mode):
    for i in range(3):
        save(tmp_path / "in" / f"{i}.png", CORNER + i)
    as_mode(CORNER, mode).save(tmp_path / "in" / "x.png")
    found, opened = read(tmp_path / "in")
    assert found.shape == (4, 3, 4, 1)
    np.testing.assert_array_equal(found[3, ..., 0], CORNER)
    assert not opened.skipped
    assert [note.text for note in opened.notes] == [
        "1 picture stored with other channels and taken with 1, without loss: x.png"
    ]


def test_a_mixed_set_of_grays_is_gray_whichever_are_more(tmp_path):
    for i in range(5):
        as_mode(CORNER + i, "RGB" if i < 4 else "L").save(tmp_path / f"{i}.png")
    found, _ = read(tmp_path)
    assert found.shape == (5, 3, 4, 1)
    for i in range(5):
        np.testing.assert_array_equal(found[i, ..., 0], CORNER + i)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L"])
def test_a_set_whose_pictures_are_alike_stays_as_it_is(tmp_path, mode):
    for i in range(3):
        as_mode(CORNER + i, mode).save(tmp_path / f"{i}.png")
    found, opened = read(tmp_path)
    assert found.shape[3] == len(mode)
    assert not opened.notes


def test_grays_among_colours_become_colours(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 3), np.uint8)
    for i, one in enumerate(colours):
        save(tmp_path / "in" / f"{i}.png", one)
    save(tmp_path / "in" / "gray.png", CORNER)
    as_mode(CORNER, "RGBA").save(tmp_path / "in" / "opaque.png")
    found, opened = read(tmp_path / "in")
    np.testing.assert_array_equal(found[:3], colours)
    for one in found[3:]:
        np.testing.assert_array_equal(one, np.stack([CORNER] * 3, axis=2))
    assert not opened.skipped


def test_what_would_lose_colour_or_transparency_is_skipped(tmp_path):
    for i in range(3):
        save(tmp_path / "in" / f"{i}.png", CORNER + i)
    nearly = np.stack([CORNER] * 3, axis=2)
    nearly[2, 3, 2] += 1
    save(tmp_path / "in" / "colour.png", nearly)
    clear = np.stack([CORNER, np.full_like(CORNER, 255)], axis=2)
    clear[0, 0, 1] = 254
    save(tmp_path / "in" / "clear.png", clear)
    found, opened = read(tmp_path / "in")
    assert len(found) == 3
    assert [name for name, _ in opened.skipped] == ["clear.png", "colour.png"]


def test_folded_pictures_come_back_as_they_are_seen(tmp_path):
    for i in range(3):
        save(tmp_path / "in" / f"{i}.png", CORNER + i)
    as_mode(CORNER, "RGB").save(tmp_path / "in" / "x.bmp")
    aecodec.compress(tmp_path / "in", tmp_path / "x.aez", model="none")
    aecodec.decompress(tmp_path / "x.aez", tmp_path / "out")
    for name in os.listdir(tmp_path / "in"):
        with Image.open(tmp_path / "in" / name) as a, Image.open(tmp_path / "out" / name) as b:
            np.testing.assert_array_equal(
                np.asarray(a.convert("RGB")), np.asarray(b.convert("RGB"))
            )


# ---------------------------------------------------------------- entries of folders


@posix_only
def test_bad_entries_are_skipped_and_told(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    save(folder / "a.png")
    save(folder / "z.png")
    monkeypatch.chdir(folder)
    os.symlink("loop.png", "loop.png")
    os.symlink("first", "second")
    os.symlink("second", "first")
    os.symlink("nowhere.png", "dangling.png")
    os.symlink("nowhere", "metadata.csv")
    os.symlink(".", "here")
    os.mkfifo("pipe.png")
    os.mkdir("folder.png")
    os.mkdir(".hidden")
    (folder / "notes.txt").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        found, opened = read(folder)
    assert len(found) == 2
    assert {
        name: (reason, entry.is_loss) for entry in opened.skipped for name, reason in [entry]
    } == {
        "loop.png": ("a circular link", False),
        "first": ("a circular link", False),
        "second": ("a circular link", False),
        "dangling.png": ("a link to nothing", False),
        "metadata.csv": ("a link to nothing", False),
        "here": ("a symbolic link to a folder", True),
        "pipe.png": ("not a file", False),
        "socket.png": ("not a file", False),
        ".hidden": ("hidden", False),
        "notes.txt": ("not the name of a picture", False),
    }


@posix_only
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_may_not_be_read_is_skipped(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "b.png").chmod(0)
    (tmp_path / "in" / "closed").mkdir(mode=0)
    found, opened = read(tmp_path / "in")
    assert len(found) == 1
    assert dict(opened.skipped) == {
        "closed": "a folder that cannot be read, Permission denied",
        "b.png": "cannot be read, Permission denied",
    }


def test_what_the_system_refuses_to_open_is_skipped(tmp_path, monkeypatch):
    """As above, also for root: the system is made to refuse."""
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "closed").mkdir()
    scandir = os.scandir

    def refusing_scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    def refusing_open(path, *rest):
        if str(path).endswith("b.png"):
            raise PermissionError(13, "Permission denied", path)
        return open(path, *rest)

    monkeypatch.setattr(os, "scandir", refusing_scandir)
    monkeypatch.setattr("aecodec.images.folders.open", refusing_open, raising=False)
    found, opened = read(tmp_path / "in")
    assert len(found) == 1
    assert dict(opened.skipped) == {
        "closed": "a folder that cannot be read, Permission denied",
        "b.png": "cannot be read, Permission denied",
    }


# ---------------------------------------------------------------- strict


def test_strict_takes_everything_or_nothing(tmp_path):
    save(tmp_path / "in" / "a.png")
    target = tmp_path / "x.aez"
    options = {"model": "none", "strict": True}
    assert aecodec.compress(tmp_path / "in", target, **options).images == 1
    target.unlink()
    (tmp_path / "in" / "notes.txt").touch()
    with pytest.raises(ImageSetError, match=r"would be skipped: notes.txt \(not the name of"):
        aecodec.compress(tmp_path / "in", target, **options)
    (tmp_path / "in" / "notes.txt").unlink()
    save(tmp_path / "in" / "z.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(ImageSetError, match=r"would be skipped: z.png \(shape .*strict=True"):
        aecodec.compress(tmp_path / "in", target, **options)
    assert os.listdir(tmp_path) == ["in"]


def test_strict_writes_nothing_to_a_pipe_either(tmp_path):
    for i in range(20):
        save(tmp_path / "in" / f"{i:02}.png")
    save(tmp_path / "in" / "z.png", np.zeros((9, 9), np.uint8))
    with open(tmp_path / "x.aez", "wb") as file:
        with pytest.raises(ImageSetError, match="would be skipped"):
            aecodec.compress(tmp_path / "in", file, model="none", chunk_images=4, strict=True)
        assert file.tell() == 0


def test_strict_minds_arrays_of_an_npz(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3, 4), np.uint8), odd=np.zeros((5, 5)))
    with pytest.raises(ImageSetError, match=r"would be skipped: odd"):
        aecodec.compress(tmp_path / "x.npz", tmp_path / "x.aez", model="none", strict=True)


def test_text_chunks_do_not_matter(tmp_path):
    info = PngInfo()
    info.add_text("Comment", "hello")
    save(tmp_path / "in" / "a.png", pnginfo=info)
    assert notes_of(tmp_path / "in") == []
