"""Files by URL: opened anywhere fsspec reaches, and no more read than is asked for."""

import functools
import http.server
import io
import re
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from conftest import GRAY, noise_images

import aecodec
from aecodec import cli
from aecodec.cli import exits
from aecodec.container import Reader
from aecodec.io import remote
from aecodec.io.remote import is_url, local_name

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("aiohttp", reason="aiohttp is not installed")

# noise: nothing makes it smaller, so that chunks are large beside index and head
IMAGES = noise_images(GRAY, 20_000)[..., 0]
CHUNK = 2000
BLOB = aecodec.encode(IMAGES, model="none", chunk_images=CHUNK)
CHUNK_NBYTES = CHUNK * 64


class Ranges(http.server.BaseHTTPRequestHandler):
    """A server of one file, with ranges if ``ranges``; ``log`` holds (method, bytes sent)."""

    def __init__(self, blob, log, ranges, *args):
        self.blob, self.log, self.ranges = blob, log, ranges
        super().__init__(*args)

    def do_HEAD(self):
        if self.path != "/x.aez":
            return self.send_error(500 if self.path == "/broken.aez" else 404)
        return self._answer(
            self.blob, 200, {"Accept-Ranges": "bytes"} if self.ranges else {}, body=False
        )

    def do_GET(self):
        if self.path == "/broken.aez":
            return self.send_error(500)
        if self.path != "/x.aez":
            return self.send_error(404)
        asked = self.headers.get("Range")
        if not (self.ranges and asked):
            return self._answer(self.blob, 200, {})
        first, last = asked.removeprefix("bytes=").split("-")
        piece = self.blob[int(first) : int(last) + 1]
        end = int(first) + len(piece) - 1
        return self._answer(piece, 206, {"Content-Range": f"bytes {first}-{end}/{len(self.blob)}"})

    def _answer(self, data, status, headers, *, body=True):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.log.append(len(data))
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts servers on loopback: serve(ranges) -> (URL, log of bytes sent)."""
    servers = []

    def start(*, ranges=True):
        log = []
        handler = functools.partial(Ranges, BLOB, log, ranges)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}", log

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def in_memory():
    files = fsspec.filesystem("memory")
    files.pipe("/x.aez", BLOB)
    yield "memory://x.aez"
    files.rm("/x.aez")


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    nbytes = 0

    def read(self, size=-1):
        data = super().read(size)
        self.nbytes += len(data)
        return data


# ---------------------------------------------------------------- what is read


def test_opening_reads_head_tail_and_index():
    file = Counting(BLOB)
    with aecodec.open(file) as archive:
        opened = file.nbytes
        assert archive.shape == IMAGES.shape
        assert opened < 2048
        assert (archive[4321] == IMAGES[4321]).all()
        assert 0 < file.nbytes - opened < 1.05 * CHUNK_NBYTES + 1024
        before = file.nbytes
        assert archive.info["images"] == len(IMAGES)
        assert file.nbytes - before < 10 * 1024  # ten heads, no payload


def test_http_ranges(serve):
    url, log = serve()
    with aecodec.open(f"{url}/x.aez") as archive:
        assert archive.shape == IMAGES.shape
        assert sum(log) <= 2 * remote.BLOCK_NBYTES
        log.clear()
        assert (archive[4321] == IMAGES[4321]).all()
        assert 0 < sum(log) <= CHUNK_NBYTES + 3 * remote.BLOCK_NBYTES
    assert sum(log) < len(BLOB) / 3


def test_http_without_ranges_is_read_whole(serve):
    url, log = serve(ranges=False)
    with aecodec.open(f"{url}/x.aez") as archive:
        assert (archive[-5:] == IMAGES[-5:]).all()
    assert max(log) == len(BLOB)


# ---------------------------------------------------------------- where from


def test_memory(in_memory):
    with aecodec.open(in_memory) as archive:
        assert archive.name == in_memory
        assert (archive[7:9] == IMAGES[7:9]).all()


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
        archive.writestr("inner/x.aez", BLOB)
    with aecodec.open(f"zip://inner/x.aez::{tmp_path / 'sets.zip'}") as opened:
        assert (opened[15_000] == IMAGES[15_000]).all()


def test_open_fsspec_file(in_memory):
    with fsspec.open(in_memory, "rb") as file, aecodec.open(file) as archive:
        assert (archive[7] == IMAGES[7]).all()


def test_damaged_far_file():
    fsspec.filesystem("memory").pipe("/cut.aez", BLOB[:-1])
    with pytest.raises(aecodec.AezCorruptError, match=r"memory://cut\.aez"):
        aecodec.open("memory://cut.aez")


def test_command_line(in_memory, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["info", in_memory]) == 0
    assert "20,000 of 8x8x1" in capsys.readouterr().out
    assert cli.main(["decompress", in_memory, "--images", "3:9"]) == 0
    assert (np.load("x.npy") == IMAGES[3:9]).all()
    assert cli.main(["verify", in_memory, "-q"]) == 0


# ---------------------------------------------------------------- what goes wrong


def test_missing_and_broken(serve, capsys):
    url, _ = serve()
    with pytest.raises(FileNotFoundError, match="nothing"):
        aecodec.open(f"{url}/nothing.aez")
    with pytest.raises(OSError, match="broken"):
        aecodec.open(f"{url}/broken.aez")
    assert cli.main(["info", f"{url}/nothing.aez"]) == exits.EXIT_IO
    assert re.search(r"nothing\.aez: cannot be read: .*404", capsys.readouterr().err)
    assert cli.main(["info", "http://127.0.0.1:1/x.aez"]) == exits.EXIT_IO
    assert "cannot be read: Cannot connect" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        aecodec.open("memory://nothing.aez")


def test_unknown_protocol(capsys):
    assert cli.main(["info", "nowhere://x.aez"]) == exits.EXIT_USAGE
    assert "nowhere" in capsys.readouterr().err


def test_errors_while_reading_are_os_errors():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise RuntimeError("the far side hung up")

    with pytest.raises(OSError, match=r"s3://x\.aez: the far side hung up"):
        Reader(io.BufferedReader(remote._Remote(Failing(BLOB), "s3://x.aez")), "x")


def test_missing_packages_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"needs fsspec: pip install aecodec\[remote\]"):
        aecodec.open("memory://x.aez")


def test_local_paths_do_not_import_fsspec(tmp_path):
    (tmp_path / "x.aez").write_bytes(BLOB)
    code = (
        "import sys, aecodec\n"
        f"aecodec.open({str(tmp_path / 'x.aez')!r}).info\n"
        "print(sorted({'fsspec', 'numpy', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "url", "local"),
    [
        ("memory://a/x.aez", True, "x.aez"),
        ("https://host/sets/x.aez?version=2#top", True, "x.aez"),
        ("zip://inner/x.aez::s3://bucket/sets.zip", True, "x.aez"),
        ("C:\\sets\\x.aez", False, None),
        ("sets/x.aez", False, None),
        ("://x.aez", False, None),
    ],
)
def test_names(name, url, local):
    assert is_url(name) is url
    if local:
        assert local_name(name) == local
