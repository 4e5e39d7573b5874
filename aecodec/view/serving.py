"""The page on loopback: one page and its sheets, to this machine alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Content: TypeAlias = bytes | Callable[[], bytes]
LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")


def make_server(
    port: int, pages: Mapping[str, tuple[str, Content]], policy: str = "default-src 'none'"
) -> ThreadingHTTPServer:
    """A server, not running yet, of these paths with their types and contents; port 0: any.

    A content that is made when it is asked for is so for one request at a time.
    Requests that name another host are refused: a page elsewhere must not read from here. Every
    answer has ``policy`` as its Content-Security-Policy.
    """

    making = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            if host not in NAMES:
                self.send_error(403, "served to this machine alone")
            elif self.path not in pages:
                self.send_error(404)
            else:
                kind, made = pages[self.path]
                with making:
                    content = made if isinstance(made, bytes) else made()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", policy)
            self.send_header("X-Content-Type-Options", "nosniff")
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
            """No line for each request."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)
