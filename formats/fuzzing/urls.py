"""The target that reads URLs: of memory, and of a server that answers as the input says.

An input is ten bytes of what the server does, and the bytes of a file.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import random
import threading
from collections.abc import Callable, Sequence

import aecodec
from fuzzing.common import LIMITS, MODEL

KNOBS = 10
ENDLESS_NBYTES = 64 << 20  # what a server without an end sends before it leaves
STATUSES = (200, 200, 206, 206, 206, 204, 301, 404, 416, 500, 999)
LENGTHS = ("right", "right", "right", "none", "too long", "too short", "negative", "huge", "odd")
RANGES = ("right", "right", "right", "other start", "other length", "no header", "odd", "huge")
ENCODINGS = ("", "", "", "gzip", "deflate", "odd", "identity")


class _Behaviour:
    """What the server does, drawn from the knobs of an input."""

    def __init__(self) -> None:
        self.knobs, self.body = bytes(KNOBS), b""

    def choice(self, at: int, options: Sequence[object]) -> object:
        return options[self.knobs[at] % len(options)]


BEHAVIOUR = _Behaviour()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        b = BEHAVIOUR
        data, status = b.body, b.choice(0 if body else 1, STATUSES)
        headers: list[tuple[str, str]] = [("Connection", "close")]
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes=") and status == 206:
            data, said = _ranged(asked, data, str(b.choice(2, RANGES)))
            headers += [("Content-Range", said)] if said else []
        if b.knobs[3] % 2:
            headers.append(("Accept-Ranges", str(b.choice(4, ("bytes", "none", "\xff", "")))))
        if encoding := b.choice(5, ENCODINGS):
            headers.append(("Content-Encoding", str(encoding)))
        endless = body and b.knobs[6] % 64 == 1
        length = _length(str(b.choice(7, LENGTHS)), len(data))
        if length is not None and not endless:
            headers.append(("Content-Length", length))
        self.send_response_only(int(str(status)))
        for name, value in headers:
            self.send_header(name, value)
        if status == 301:
            self.send_header(
                "Location", str(b.choice(8, ("/x.aez", "", "http://[", "file:///etc/passwd")))
            )
        self.end_headers()
        if body:
            self.wfile.write(data)
            for _ in range(ENDLESS_NBYTES >> 20 if endless else 0):
                self.wfile.write(bytes(1 << 20))
        self.close_connection = True

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _ranged(asked: str, data: bytes, how: str) -> tuple[bytes, str]:
    with contextlib.suppress(ValueError):
        first, _, last = asked.removeprefix("bytes=").split(",")[0].partition("-")
        begin, end = int(first or 0), int(last or len(data) - 1)
        piece = data[begin : end + 1]
        said = f"bytes {begin}-{begin + len(piece) - 1}/{len(data)}"
        return {
            "other start": (data[begin + 1 : end + 2], said),
            "other length": (piece[:-1], said),
            "no header": (piece, ""),
            "odd": (piece, "bytes x-y/z"),
            "huge": (piece, f"bytes 0-{2**63}/{2**64}"),
        }.get(how, (piece, said))
    return data, "odd"


def _length(how: str, nbytes: int) -> str | None:
    return {
        "none": None,
        "too long": str(nbytes + 7),
        "too short": str(max(0, nbytes - 7)),
        "negative": "-5",
        "huge": str(2**62),
        "odd": "x",
    }.get(how, str(nbytes))


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that leaves is what is expected."""


@functools.cache
def _server_url() -> str:
    server = _Quiet(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/x.aez"


def url(data: bytes) -> None:
    """Open a file by its URL, and read it: AezError or OSError for whatever a server does."""
    import fsspec

    knobs, body = data[:KNOBS].ljust(KNOBS, b"\0"), data[KNOBS:]
    if knobs[9] % 4:
        files = fsspec.filesystem("memory")
        files.pipe("/x.aez", body)
        where = "memory://x.aez"
    else:
        BEHAVIOUR.knobs, BEHAVIOUR.body = knobs, body
        where = _server_url()
    try:
        with aecodec.open(where, model=MODEL, limits=LIMITS) as archive:
            _ = archive.info, archive.names
            archive.check_decoded(len(archive))
            archive[:1]
    except OSError as error:
        raise aecodec.AezError(str(error)) from error
    finally:
        import fsspec.implementations.http

        fsspec.implementations.http.HTTPFileSystem.clear_instance_cache()


def seeds(files: Sequence[bytes]) -> list[bytes]:
    """Files on a server that works, and in memory."""
    return [knobs + data for data in files[:40] for knobs in (bytes(KNOBS), bytes(9) + b"\1")]


def mutate(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """A knob of the server turned, or the file changed."""
    from fuzzing import mutating

    rng = random.Random(seed)
    knobs = bytearray(data[:KNOBS].ljust(KNOBS, b"\0"))
    body = data[KNOBS:]
    if rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2, 4))):
            knobs[rng.randrange(KNOBS)] = rng.randrange(256)
    else:
        body = mutating.mutate(body, rng.randrange(1 << 32), [o[KNOBS:] for o in others[:4]])
    return bytes(knobs) + body


TARGETS: dict[str, Callable[[bytes], None]] = {"url": url}
