"""Servers that send too much, too little, too slowly or something else: bounded, and told."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import threading
import time
import tracemalloc

import numpy as np
import pytest
from conftest import GRAY, noise_images

import aecodec
from aecodec.cli import main
from aecodec.errors import AezError, AezLimitError
from aecodec.io import remote
from aecodec.io.remote import open_url

pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aecodec.io import http_client

IMAGES = noise_images(GRAY, 4000)[..., 0]
BLOB = aecodec.encode(IMAGES, model="none", chunk_images=500)
OTHER = aecodec.encode(IMAGES[::-1].copy(), model="none", chunk_images=500)
BOMB = gzip.compress(bytes(64 << 20), 1)
SENT_MAX = 256 << 20  # so that no test sends for ever, whatever fails


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as a class that is derived from it says; it has ranges."""

    sent = 0
    protocol_version = "HTTP/1.0"

    def do_HEAD(self):
        self.head(200, len(BLOB), {"Accept-Ranges": "bytes"})

    def do_GET(self):
        asked = self.headers.get("Range")
        if asked is None:
            return self.whole()
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        return self.piece(first, min(last + 1, len(BLOB)))

    def whole(self):
        self.head(200, len(BLOB))
        self.send(BLOB)

    def piece(self, first, end):
        self.head(206, end - first, {"Content-Range": f"bytes {first}-{end - 1}/{len(BLOB)}"})
        self.send(BLOB[first:end])

    def head(self, status, nbytes, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if nbytes is not None:
            self.send_header("Content-Length", str(nbytes))
        self.end_headers()

    def send(self, data):
        self.wfile.write(data)
        type(self).sent += len(data)

    def send_for_ever(self):
        with contextlib.suppress(OSError):
            while type(self).sent < SENT_MAX:
                self.send(bytes(1 << 16))

    def log_message(self, *_):
        pass


class WithoutRanges(Server):
    def piece(self, first, end):
        self.whole()


class Endless(WithoutRanges):
    def do_HEAD(self):
        self.head(200, None)

    def whole(self):
        self.head(200, None)
        self.send_for_ever()


class EndlessAndSaysSo(WithoutRanges):
    def do_HEAD(self):
        self.head(200, 1 << 60)

    def whole(self):
        self.head(200, 1 << 60)
        self.send_for_ever()


class EndlessRange(Server):
    def piece(self, first, end):
        self.head(206, None, {"Content-Range": f"bytes {first}-{end - 1}/{len(BLOB)}"})
        self.send_for_ever()


class AnotherRange(Server):
    def piece(self, first, end):
        super().piece(max(0, first - 7), end - 7)


class ShortRange(Server):
    def piece(self, first, end):
        super().piece(first, first + (end - first) // 2)


class CutRange(Server):
    def piece(self, first, end):
        self.head(206, end - first)
        self.send(BLOB[first : (first + end) // 2])


class RangesOnlyAtFirst(Server):
    def piece(self, first, end):
        if end == len(BLOB):  # the opening asks for it before all others
            super().piece(first, end)
        else:
            self.whole()


class Longer(Server):
    def do_HEAD(self):
        self.head(200, 1 << 60)


class NegativeLength(Server):
    def do_HEAD(self):
        self.head(200, -5)


class NoNumber(Server):
    def do_HEAD(self):
        self.head(200, "many")


class RoundAndRound(Server):
    def do_HEAD(self):
        self.head(302, 0, {"Location": self.path + "x"})

    do_GET = do_HEAD


class ToAFile(Server):
    def do_HEAD(self):
        self.head(302, 0, {"Location": "file:///etc/passwd"})

    do_GET = do_HEAD


class Packed(Server):
    def do_HEAD(self):
        self.head(200, 9, {"Content-Encoding": "gzip"})

    def whole(self):
        self.head(200, None, {"Content-Encoding": "gzip"})
        self.send(BOMB)


class PackedRange(Server):
    def piece(self, first, end):
        self.head(206, None, {"Content-Encoding": "gzip"})
        self.send(BOMB)


class EndlessHeaders(Server):
    def do_HEAD(self):
        self.send_response(200)
        with contextlib.suppress(OSError):
            for i in range(1_000_000):
                self.wfile.write(f"X-{i}: {'y' * 80}\r\n".encode())

    do_GET = do_HEAD


class EndlessHeader(Server):
    def do_HEAD(self):
        self.send_response(200)
        self.flush_headers()
        self.wfile.write(b"X: ")
        self.send_for_ever()

    do_GET = do_HEAD


class EndlessStart(Server):
    def do_HEAD(self):
        self.send_for_ever()

    do_GET = do_HEAD


@pytest.fixture
def serve():
    """Starts a server of a class on loopback: (URL, the class, which counts the bytes sent)."""
    servers = []

    def start(base):
        handler = type(base.__name__, (base,), {"sent": 0})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/x.aez", handler

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def read(url):
    with aecodec.open(url) as archive:
        return archive[:]


@pytest.mark.parametrize("base", [Server, WithoutRanges, NegativeLength, NoNumber])
def test_what_is_sent_well_is_read(base, serve):
    np.testing.assert_array_equal(read(serve(base)[0]), IMAGES)


@pytest.mark.parametrize("base", [Endless, EndlessAndSaysSo])
def test_a_server_without_ranges_and_without_an_end(base, serve):
    url, handler = serve(base)
    with pytest.raises(AezLimitError, match=r"http://.*: over 1000000 bytes come, max_decoded_nby"):
        open_url(url, 1_000_000)
    assert handler.sent < SENT_MAX


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (EndlessRange, "sends more than [0-9]+ bytes, which were asked for"),
        (AnotherRange, "the server sends bytes from [0-9]+, asked was [0-9]+"),
        (ShortRange, "footer|chunk|index"),
        (CutRange, "payload is not completed"),
        (RangesOnlyAtFirst, "range"),
        (Longer, "x.aez"),
        (RoundAndRound, "cannot be read"),
        (ToAFile, "cannot be read: file:///etc/passwd"),
        (Packed, "content encoding 'gzip'"),
        (PackedRange, "content encoding 'gzip'"),
        (EndlessHeaders, "cannot be read"),
        (EndlessHeader, "cannot be read: .*8190 bytes"),
        (EndlessStart, "cannot be read"),
    ],
)
def test_what_a_server_does_wrong_is_told(base, message, serve, capsys):
    url, handler = serve(base)
    tracemalloc.start()
    try:
        with pytest.raises((OSError, AezError), match=message) as caught:
            read(url)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    if isinstance(caught.value, OSError):
        assert url in str(caught.value) or caught.value.filename == url
    assert handler.sent < SENT_MAX
    assert len(str(caught.value)) < 600
    assert main(["verify", url]) in (1, 3, 4)
    assert url in capsys.readouterr().err


class Silent(Server):
    def do_HEAD(self):
        time.sleep(5)

    do_GET = do_HEAD


class SilentRange(Server):
    def piece(self, first, end):
        self.head(206, end - first)
        time.sleep(5)


class Slow(Endless):
    def whole(self):
        self.head(200, None)
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.send(b"x")
                time.sleep(0.05)


class SlowRange(Server):
    def piece(self, first, end):
        self.head(206, end - first)
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.send(b"x")
                time.sleep(0.05)


@pytest.mark.parametrize("base", [Silent, SilentRange, Slow, SlowRange])
def test_a_server_that_keeps_us_waiting(base, serve, monkeypatch):
    monkeypatch.setattr(http_client, "WAIT_S", 0.3)
    monkeypatch.setattr(http_client, "ANSWER_S", 0.5)
    monkeypatch.setattr(remote, "PATIENCE_S", 0.2)
    url, _ = serve(base)
    other = {"get_client": lambda **options: http_client.bounded_client(**options)}  # a new session
    monkeypatch.setattr(remote, "_http_options", lambda _: {"http": other})
    with pytest.raises(OSError, match=url):
        read(url)


def test_a_file_that_changes_between_ranges(serve):
    class Changing(Server):
        blob = BLOB

        def piece(self, first, end):
            self.head(206, end - first)
            self.send(self.blob[first:end])

    url, handler = serve(Changing)
    with aecodec.open(url) as archive:
        np.testing.assert_array_equal(archive[:500], IMAGES[:500])
        handler.blob = OTHER
        with pytest.raises(AezError):
            archive[500:]


def test_blocks_are_kept_up_to_a_number(serve):
    url, _ = serve(Server)
    with open_url(url) as file:
        while file.read(1 << 20):
            pass
        cache = file.raw._file.cache
        assert cache.blocksize * cache.maxblocks <= 4 << 20
        assert cache.cache_info().maxsize == cache.maxblocks


def test_the_disk_holds_what_is_long(serve, monkeypatch):
    monkeypatch.setattr("aecodec.io.special.SPOOL_NBYTES", 100_000)
    url, _ = serve(WithoutRanges)
    with aecodec.open(url) as archive:
        assert os.fstat(archive._file.fileno()).st_size == len(BLOB)
        np.testing.assert_array_equal(archive[:], IMAGES)
