"""Errors of writing an output, which name it as the user did."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

# What only writing ends with, and what reading may end with too, where the file is then named.
_OF_WRITING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# NumPy's and Pillow's, which do not keep the system's reason.
_WITHOUT_REASON: Final = re.compile(
    r"[0-9]+ requested and [0-9]+ written|.*encoder error -?[0-9]+ when writing.*"
)


def named_output(error: OSError, temporary: Path, path: str | os.PathLike[str]) -> OSError:
    """The error with ``path`` in place of its temporary file, or of no name at all.

    ``temporary`` may be a folder, whose files are then named below ``path``. An error about another
    file stays as it is.
    """
    if error.filename is None:
        if error.errno in _OF_WRITING:
            error.filename = os.fspath(path)
        elif error.errno is None and _WITHOUT_REASON.fullmatch(str(error)):
            return OSError(f"{os.fspath(path)}: cannot be written: {error}")
        return error
    if isinstance(error.filename, str | os.PathLike):
        found = Path(error.filename)
        if found == temporary or temporary in found.parents:
            error.filename = os.fspath(Path(path) / found.relative_to(temporary))
            error.filename2 = None
    return error
