"""The arrays of an ``.npz``: which are the images, and which are their labels."""

from __future__ import annotations

import os
import re
import shlex
import zipfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aecodec.annotations.annotations import LABEL_NAMES
from aecodec.errors import ImageSetError
from aecodec.images.base import layout_of
from aecodec.images.streams import NpyHeader, read_npy_header

NPZ_MEMBER = "images"  # the name that is written
NPZ_MEMBERS = (NPZ_MEMBER, "x", "arr_0")  # the names that reading looks for first
# Words in the names of arrays, as in x_train and y_train, train_images and train_labels.
_IMAGE_WORDS = frozenset(
    ["x", "image", "images", "img", "imgs", "data", "pixels", "picture", "pictures", "pics"]
)
SHOWN = 20  # arrays in a message
_LABEL_WORDS = frozenset(LABEL_NAMES)


class Member(NamedTuple):
    """An array in an ``.npz``, by its name without .npy."""

    name: str
    header: NpyHeader

    def __str__(self) -> str:
        return f"{self.name} {self.header.dtype}{self.header.dims}"

    @property
    def is_pictorial(self) -> bool:
        """Whether it has as many dimensions as images have."""
        return len(self.header.dims) in (3, 4)

    @property
    def fits(self) -> bool:
        """Whether it can be the images of a set."""
        try:
            layout_of(self.name, self.header.dims, self.header.dtype)
        except ImageSetError:
            return False
        return True


def split_member(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """(FILE, ARRAY) of ``FILE.npz:ARRAY``; (path, None) for a file that is there as it is named."""
    text = os.fspath(path)
    if os.path.lexists(text):
        return text, None
    for colon in reversed([i for i, char in enumerate(text) if char == ":"]):
        file, member = text[:colon], text[colon + 1 :]
        if member and os.path.exists(file) and not os.path.isdir(file):
            return file, member
    return text, None


def is_npz(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a zip archive; an empty one is, too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def members_of(archive: zipfile.ZipFile, label: str) -> list[Member]:
    """All arrays of an ``.npz``; ImageSetError for a damaged header."""
    members = []
    for entry in archive.namelist():
        if entry.endswith(".npy"):
            with archive.open(entry) as stream:
                header = read_npy_header(stream, f"{label}: {entry}")
            members.append(Member(entry.removesuffix(".npy"), header))
    return members


def named_member(members: Sequence[Member], name: str, label: str) -> Member:
    """The array of this name; ImageSetError if there is none."""
    for member in members:
        if member.name in (name, name.removesuffix(".npy")):
            return member
    raise ImageSetError(f"{label}: has no array {name!r}, it holds {_listed(members)}")


def images_member(members: Sequence[Member], label: str, *, is_file: bool) -> Member:
    """The array of images: one named in NPZ_MEMBERS, or else the only one that can be images.

    ImageSetError if there is none, or a choice; for a file it shows how to choose.
    """
    fitting = [member for member in members if member.fits]
    for name in NPZ_MEMBERS:
        for member in members:
            if member.name == name and member.is_pictorial:
                if member.fits or not fitting:
                    return member  # opening it says what is wrong with it
                raise _ambiguous(
                    f"the array {name!r} is {member.header.dtype}{member.header.dims}, "
                    "expected uint8 images",
                    members, fitting, label, is_file=is_file,
                )  # fmt: skip
    pictorial = [member for member in members if member.is_pictorial]
    if len(fitting) == 1 or (not fitting and len(pictorial) == 1):
        return (fitting or pictorial)[0]
    if not fitting:
        raise ImageSetError(
            f"{label}: expected an array of images, uint8 (N, H, W) or (N, H, W, C), "
            f"found {_listed(members)}"
        )
    what = f"{len(fitting)} arrays can be the images"
    raise _ambiguous(what, members, fitting, label, is_file=is_file)


def _ambiguous(
    what: str, members: Sequence[Member], fitting: Sequence[Member], label: str, *, is_file: bool
) -> ImageSetError:
    path = label if is_file else "FILE.npz"
    command = f"aecodec compress {shlex.quote(f'{path}:{fitting[0].name}')}"
    return ImageSetError(
        f"{label}: {what}; name one after a colon, as in: {command}. "
        f"The file holds {_listed(members)}"
    )


def labels_member(members: Sequence[Member], label: str) -> Member:
    """The array of labels where the images are in another file: a usual name, or the only array."""
    for name in LABEL_NAMES:
        for member in members:
            if member.name == name:
                return member
    if len(members) != 1:
        raise ImageSetError(
            f"{label}: expected labels in an array named {', '.join(LABEL_NAMES)}, or just one "
            f"array; FILE.npz:ARRAY picks one; found {_listed(members)}"
        )
    return members[0]


def _listed(members: Sequence[Member]) -> str:
    more = f"; and {len(members) - SHOWN} more" if len(members) > SHOWN else ""
    return "; ".join(f"{member!s:.200}" for member in members[:SHOWN]) + more or "no array"


def labels_of(images: str, names: Iterable[str]) -> str | None:
    """Which of ``names`` goes with the array ``images``, as y_train goes with x_train."""
    rest = _rest(images, _IMAGE_WORDS)
    found: dict[str, str] = {}
    for name in names:
        words = _words(name)
        word = next((w for w in words if w in _LABEL_WORDS), None)
        if word is not None and _rest(name, _LABEL_WORDS) == rest:
            found.setdefault(word, name)
        elif images[:1] in "xX" and name.lower() == f"y{images[1:].lower()}":  # xtrain, ytrain
            found.setdefault(LABEL_NAMES[0], name)
    return next((found[word] for word in LABEL_NAMES if word in found), None)


def belonging_to_others(names: Iterable[str], images: str, others: Iterable[str]) -> set[str]:
    """Which arrays go with one of the ``others``, as y_test goes with x_test, not x_train.

    All of these are names of arrays; ``images`` and ``others`` are pictures.
    """
    own = _rest(images, _IMAGE_WORDS)
    if not own:
        return set()
    marks = {word for other in others for word in _rest(other, _IMAGE_WORDS)} - set(own)
    return {name for name in names if not marks.isdisjoint(_words(name))}


def _words(name: str) -> list[str]:
    """The words of a name, in lower case: x and train, of x_train, xTrain and x-train."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return [word for word in re.split(r"[\W_]+", apart.lower()) if word]


def _rest(name: str, known: frozenset[str]) -> list[str]:
    """The words of a name besides the first that is known."""
    words = _words(name)
    at = next((i for i, word in enumerate(words) if word in known), None)
    return sorted(words if at is None else words[:at] + words[at + 1 :])
