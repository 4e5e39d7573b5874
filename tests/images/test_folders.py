"""Folders that are written from names of strangers, and read again."""

import errno
import io
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec.annotations.annotations import annotate
from aecodec.archive.array import Archive
from aecodec.cli import main
from aecodec.container import Section, Writer
from aecodec.errors import ImageSetError
from aecodec.images import folders, open_images, open_sink

NONE = {"model": "none"}
STRANGE = [
    "...", "..", "", "../up.png", "/etc/root.png", "a\\b.png", "a\0b.png", "\ud800.png", "con.png",
    "dot.", "a:b.png", "twice.png", "twice.png", "Twice.png", "é.png", "e\u0301.png",
    "\u202etxt.png", "metadata.csv/x.png", "metadata.csv", "p.png", "p.png/q.png",
    "d/" * 1000 + "deep.png",
    "b" * 300 + ".png", "n" * 100_000, ".hidden.png", ".git/x.png", "plain.png", "photo.jpg", "~",
]  # fmt: skip


def images_of(count):
    numbers = np.arange(count, dtype=np.uint8)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(numbers, (count, 3, 4)))


def named(*names, **options) -> bytes:
    """A file whose images have these names."""
    section = Section("NAME", required=False, payload=zlib.compress(json.dumps(names).encode()))
    out = io.BytesIO()
    with Archive(aecodec.encode(images_of(len(names)), **NONE, **options)) as archive:
        sections = [archive.reader.read_section(entry, 1 << 20) for entry in ()]
        writer = Writer(out, archive.reader.header, [section, *sections])
        writer.write_chunk(archive.reader.read_chunk(0))
        writer.close()
    return out.getvalue()


def tree_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_images_are_had_whatever_their_names():
    done = aecodec.decompress(named(*STRANGE), "out", kind="folder")
    assert (done.images, done.left_out, done.whole) == (len(STRANGE), [], True)
    (note,) = done.notes
    assert note.startswith("22 pictures have another name than in the file, as not every")
    assert note.endswith(": ___.png for ..., __.png for .., _.png for , ...")
    assert os.listdir() == ["out"]
    assert {"plain.png", "photo.png", "twice.png", "~.png"} < set(tree_of("out"))
    with open_images("out") as opened:
        (found,) = opened.batches(100)
        assert opened.skipped == ()
        originals = opened.annotations.column("original_name").values
    np.testing.assert_array_equal(found[..., 0], images_of(len(STRANGE)))
    for name in ("...", "../up.png", "con.png", "a:b.png", "e\u0301.png"):
        assert originals[STRANGE.index(name)] == name
    assert originals[STRANGE.index("a\0b.png")] == "a\\x00b.png"
    assert originals[STRANGE.index("\ud800.png")] == "\\ud800.png"
    assert originals[STRANGE.index("n" * 100_000)] == "n" * 1024 + "..."
    assert originals[STRANGE.index("plain.png")] == ""


def test_such_a_folder_is_packed_and_unpacked_again():
    aecodec.decompress(named(*STRANGE), "out", kind="folder")
    summary = aecodec.compress("out", "again.aez", **NONE)
    assert (summary.images, summary.skipped) == (len(STRANGE), ())
    assert aecodec.decompress("again.aez", "out2").notes == ()
    assert tree_of("out2") == tree_of("out")
    for table in ("metadata.csv", "metadata.json"):
        assert Path("out2", table).read_bytes() == Path("out", table).read_bytes()


def test_the_column_of_old_names_makes_room():
    columns = {"original_name": ["x", "y"], "file_name": [1, 2], "file_name_2": [3, 4]}
    options = {"has_channel_axis": False, "image_count": 2, "names": ["a", ".."]}
    os.mkdir("out")
    with open_sink(
        "out", "folder", (3, 4, 1), annotations=annotate(None, columns), **options
    ) as sink:
        sink.write(images_of(2)[..., None])
    assert len(sink.notes) == 2
    assert sink.notes[1].startswith("column file_name is called file_name_3, as its own name has")
    assert Path("out/metadata.csv").read_text() == (
        "file_name,original_name_2,original_name,file_name_3,file_name_2\n"
        "a.png,,x,1,3\n__.png,..,y,2,4\n"
    )
    assert aecodec.compress("out", "x.aez", **NONE).skipped == ()


def test_labels_in_a_column_that_is_called_as_the_table_s_own():
    names = np.array([5, 6])
    annotations = annotate(None, {"file_name": names})
    annotations = type(annotations)(annotations.columns, "file_name")
    options = {"has_channel_axis": False, "image_count": 2, "annotations": annotations}
    os.mkdir("out")
    with open_sink("out", "folder", (3, 4, 1), **options) as sink:
        sink.write(images_of(2)[..., None])
    with open_images("out") as opened:
        assert opened.annotations.label == "file_name_2"
        assert opened.annotations.labels.values == (5, 6)


@pytest.mark.parametrize(("argv", "told"), [([], True), (["-q"], False), (["--json"], False)])
def test_renames_are_told_and_are_no_loss(argv, told, capsys):
    Path("x.aez").write_bytes(named("\x1b[2J..", "b.png"))
    assert main(["decompress", "x.aez", "--to", "folder", "-o", "out", *argv]) == 0
    out, err = capsys.readouterr()
    assert ("1 picture has another name than in the file" in err) == told
    assert "\x1b" not in out + err
    if argv == ["--json"]:
        assert len(json.loads(out)["notes"]) == 1


def test_a_tree_of_safe_names_has_no_notes_and_no_tables():
    done = aecodec.decompress(named("a/1.png", "b/2.bmp", "b/3.jpg"), "out", kind="folder")
    assert done.notes == ()
    assert tree_of("out") == ["a/1.png", "b/2.bmp", "b/3.png", "metadata.csv", "metadata.json"]
    aecodec.decompress(named("1.png", "2.png"), "flat", kind="folder")
    assert tree_of("flat") == ["1.png", "2.png"]


def test_a_folder_is_replaced_by_what_has_the_same_safe_names():
    blob = named("../a.png", "b/c.png")
    for _ in range(2):
        aecodec.decompress(blob, "out", kind="folder", force=True)
    assert tree_of("out") == ["__/a.png", "b/c.png", "metadata.csv", "metadata.json"]
    Path("out/b/other.png").touch()
    with pytest.raises(FileExistsError, match=r"holds 'b/other\.png', which would be deleted"):
        aecodec.decompress(blob, "out", kind="folder", force=True)


def test_what_the_system_refuses_has_a_plain_name(monkeypatch):
    """A file system that holds 40 characters."""

    def opened(path, *rest, **options):
        if len(os.path.basename(path)) > 40:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        return open(path, *rest, **options)

    monkeypatch.setattr("aecodec.images.pictures.open", opened, raising=False)
    done = aecodec.decompress(named("a.png", "d/e/" + "b" * 50, "c.png"), "out", kind="folder")
    assert len(done.notes) == 1
    files = tree_of("out")
    assert [name for name in files if "~" not in name] == [
        "a.png", "c.png", "metadata.csv", "metadata.json",
    ]  # fmt: skip
    assert not Path("out/d").exists()
    assert files[0].startswith("000001~")
    with open_images("out") as opened_set:
        (found,) = opened_set.batches(9)
        assert opened_set.annotations.column("original_name").values[1] == "d/e/" + "b" * 50
    np.testing.assert_array_equal(found[..., 0], images_of(3))


def test_a_folder_too_deep_for_long_names():
    """The paths are safe, and too long below this folder."""
    Path("x" * 100).mkdir()
    name = "e" * 250 + "/" + "/".join(["f" * 250] * 15) + "/b.png"
    done = aecodec.decompress(named(name), Path("x" * 100, "out"), kind="folder")
    assert len(done.notes) == 1
    assert len(tree_of(Path("x" * 100, "out"))) == 3


def test_a_system_that_takes_two_names_for_one(monkeypatch):
    save = folders.save_picture

    def saved(pillow, pixels, path):
        if path.endswith("b.png"):
            raise FileExistsError(errno.EEXIST, "File exists", path)
        save(pillow, pixels, path)

    monkeypatch.setattr(folders, "save_picture", saved)
    aecodec.decompress(named("a.png", "b.png"), "out", kind="folder")
    assert len(tree_of("out")) == 4
    os.mkdir("used")
    Path("used/a.png").touch()
    with (
        pytest.raises(FileExistsError),
        open_sink(
            "used", "folder", (3, 4, 1), has_channel_axis=False, image_count=1, names=["a"]
        ) as s,
    ):
        s.write(images_of(1)[..., None])


def test_other_faults_of_the_system_end_it(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders, "save_picture", full)
    with pytest.raises(OSError, match="No space left"):
        aecodec.decompress(named("a.png"), "out", kind="folder")

    def too_long(*_):
        raise OSError(errno.ENAMETOOLONG, "File name too long")

    monkeypatch.setattr(folders, "save_picture", too_long)
    with pytest.raises(ImageSetError, match=r"names: 'a\.png' cannot name a file here"):
        aecodec.decompress(named("a.png"), "out", kind="folder")
    assert os.listdir() == []


PROBE = """
import sys
import tempfile
import numpy as np
from aecodec.annotations.annotations import Annotations
from aecodec.images import folders
from aecodec.images.folders import FolderSink

class Names:
    def __init__(self, form, count): self.form, self.count = form, count
    def __len__(self): return self.count
    def __getitem__(self, i): return self.form.format(i, i // 2)
    def __iter__(self): return map(self.__getitem__, range(self.count))

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))

folders.save_picture = folders.os.makedirs = lambda *_, **__: None  # what is left is names
pixels = np.zeros((1000, 1, 1, 1), np.uint8)
for i, (form, count) in enumerate(eval(sys.stdin.read())):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        sink = FolderSink(folder, (1, 1, 1), count, form and Names(form, count), Annotations())
        for _ in range(0, count, 1000):
            sink.write(pixels[:count])
        sink.close()
    print(status("VmHWM") - before)
"""


def test_memory_does_not_grow_with_names_and_depth():
    """No more than 60 bytes for each image, and none for each of a name's folders."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("no /proc/self/clear_refs to measure memory with")
    count = 50_000
    cases = [("{0}.png", 1), ("{0}.png", count), (None, count), ("a", count), ("x{0}/" * 3, 3000)]
    cases += [
        ("a/" * 2000 + "{0}", 1000),
        ("/" * 1_000_000 + "{0}", 2),
        ("{0}" * 9 + "/b" * 200, 99),
    ]
    run = subprocess.run(
        [sys.executable, "-c", PROBE], input=repr(cases), capture_output=True, text=True, check=True
    )
    for (form, number), nbytes in zip(cases, run.stdout.split(), strict=True):
        assert int(nbytes) < (8 << 20) + 60 * number, (str(form)[:20], nbytes)
