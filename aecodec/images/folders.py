"""Folders of pictures and trees of them: read one by one, and written under their names."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from aecodec.annotations.annotations import CLASSES_MAX, LABEL, Annotations
from aecodec.annotations.column import Column
from aecodec.annotations.values import NAME_MAX_NBYTES, text_fault
from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import ImageSink, ImageSource, Layout, Skipped
from aecodec.images.changes import CHANNELS, notes_of
from aecodec.images.channels import common_channels, fits, least_channels, with_channels
from aecodec.images.column_names import with_free_names
from aecodec.images.metadata import read_folder_table, write_folder_table
from aecodec.images.pairing import FILE_NAME
from aecodec.images.pictures import (
    Picture,
    decode_picture,
    import_pillow,
    natural_key,
    save_picture,
)
from aecodec.images.renames import Renames, original_cells
from aecodec.images.safe_names import ABOUT_FILE, PICTURE_SUFFIXES, TABLE_FILE
from aecodec.images.tree_names import NamedPaths, NumberedPaths
from aecodec.images.walking import NOT_READABLE, walk

# What a system says of a name that it cannot give a file: too long, or not in its encoding.
NOT_A_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR}
NOT_A_NAME_NT = {3, 123, 206}  # the path is not there (too long), a wrong name, too long
TAKEN = {errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}
FOLDERS_KNOWN = 1 << 10
SAMPLE_PICTURES = 256  # in the sample that gives the shape: as many, or up to twice


class FolderSource(ImageSource):
    """The pictures in a folder and in the folders below it, decoded one by one.

    Their order is natural order, or that of a ``metadata.csv``. Their shape is the most common one
    in a sample; pictures of another shape, and those that cannot be decoded or read, are skipped.
    A picture whose channels differ is taken where that loses nothing: grays that are stored as
    colours, colours that are all opaque. If all pictures are in folders one level down, these
    folders are the classes. What is skipped, and so the number of images, their names and columns,
    is known when the source has been read to its end.
    """

    is_settled = False

    def __init__(self, folder: str) -> None:
        self.label = folder
        found, passed_over = walk(folder)
        found.sort(key=natural_key)
        found, self._table, missing = read_folder_table(folder, found)
        self._passed_over = (*passed_over, *missing)
        if not found:
            raise FileNotFoundError(
                f"{folder}: no pictures among {len(self._passed_over)} entries, looked for "
                + " ".join(PICTURE_SUFFIXES)
            )
        self._pillow, self._found = import_pillow("reading"), tuple(found)
        if self._table.label is None:
            self._table = _with_classes(self._found, self._table)
        shape = self._common_shape()
        super().__init__("folder", Layout(len(found), shape, has_channel_axis=shape[2] > 1))
        self._settle(range(len(found)), ())

    def _settle(self, taken: Sequence[int], skipped: Sequence[Skipped]) -> None:
        self.image_count = len(taken)
        self.names = tuple(self._found[i] for i in taken)
        self.annotations = self._table.take(taken)
        self.skipped = (*self._passed_over, *skipped)

    def _common_shape(self) -> Shape:
        """The most common size in an evenly spread sample, and channels for most of its pictures.

        Of two sizes as common, the first.
        """
        step = max(1, len(self._found) // SAMPLE_PICTURES)
        sizes: Counter[tuple[int, int]] = Counter()
        stored: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        least: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        fault: ImageSetError | None = None
        for name in self._found[::step]:
            try:
                pixels = self._read(name).pixels
            except ImageSetError as error:
                fault = fault or error
                continue
            height, width, channels = pixels.shape
            sizes[height, width] += 1
            stored[height, width][channels] += 1
            least[height, width][channels].add(least_channels(pixels))
        if not sizes and fault is not None:
            raise fault
        size = sizes.most_common(1)[0][0]
        return *size, common_channels(stored[size], least[size])

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        taken: list[int] = []
        skipped: list[Skipped] = []
        changed: dict[str, list[str]] = defaultdict(list)
        batch = np.empty((min(batch_images, len(self._found)), *self.shape), np.uint8)
        row = 0
        for i, name in enumerate(self._found):
            try:
                picture = self._read_alike(name)
            except ImageSetError as error:
                path = os.path.join(self.label, name)
                skipped.append(Skipped(name, str(error).removeprefix(f"{path}: ")))
                self._check_skipped(skipped)
                continue
            for change in picture.changes:
                changed[change].append(name)
            batch[row] = picture.pixels
            taken.append(i)
            row += 1
            if row == len(batch):
                yield batch
                batch, row = np.empty_like(batch), 0
        if not taken:
            raise ImageSetError(f"{self.label}: {skipped[0].name}: {skipped[0].reason}")
        self._settle(taken, skipped)
        self.notes = notes_of(changed, self.shape[2])
        self._tell()
        if row:
            yield batch[:row]

    def _read_alike(self, name: str) -> Picture:
        picture = self._read(name)
        pixels, channels = picture.pixels, self.shape[2]
        if pixels.shape[:2] != self.shape[:2] or not fits(pixels, channels):
            raise ImageSetError(f"shape (H, W, C) is {pixels.shape}, that of most is {self.shape}")
        if pixels.shape[2] == channels:
            return picture
        return Picture(with_channels(pixels, channels), picture.changes | {CHANNELS})

    def _read(self, name: str) -> Picture:
        path = os.path.join(self.label, name)
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            if error.errno not in NOT_READABLE:
                raise
            raise ImageSetError(f"{path}: cannot be read, {error.strerror}") from error
        with file:
            return decode_picture(self._pillow, file, path)


def _with_classes(names: Sequence[str], table: Annotations) -> Annotations:
    """The table, with labels by folder if every picture is in a folder of the first level."""
    folders: dict[str, None] = {}
    for name in names:
        folder, slash, rest = name.partition("/")
        folders[folder] = None
        if not slash or "/" in rest or len(folders) > CLASSES_MAX:
            return table
    classes = sorted(folders, key=natural_key)
    has_labels = any(column.name == LABEL for column in table.columns)
    if has_labels or any(text_fault(name, NAME_MAX_NBYTES) for name in classes):
        return table
    numbers = {name: i for i, name in enumerate(classes)}
    values = (numbers[name.partition("/")[0]] for name in names)
    dtype = np.uint8 if len(classes) <= 1 << 8 else np.uint16
    labels = Column.of(LABEL, np.fromiter(values, dtype, len(names)))
    columns = (*table.columns, labels)
    return replace(table, columns=columns, label=LABEL, classes=tuple(classes))


class FolderSink(ImageSink):
    """Writes pictures under their names, in the folders that the names have.

    Names that are not safe on every system, or not the only ones of their kind, are replaced by
    others (:mod:`aecodec.images.safe_names`), which the notes tell. Without names, labelled images
    go to a folder for each class. What the tree does not show (order, other columns, title and the
    like, names that were replaced) goes to ``metadata.csv`` and ``metadata.json``.
    """

    def __init__(
        self,
        folder: str,
        shape: Shape,
        image_count: int,
        names: Sequence[str] | None,
        annotations: Annotations,
    ) -> None:
        super().__init__(shape, image_count)
        self._pillow = import_pillow("writing")
        if not os.path.isdir(folder):
            raise NotADirectoryError(f"{folder}: expected an existing folder")
        self._folder, self._is_new = folder, not os.listdir(folder)
        self._names, self._renames = names, Renames()
        self._named: NamedPaths | None = None
        self._paths: NumberedPaths | NamedPaths
        if names is None:
            self._paths = NumberedPaths(image_count, annotations)
        else:
            self._paths = self._named = NamedPaths(names, image_count, shape[2])
        self._folders: set[str] = set()
        self._has_table = not _needs_no_table(self._paths, annotations)
        self._annotations, self._column_notes = with_free_names(annotations, (FILE_NAME,))

    def writes(self, path: str) -> bool:
        """Whether the sink writes a file of this name, a path in the folder with /."""
        return path in self._paths or (path in (TABLE_FILE, ABOUT_FILE) and self._writes_table())

    @property
    def notes(self) -> tuple[str, ...]:
        """What has another name than the set gave it, as words for people."""
        return (*self._renames.notes(), *self._column_notes)

    def _writes_table(self) -> bool:
        return self._has_table or (self._named is not None and self._named.any_renamed)

    def _write(self, batch: Images) -> None:
        pixels = batch[..., 0] if self.shape[2] == 1 else batch
        for i, one in enumerate(pixels, self.written_count):
            path = self._paths[i]
            if not self._write_picture(path, one):
                path = self._write_refused(i, path, one)
            if self._names is not None and self._named is not None and self._named.renamed(i):
                self._renames.add(self._names[i], path)

    def _write_picture(self, path: str, pixels: Images) -> bool:
        """Whether the system takes the path; OSError for any other fault."""
        below = posixpath.dirname(path)
        try:
            if below not in self._folders:
                os.makedirs(os.path.join(self._folder, below), exist_ok=True)
                self._folders = {below} if len(self._folders) >= FOLDERS_KNOWN else self._folders
                self._folders.add(below)
            save_picture(self._pillow, pixels, os.path.join(self._folder, path))
        except (OSError, UnicodeEncodeError) as error:
            if not self._is_refused(error):
                raise
            return False
        return True

    def _is_refused(self, error: OSError | UnicodeEncodeError) -> bool:
        """Whether the system says that no file can have this path."""
        if self._named is None or isinstance(error, UnicodeEncodeError):
            return self._named is not None
        # A path of a new folder that is there is that of another picture, in the system's eyes.
        is_taken = error.errno in TAKEN and self._is_new
        is_no_name = error.errno in NOT_A_NAME or getattr(error, "winerror", 0) in NOT_A_NAME_NT
        return is_taken or is_no_name

    def _write_refused(self, i: int, refused: str, pixels: Images) -> str:
        """Write a picture under the path that any system takes, and return that."""
        folders = refused.split("/")[:-1]
        for depth in range(len(folders), 0, -1):  # those that were made for it
            with contextlib.suppress(OSError, UnicodeEncodeError):
                os.rmdir(os.path.join(self._folder, *folders[:depth]))
        self._folders.clear()
        path = None if self._named is None else self._named.refuse(i)
        if path is None or not self._write_picture(path, pixels):
            raise ImageSetError(f"names: {refused!r:.80} cannot name a file here")
        return path

    def close(self) -> None:
        """Write the tables, if they are needed; ValueError if images are missing."""
        super().close()
        if self._writes_table():
            originals = None
            if self._names is not None and self._named is not None and self._named.any_renamed:
                originals = original_cells(self._names, self._named)
            write_folder_table(self._folder, self._paths, self._annotations, originals)


def _needs_no_table(paths: Sequence[str], annotations: Annotations) -> bool:
    """Whether reading the tree without tables gives the same order and annotations."""
    if len(annotations.columns) > 1:
        return False
    before = None
    for path in () if isinstance(paths, NumberedPaths) and paths.are_in_order else paths:
        key = natural_key(path)
        if before is not None and key < before:
            return False
        before = key
    return _with_classes(paths, Annotations()) == annotations
