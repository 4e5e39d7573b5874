"""Names of strangers as names of files that every system takes.

A name that is safe stays as it is. In any other, each character that some system refuses becomes
"_", and what is too long or too deep is shortened and ends in a hash of the whole name: the same
name always gives the same path, which never leads out of its folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator

PICTURE_SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
NAME_MAX_NBYTES, PATH_MAX_NBYTES = 255, 4095  # of names of files and paths, on most systems
DEPTH_MAX = 256  # of folders in each other: removing them recurses
TABLE_FILE, LINES_FILE, ABOUT_FILE = "metadata.csv", "metadata.jsonl", "metadata.json"
METADATA_FILES = (TABLE_FILE, LINES_FILE, ABOUT_FILE)
HIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp", "Cf")  # of characters that no glyph shows
JOINERS = "\u200c\u200d"  # which some scripts are spelt with

_HOLDS_BYTES = os.name == "posix" and sys.platform != "darwin"  # names that are not UTF-8
_SUSPECT = re.compile(r'[^ -~]|[<>:"|?*\\/]')
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,59}(?<!\.)")
_ENDS = re.compile(r"^ +|[. ]+$")
_PLAIN_PATH = re.compile(r"([A-Za-z0-9_-]+/){0,9}[A-Za-z0-9_-]+(\.[A-Za-z]{1,5})?")
_DEVICES = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\.|$)")
_DEVICE_IN = re.compile(r"(?i:(^|/)(con|prn|aux|nul|(com|lpt)[1-9])(\.|/|$))")
_PLAIN_CHARS = 200
_SHORT_FOLDERS, _SHORT_HEAD_CHARS = 8, 400  # that stay of a path that is too long
_HASHED_CHARS = 1 << 16  # at a time


def safe_path(name: str) -> str:
    """The path with / for the name of an image; the name itself if all systems take it."""
    if len(name) < _PLAIN_CHARS and _PLAIN_PATH.fullmatch(name) and not _DEVICE_IN.search(name):
        return name
    if len(name) > PATH_MAX_NBYTES or name.count("/") >= DEPTH_MAX:
        return _short_path(name)
    path = "/".join(safe_part(part) for part in name.split("/"))
    if utf8_nbytes(path) > PATH_MAX_NBYTES:
        return _short_path(name)
    first, slash, rest = path.partition("/")
    if slash and first.casefold() in METADATA_FILES:  # the tables take these names
        return f"_{first}/{rest}"
    return path


def safe_part(part: str) -> str:
    """A name without / that a file or folder can have on every system."""
    if _PLAIN.fullmatch(part) and not _DEVICES.match(part):
        return part
    text = _SUSPECT.sub(_safe_char, _as_text(part))
    if text.startswith("."):  # hidden: reading the folder would pass it over
        text = f"_{text[1:]}"
    text = _ENDS.sub(lambda found: "_" * len(found[0]), text) or "_"
    if _DEVICES.match(text):
        text = f"_{text}"
    return text if utf8_nbytes(text) <= NAME_MAX_NBYTES else tagged(text, _hash(part))


def utf8_nbytes(text: str) -> int:
    """Bytes of a name on the disk; surrogates stand for bytes that are not UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _as_text(part: str) -> str:
    """The part with UTF-8 for surrogates that stand for its bytes, and "_" for all others."""
    if part.isascii():
        return part
    lone = re.sub("[\ud800-\udc7f\udd00-\udfff]", "_", part)
    return lone.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _safe_char(found: re.Match[str]) -> str:
    char = found[0]
    if char.isascii():
        return "_"
    if _HOLDS_BYTES and "\udc80" <= char <= "\udcff":
        return char
    hidden = unicodedata.category(char) in HIDDEN_CATEGORIES and char not in JOINERS
    return "_" if hidden else char


def tagged(path: str, tag: str) -> str:
    """A path whose last name ends in ``~tag``, before the suffix of a picture; short enough."""
    above, slash, name = path.rpartition("/")
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in PICTURE_SUFFIXES:
        stem, suffix = name, ""
    end = f"~{tag}{suffix}"
    return f"{above}{slash}{_cut(stem, NAME_MAX_NBYTES - len(end))}{end}"


def _cut(text: str, most: int) -> str:
    """As much of a text as takes so many bytes."""
    while (over := utf8_nbytes(text) - most) > 0:
        text = text[: -max(1, over // 4)]
    return text


def _short_path(name: str) -> str:
    """The first folders of a path, and its last name with a hash of all of it."""
    folders = name[:_SHORT_HEAD_CHARS].split("/")[:-1][:_SHORT_FOLDERS]
    last = name[name.rfind("/") + 1 :]
    if len(last) > NAME_MAX_NBYTES:
        last = last[: NAME_MAX_NBYTES // 2] + last[-NAME_MAX_NBYTES // 4 :]
    return safe_path("/".join([*folders, tagged(safe_part(last), _hash(name))]))


def _hash(text: str) -> str:
    found = hashlib.blake2b(digest_size=4)
    for at in range(0, len(text), _HASHED_CHARS):
        found.update(text[at : at + _HASHED_CHARS].encode("utf-8", "surrogatepass"))
    return found.hexdigest()


# --- Paths that some system takes for the same ---


def path_key(path: str) -> int:
    """A number of 64 bits that is the same for paths that some system takes for the same.

    Systems may ignore case, the form of accents and characters that no glyph shows.
    """
    return int.from_bytes(hashlib.blake2b(_folded(path), digest_size=8).digest(), "little")


def folder_keys(path: str) -> Iterator[int]:
    """:func:`path_key` of each folder that a path lies in; time is linear in the path."""
    found = hashlib.blake2b(digest_size=8)
    start = b""
    for part in _folded(path).split(b"/")[:-1]:
        found.update(start + part)
        start = b"/"
        yield int.from_bytes(found.copy().digest(), "little")


def _folded(path: str) -> bytes:
    if path.isascii():
        return path.lower().encode()
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
    shown = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf"))
    return shown.encode("utf-8", "surrogatepass")
