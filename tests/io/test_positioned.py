"""Bytes by offset: whatever the file is, and whoever else reads it."""

from __future__ import annotations

import gzip
import io
import mmap
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from aecodec.io import positioned as module
from aecodec.io.positioned import positioned

DATA = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class ShortReads(io.RawIOBase):
    """A raw file that gives few bytes at a time, as a pipe or a socket does."""

    def __init__(self, data):
        super().__init__()
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def readinto(self, buffer):
        view = memoryview(buffer)[:1000]
        return self._file.readinto(view)

    def close(self):
        self._file.close()
        super().close()


class Unhashable(io.BytesIO):
    __hash__ = None


@pytest.fixture
def files(tmp_path):
    """Files of DATA, by name."""
    (tmp_path / "plain").write_bytes(DATA)
    (tmp_path / "packed").write_bytes(gzip.compress(DATA, 1))
    with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
        archive.writestr("inner", DATA)
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryFile())
        temporary.write(DATA)
        spooled = stack.enter_context(tempfile.SpooledTemporaryFile())
        spooled.write(DATA)
        named = stack.enter_context(tempfile.NamedTemporaryFile())
        named.write(DATA)
        plain = stack.enter_context(open(tmp_path / "plain", "rb"))
        zipped = stack.enter_context(zipfile.ZipFile(tmp_path / "sets.zip"))
        yield {
            "bytes": io.BytesIO(DATA),
            "plain": plain,
            "raw": stack.enter_context(open(tmp_path / "plain", "rb", buffering=0)),
            "to be written": stack.enter_context(open(tmp_path / "plain", "r+b")),
            "temporary": temporary,
            "spooled": spooled,
            "named": named,
            "gzip": stack.enter_context(gzip.open(tmp_path / "packed", "rb")),
            "zip": stack.enter_context(zipped.open("inner")),
            "mapped": stack.enter_context(mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ)),
            "short reads": ShortReads(DATA),
            "unhashable": Unhashable(DATA),
        }


NAMES = (
    "bytes", "plain", "raw", "to be written", "temporary", "spooled", "named", "gzip", "zip",
    "mapped", "short reads", "unhashable",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bytes_by_offset(files, name):
    file = positioned(files[name])
    assert file.nbytes == len(DATA)
    for offset, nbytes in ((0, 10), (299_990, 10), (299_990, 90), (5, 200_000)):
        assert file.read_at(offset, nbytes) == DATA[offset : offset + nbytes]
    assert not file.has_changed()


@pytest.mark.parametrize("name", NAMES)
def test_threads_share_a_file(files, name):
    """Two readers of one file object, in eight threads."""
    readers = [positioned(files[name]) for _ in range(2)]
    offsets = np.random.default_rng(1).integers(0, len(DATA) - 700, 60 if name == "gzip" else 600)

    def is_right(i):
        offset = int(offsets[i])
        return readers[i % 2].read_at(offset, 700) == DATA[offset : offset + 700]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_right, range(len(offsets))))


def test_the_position_of_a_plain_file_stays(files):
    file = files["plain"]
    reader = positioned(file)
    file.seek(17)
    reader.read_at(1000, 1000)
    assert file.tell() == 17
    assert file.read(5) == DATA[17:22]


@pytest.mark.parametrize("name", NAMES)
def test_closed(files, name):
    reader = positioned(files[name])
    files[name].close()
    with pytest.raises(ValueError, match="closed"):
        reader.read_at(0, 10)


def test_without_pread(files, monkeypatch):
    monkeypatch.delattr(os, "pread")
    reader = positioned(files["plain"])
    assert isinstance(reader, module._Seeking)
    assert reader.read_at(100, 50) == DATA[100:150]


def test_a_file_that_is_overwritten(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(DATA)
    with open(path, "rb") as file:
        reader = positioned(file)
        path.write_bytes(DATA[:-1])
        assert reader.has_changed()
        assert reader.read_at(0, len(DATA)) == DATA[:-1]


def in_child(work) -> bytes:
    """What ``work`` returns in a forked process, or the text of its error."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(write, work())
        except ValueError as error:
            os.write(write, f"ValueError: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


@needs_fork
@pytest.mark.parametrize("name", NAMES)
def test_forked_processes_do_not_disturb_each_other(files, name):
    """Children right, or refused; and the parent goes on."""
    reader = positioned(files[name])

    def work():
        return b"".join(reader.read_at(offset, 70) for offset in range(0, 3000, 100))

    found = in_child(work)
    if name in ("bytes", "plain", "raw", "to be written", "temporary", "mapped", "unhashable"):
        assert found == b"".join(DATA[offset : offset + 70] for offset in range(0, 3000, 100))
    else:
        assert found.startswith(b"ValueError: ")
        assert b"was opened before the process forked" in found
    assert reader.read_at(5000, 100) == DATA[5000:5100]


@needs_fork
def test_a_url_is_opened_again_after_a_fork(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
        archive.writestr("inner", DATA)
    with module.open_url(f"zip://inner::{tmp_path / 'sets.zip'}") as file:
        reader = positioned(file)
        assert in_child(lambda: reader.read_at(100, 50)) == DATA[100:150]
        with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
            archive.writestr("inner", DATA[:-1])
        assert in_child(lambda: reader.read_at(0, 1) + bytes([reader.has_changed()]))[1:] == b"\1"
