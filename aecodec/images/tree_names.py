"""The paths of a set's pictures in a folder: made when they are asked for, and all different.

Names are untrusted, and there may be millions: besides the names, no more than 40 bytes are kept
for each image.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from aecodec.annotations.annotations import Annotations
from aecodec.annotations.column import Column
from aecodec.annotations.values import TEXT, Value
from aecodec.errors import ImageSetError
from aecodec.images.pictures import LOSSLESS_FORMATS, is_picture
from aecodec.images.safe_names import (
    METADATA_FILES,
    NAME_MAX_NBYTES,
    folder_keys,
    path_key,
    safe_part,
    safe_path,
    tagged,
    utf8_nbytes,
)

Keys = npt.NDArray[np.uint64]
# How the path of a picture comes from its name.
_OWN, _WITH_SUFFIX, _NUMBERED, _SALTED, _REFUSED = range(5)
_BATCH_KEYS, _FOLDERS_KNOWN = 1 << 16, 1 << 10


class _Paths(Sequence[str]):
    """Paths of pictures that are made one by one."""

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> list[str]: ...
    def __getitem__(self, key: int | slice) -> str | list[str]:
        numbers = range(len(self))[key]
        return self._path(numbers) if isinstance(numbers, int) else [*map(self._path, numbers)]

    def __iter__(self) -> Iterator[str]:
        return map(self._path, range(len(self)))

    def _path(self, i: int) -> str:
        raise NotImplementedError


class NumberedPaths(_Paths):
    """000000.png, 000001.png and so on, in a folder for each class if there are labels."""

    def __init__(self, image_count: int, annotations: Annotations = Annotations()) -> None:  # noqa: B008  # it is frozen
        self._count, self._digits = image_count, max(6, len(str(image_count - 1)))
        self._labels, self._classes = annotations.labels, annotations.classes
        if self._labels is not None and not _name_folders(self._labels, self._classes):
            self._labels = None

    @property
    def are_in_order(self) -> bool:
        """Whether they are certain to be in natural order: they are where all have one folder."""
        return self._labels is None

    def __len__(self) -> int:
        return self._count

    def __contains__(self, path: object) -> bool:
        digits = str(path).rpartition("/")[2].removesuffix(".png")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            return False
        return int(digits) < self._count and self._path(int(digits)) == path

    def _path(self, i: int) -> str:
        name = f"{i:0{self._digits}}.png"
        return name if self._labels is None else f"{self._folder(self._labels[i])}/{name}"

    def __iter__(self) -> Iterator[str]:
        if self._labels is None:
            yield from super().__iter__()
            return
        for i, value in enumerate(self._labels):
            yield f"{self._folder(value)}/{i:0{self._digits}}.png"

    def _folder(self, value: Value) -> str:
        return self._classes[int(value)] if self._classes else str(value)


def _name_folders(labels: Column, classes: Sequence[str]) -> bool:
    """Whether all labels can be names of folders, and different ones on every system."""
    if labels.dtype == TEXT:
        texts = labels.texts
    elif classes:
        used = np.unique(np.frombuffer(labels.data, np.dtype(labels.dtype).newbyteorder("<")))
        texts = tuple(classes[int(i)] for i in used)
    else:
        return True  # numbers
    if any(not _names_a_folder(text) for text in texts):
        return False
    return not _repeats(_keys_of(texts)).any()


def _names_a_folder(text: str) -> bool:
    return safe_part(text) == text and text.casefold() not in METADATA_FILES


class NamedPaths(_Paths):
    """Paths by names: safe ones, each of its own on every system.

    A name whose format does not keep every pixel, such as JPEG, gets the suffix .png. A name that
    is not safe, or that an image before it has, gives way to another that is like it: the image is
    :meth:`renamed`.
    """

    def __init__(self, names: Sequence[str], image_count: int, channels: int) -> None:
        if len(names) != image_count:
            raise ValueError(f"{len(names)} names, expected {image_count}, one for each image")
        self._names, self._channels, self._salt = names, channels, ""
        self._forms = np.zeros(image_count, np.uint8)
        self._renamed = np.zeros(image_count, np.bool_)
        kept = np.zeros(image_count, np.bool_)
        keys = np.empty(image_count, np.uint64)
        for i, name in enumerate(names):
            path = safe_path(name)
            kept[i] = _keeps_pixels(path, channels)
            self._renamed[i] = _is_other(path, name)
            self._take_form(i, path, _OWN, keys)
        for i in map(int, np.flatnonzero(_shared(keys) & ~kept)):  # a.jpg beside a.png or a.gif
            self._take_form(i, safe_path(names[i]), _WITH_SUFFIX, keys)
        self._tell_apart(keys)
        keys.sort()
        self._keys = keys

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, path: object) -> bool:
        key = np.uint64(path_key(str(path)))
        at = int(np.searchsorted(self._keys, key))
        return at < len(self._keys) and bool(self._keys[at] == key)

    @property
    def any_renamed(self) -> bool:
        """Whether any picture is :meth:`renamed`."""
        return bool(self._renamed.any())

    def renamed(self, i: int) -> bool:
        """Whether the picture has another name than its own, apart from .png for .jpg."""
        return bool(self._renamed[i])

    def refuse(self, i: int) -> str | None:
        """Another path for a picture whose own the system refuses; None if it has that already."""
        if self._forms[i] == _REFUSED:
            return None
        self._forms[i], self._renamed[i] = _REFUSED, True
        return self._path(i)

    def _path(self, i: int) -> str:
        return self._formed(i, safe_path(self._names[i]), int(self._forms[i]))

    def _formed(self, i: int, path: str, form: int) -> str:
        if form == _REFUSED:
            return f"{i:06}~{self._salt}.png"
        if form == _WITH_SUFFIX:
            return f"{path}.png"
        if not _keeps_pixels(path, self._channels):
            path = _as_png(path)
        if form == _OWN:
            return path
        return tagged(path, str(i) if form == _NUMBERED else f"{i}-{self._salt}")

    def _take_form(self, i: int, path: str, form: int, keys: Keys) -> None:
        """Give the picture whose name is ``path``, once it is safe, a path of this form."""
        formed = self._formed(i, path, form)
        if utf8_nbytes(formed.rpartition("/")[2]) > NAME_MAX_NBYTES:  # by its new suffix
            form = _NUMBERED
            formed = self._formed(i, path, form)
        self._forms[i] = form
        self._renamed[i] |= form >= _NUMBERED
        keys[i] = path_key(formed)

    def _tell_apart(self, keys: Keys) -> None:
        """Give another path to each picture whose own is that of another, or of a folder.

        Of several, the first that was not renamed keeps its own. The other path has the picture's
        number, and where names stand in the way of that, a hash of all names too, which none of
        them can foresee.
        """
        self._salt = _salt(keys)
        for form in (_NUMBERED, _SALTED):
            if not (clashes := self._clashes(keys)).any():
                return
            for i in map(int, np.flatnonzero(clashes)):
                self._take_form(i, safe_path(self._names[i]), form, keys)
        if (clashes := self._clashes(keys)).any():
            name = self._names[int(np.argmax(clashes))]
            raise ImageSetError(f"names: {name!r:.80} cannot be told apart from another")

    def _clashes(self, keys: Keys) -> npt.NDArray[np.bool_]:
        found = _repeats(keys, self._renamed)
        folders = self._keys_of_folders(keys)
        for at in range(0, len(keys) if len(folders) else 0, _BATCH_KEYS):
            some = keys[at : at + _BATCH_KEYS]
            found[at : at + _BATCH_KEYS] |= folders[_places(some, folders)] == some
        return found

    def _keys_of_folders(self, keys: Keys) -> Keys:
        """Those of the keys that folders have too, in which pictures lie; in order."""
        ordered = np.sort(keys)
        found = np.zeros(len(keys), np.bool_)
        waiting, known = array("Q"), set[str]()
        for path in self:
            folder = path.rpartition("/")[0]
            if folder and folder not in known:
                known = known if len(known) < _FOLDERS_KNOWN else set()
                known.add(folder)
                waiting.extend(folder_keys(path))
            if len(waiting) >= _BATCH_KEYS:
                _mark(found, ordered, waiting)
                waiting = array("Q")
        _mark(found, ordered, waiting)
        return ordered[found]


def _mark(found: npt.NDArray[np.bool_], ordered: Keys, some: array[int]) -> None:
    """Mark those of the ordered keys that are among some others."""
    if some and len(ordered):
        wanted = np.frombuffer(some, np.uint64)
        at = _places(wanted, ordered)
        found[at[ordered[at] == wanted]] = True


def _places(keys: Keys, ordered: Keys) -> npt.NDArray[np.intp]:
    """Where the keys are in an ordered list, if they are in it."""
    return np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)


def _salt(keys: Keys) -> str:
    return hashlib.blake2b(keys.data, digest_size=8).hexdigest()


def _keys_of(paths: Sequence[str]) -> Keys:
    return np.fromiter(map(path_key, paths), np.uint64, len(paths))


def _repeats(keys: Keys, later: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
    """Which keys are those of one before; those that are ``later`` come after all others."""
    order = np.argsort(keys, kind="stable") if later is None else np.lexsort((later, keys))
    ordered = keys[order]
    found = np.zeros(len(keys), np.bool_)
    found[order[1:][ordered[1:] == ordered[:-1]]] = True
    return found


def _shared(keys: Keys) -> npt.NDArray[np.bool_]:
    """Which keys occur more than once."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    alike = ordered[1:] == ordered[:-1]
    found = np.zeros(len(keys), np.bool_)
    found[order[1:][alike]] = True
    found[order[:-1][alike]] = True
    return found


def _is_other(path: str, name: str) -> bool:
    """Whether a path is another than a name, also in the bytes that a system sees."""
    if path == name:
        return False
    if path.isascii() and name.isascii():
        return True
    try:
        return path.encode("utf-8", "surrogateescape") != name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True


def _keeps_pixels(name: str, channels: int) -> bool:
    known = LOSSLESS_FORMATS.get(os.path.splitext(name)[1].lower())
    return known is not None and channels in known[1]


def _as_png(name: str) -> str:
    return (os.path.splitext(name)[0] if is_picture(name) else name) + ".png"
