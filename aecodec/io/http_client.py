"""The client of HTTP that fsspec gets: what a server sends is bounded in bytes and in time.

aiohttp comes with fsspec's extra; only what has a URL imports this module.
"""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import Any, Final

RANGE_NBYTES_MAX: Final = 16 << 20  # of an answer that is kept in memory
WAIT_S = 60.0  # for a connection, and for the next bytes
HEADERS_S, ANSWER_S = 300.0, 300.0  # for all headers, and for a whole answer


async def bounded_client(**options: Any) -> Any:  # noqa: ANN401  # aiohttp's, as fsspec gives them
    """A session of aiohttp whose answers are bounded and not unpacked."""
    import aiohttp

    limits = aiohttp.ClientTimeout(total=None, sock_connect=WAIT_S, sock_read=WAIT_S)
    bounded = {"timeout": limits, "response_class": _response(), "auto_decompress": False}
    headers = {**(options.pop("headers", None) or {}), "Accept-Encoding": "identity"}
    return aiohttp.ClientSession(headers=headers, **{**bounded, **options})


@cache
def _response() -> Any:  # noqa: ANN401  # a class of aiohttp's
    import aiohttp

    class BoundedResponse(aiohttp.ClientResponse):
        """An answer that is read into memory only as far as was asked for.

        Its errors are OSErrors: more bytes than the range has, another range, packed content.
        """

        async def start(self, connection: Any) -> BoundedResponse:  # noqa: ANN401
            """Read the headers."""
            await asyncio.wait_for(super().start(connection), HEADERS_S)
            packed = self.headers.get("Content-Encoding", "").strip().lower()
            if packed not in ("", "identity"):
                self.close()
                raise OSError(f"the server sends content encoding {packed[:20]!r}, asked was none")
            return self

        async def read(self) -> bytes:
            """The body; no more of it than was asked for."""
            if self._body is None:
                asked = self.request_info.headers.get("Range", "")
                first, most = _range(asked)
                sent = re.match(r"bytes +([0-9]{1,20})-", self.headers.get("Content-Range", ""))
                try:
                    if first is not None and sent is not None and int(sent[1]) != first:
                        raise OSError(f"the server sends bytes from {sent[1]}, asked was {first}")
                    self._body = await asyncio.wait_for(_up_to(self.content, most), ANSWER_S)
                except asyncio.TimeoutError:
                    self.close()
                    text = f"the server gives no whole answer in {ANSWER_S:g} s"
                    raise TimeoutError(text) from None
                except BaseException:
                    self.close()
                    raise
            return self._body

    return BoundedResponse


async def _up_to(content: Any, most: int) -> bytes:  # noqa: ANN401  # a stream of aiohttp's
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > most:
            raise OSError(f"the server sends more than {most} bytes, which were asked for")
    return bytes(body)


def _range(field: str) -> tuple[int | None, int]:
    """The first byte that was asked for, if any was, and how many bytes may come."""
    match = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", field)
    if match is None:
        return None, RANGE_NBYTES_MAX
    first, last = int(match[1]), int(match[2])
    return first, min(max(0, last - first + 1), RANGE_NBYTES_MAX)
