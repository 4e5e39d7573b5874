"""Files named by a URL, opened by fsspec: http, s3, memory, zip and others.

Only the bytes that are asked for are fetched. A path on this machine imports nothing.
"""

from __future__ import annotations

import errno
import io
import time
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from aecodec.errors import AezError
from aecodec.io.special import spooled
from aecodec.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from typing_extensions import Buffer

BUFFER_NBYTES = 4096
HTTP = ("http://", "https://")
REASON_CHARS = 200  # of what the server or the network reported
BLOCK_NBYTES = 64 << 10  # fetched at once; fsspec keeps 32 of them
PATIENCE_S, SLOWEST_NBYTES = 60, 1024  # a server that sends fewer bytes a second is given up


def is_url(name: str) -> bool:
    """Whether a name is a URL for fsspec: ``memory://x.aez``, ``zip://x.aez::sets.zip``."""
    protocol, separator, _ = name.partition("://")
    return bool(separator) and protocol.replace("+", "").replace("-", "").isalnum()


def local_name(url: str) -> str:
    """The name for a local copy of the file: the last piece of its path."""
    path = url.split("::")[0].partition("://")[2].split("?")[0].split("#")[0]
    return PurePosixPath(path).name or "remote"


def open_url(url: str, most: int = DEFAULT_LIMITS.max_decoded_nbytes) -> BinaryIO:
    """The file, open for reading; the caller closes it.

    A server that answers no ranges sends it whole, which is kept on the disk beyond 16 MiB.
    AezLimitError if that is more than ``most`` bytes, the caller's ``max_decoded_nbytes``. OSError
    if it cannot be read, or no byte comes for a minute; ValueError for an unknown protocol,
    ImportError for a missing package, which it names.
    """
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(f"{url} needs fsspec: pip install aecodec[remote]") from error
    try:
        options = _http_options(url)
        opened = fsspec.open(url, "rb", cache_type="blockcache", block_size=BLOCK_NBYTES, **options)
        remote = _Remote(opened.open(), url, opened)
        if not remote.seekable() or (url.startswith(HTTP) and not _answers_ranges(remote)):
            with remote, fsspec.open(url, "rb", block_size=0, **options) as stream:
                return spooled(
                    stream, url, most, _SpeedCheck(url)
                )  # whole: the index is at its end
        return cast("BinaryIO", io.BufferedReader(remote, BUFFER_NBYTES))
    except ImportError as error:
        raise ImportError(f"{url}: {error}; http needs pip install aecodec[remote]") from error
    except FileNotFoundError as error:
        cause = error.__cause__ or error.__context__  # what the server or the network reported
        reason = f": {_short(cause)}" if cause is not None and str(cause) != url else ""
        raise FileNotFoundError(errno.ENOENT, f"cannot be read{reason}", url) from error
    except AezError:
        raise
    except OSError as error:
        raise _failure(error, url) from error
    except ValueError as error:  # fsspec's for an unknown protocol
        raise ValueError(f"{url}: {error}") from error
    except Exception as error:  # each protocol has its own classes
        raise _failure(error, url) from error


def _http_options(url: str) -> dict[str, Any]:
    """What fsspec is told of HTTP, if it is anywhere in a URL such as ``zip://x.aez::http://y``."""
    found = {part.partition("://")[0] for part in url.split("::")} & {"http", "https"}
    if not found:
        return {}
    from aecodec.io.http_client import bounded_client

    return {protocol: {"get_client": bounded_client} for protocol in found}


class _SpeedCheck:
    """TimeoutError where a server has sent less than ``SLOWEST_NBYTES`` a second for a minute."""

    def __init__(self, url: str) -> None:
        self._url, self._start_s = url, time.monotonic()

    def __call__(self, nbytes: int) -> None:
        passed_s = time.monotonic() - self._start_s
        if passed_s > PATIENCE_S and nbytes < passed_s * SLOWEST_NBYTES:
            raise TimeoutError(f"{self._url}: {nbytes} bytes came in {passed_s:.0f} s: too slow")


def _failure(error: Exception, url: str) -> OSError:
    """The error as one of input, which names the URL."""
    if isinstance(error, OSError) and error.filename:
        return error
    # asyncio has a class of its own before Python 3.11, and importing it takes long.
    is_late = any(kind.__name__ == "TimeoutError" for kind in type(error).__mro__)
    text = _short(error) or ("the server does not answer" if is_late else type(error).__name__)
    kind = TimeoutError if is_late else OSError
    return kind(text if url in text else f"{url}: {text}")


def _short(error: BaseException) -> str:
    """The first line of an error, cut: aiohttp's have all bytes in them that a server sent."""
    return str(error)[:REASON_CHARS].strip().partition("\n")[0]


def remote_url(file: BinaryIO) -> str | None:
    """The URL of a file that ``open_url`` opened and reads from afar; None for any other file."""
    raw = getattr(file, "raw", None)
    return raw.name if isinstance(raw, _Remote) else None


def _answers_ranges(remote: _Remote) -> bool:
    """Whether the server sends a file's end without the rest; fsspec keeps that block."""
    try:
        remote.seek(-1, io.SEEK_END)
        remote.read(1)
        remote.seek(0)
    except OSError as error:
        if isinstance(error.__cause__, ValueError):  # fsspec's error if ranges are not served
            return False
        raise
    return True


class _Remote(io.RawIOBase):
    """A file of fsspec's whose every fault is an OSError."""

    def __init__(self, file: IO[bytes], url: str, owner: object = None) -> None:
        self._file, self.name = file, url
        self._owner = owner  # kept: fsspec closes an outer file, as of a zip, with it

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return int(self._file.seek(offset, whence))
        except Exception as error:
            raise _failure(error, self.name) from error

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
            view[: len(data)] = data  # ValueError for more
        except Exception as error:
            raise _failure(error, self.name) from error
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
