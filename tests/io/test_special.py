import errno
import io
import os
import tempfile
import threading
import tracemalloc

import pytest

from aecodec.errors import AezLimitError
from aecodec.io.atomic import atomic_path
from aecodec.io.special import SPOOL_NBYTES, is_special, open_special, seekable

posix_only = pytest.mark.skipif(os.name == "nt", reason="named pipes, /dev")


def test_files_and_folders_are_not_special(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "absent"):
        assert not is_special(path)


@posix_only
def test_a_named_pipe_gets_the_output(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with atomic_path(tmp_path / "pipe") as temporary:
        temporary.write_bytes(b"data")
    reader.join(timeout=60)
    assert read == [b"data"]
    assert os.listdir(tmp_path) == ["pipe"]


@posix_only
def test_a_descriptor_is_written_on_from_where_it_stands(tmp_path):
    with open(tmp_path / "log", "wb") as file:
        file.write(b"before ")
        file.flush()
        for _ in range(2):
            with open_special(f"/dev/fd/{file.fileno()}") as out:
                out.write(b"data ")
    assert (tmp_path / "log").read_bytes() == b"before data data "


@posix_only
def test_a_descriptor_that_is_not_open_is_named():
    with pytest.raises(OSError, match="Bad file descriptor: '/dev/fd/9999'"):
        open_special("/dev/fd/9999")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_an_error_names_the_device():
    match = "No space left on device: '/dev/full'"
    with pytest.raises(OSError, match=match), open_special("/dev/full") as file:
        file.write(b"data")


@posix_only
def test_a_terminal_gets_no_bytes():
    main, terminal = os.openpty()
    try:
        with pytest.raises(ValueError, match="is a terminal"):
            open_special(os.ttyname(terminal))
    finally:
        os.close(main)
        os.close(terminal)


class Pipe(io.BytesIO):
    def seekable(self):
        return False


@pytest.mark.parametrize("nbytes", [0, 5, SPOOL_NBYTES, SPOOL_NBYTES + 5])
def test_what_comes_through_a_pipe_can_be_read_again(nbytes):
    data = os.urandom(nbytes)
    with seekable(Pipe(data)) as file:
        for _ in range(2):
            file.seek(0)
            assert file.read() == data


def test_a_file_is_not_copied():
    with tempfile.TemporaryFile() as file:
        assert seekable(file) is file


class Endless(io.RawIOBase):
    """A pipe that sends for ever; it counts."""

    sent = 0
    name = "the tap"

    def readable(self):
        return True

    def readinto(self, buffer):
        self.sent += len(buffer)
        return len(buffer)


def test_a_pipe_without_an_end_is_refused():
    pipe = Endless()
    tracemalloc.start()
    try:
        with pytest.raises(AezLimitError, match="the tap: over 67108864 bytes come, max_decoded"):
            seekable(io.BufferedReader(pipe), 64 << 20)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20  # most of it is on the disk
    finally:
        tracemalloc.stop()
    assert pipe.sent < 66 << 20


def test_a_disk_that_is_full_names_its_folder(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with pytest.raises(OSError, match="No space left on device, where the tap is kept") as caught:
        seekable(io.BufferedReader(Endless()))
    assert caught.value.filename == tempfile.gettempdir()
