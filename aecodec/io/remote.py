"""Files named by a URL, opened by fsspec: http, s3, memory, zip and others.

Only the bytes that are asked for are fetched. A path on this machine imports nothing.
"""

from __future__ import annotations

import errno
import io
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

BUFFER_NBYTES = 4096
HTTP = ("http://", "https://")
BLOCK_NBYTES = 64 << 10  # fetched at once


def is_url(name: str) -> bool:
    """Whether a name is a URL for fsspec: ``memory://x.aez``, ``zip://x.aez::sets.zip``."""
    protocol, separator, _ = name.partition("://")
    return bool(separator) and protocol.replace("+", "").replace("-", "").isalnum()


def local_name(url: str) -> str:
    """The name for a local copy of the file: the last piece of its path."""
    path = url.split("::")[0].partition("://")[2].split("?")[0].split("#")[0]
    return PurePosixPath(path).name or "remote"


def open_url(url: str) -> BinaryIO:
    """The file, open for reading; the caller closes it.

    OSError if it cannot be read, ValueError for an unknown protocol, ImportError for a missing
    package, which it names.
    """
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(f"{url} needs fsspec: pip install aecodec[remote]") from error
    try:
        opened = fsspec.open(url, "rb", cache_type="blockcache", block_size=BLOCK_NBYTES)
        remote = _Remote(opened.open(), url, opened)
        if not remote.seekable() or (url.startswith(HTTP) and not _answers_ranges(remote)):
            with remote, fsspec.open(url, "rb", block_size=0) as stream:
                return io.BytesIO(stream.read())  # whole: the index is at its end
        return cast("BinaryIO", io.BufferedReader(remote, BUFFER_NBYTES))
    except ImportError as error:
        raise ImportError(f"{url}: {error}; http needs pip install aecodec[remote]") from error
    except FileNotFoundError as error:
        cause = error.__cause__ or error.__context__  # what the server or the network reported
        reason = f": {cause}" if cause is not None and str(cause) != url else ""
        raise FileNotFoundError(errno.ENOENT, f"cannot be read{reason}", url) from error
    except OSError:
        raise
    except ValueError as error:  # fsspec's for an unknown protocol
        raise ValueError(f"{url}: {error}") from error
    except Exception as error:  # each protocol has its own classes
        raise OSError(f"{url}: {error}") from error


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
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{self.name}: {error}") from error

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{self.name}: {error}") from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
