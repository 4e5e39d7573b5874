"""Folders of pictures and trees of them: read one by one, and written under their names."""

from __future__ import annotations

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
from aecodec.images.metadata import (
    ABOUT_FILE,
    TABLE_FILE,
    read_folder_table,
    write_folder_table,
)
from aecodec.images.pictures import (
    PICTURE_SUFFIXES,
    Picture,
    check_picture_name,
    decode_picture,
    import_pillow,
    natural_key,
    picture_names,
    save_picture,
)
from aecodec.images.walking import NOT_READABLE, walk

# What a system says of a name that it cannot give a file: too long, or not in its encoding.
NOT_A_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR}
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
                pixels, changes = self._read_alike(name)
            except ImageSetError as error:
                path = os.path.join(self.label, name)
                skipped.append(Skipped(name, str(error).removeprefix(f"{path}: ")))
                self._check_skipped(skipped)
                continue
            for change in changes:
                changed[change].append(name)
            batch[row] = pixels
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
    folders = [name.split("/")[0] for name in names if name.count("/") == 1]
    classes = sorted(set(folders), key=natural_key)
    cannot_be = (
        len(folders) < len(names)
        or len(classes) > CLASSES_MAX
        or any(text_fault(name, NAME_MAX_NBYTES) for name in classes)
        or any(column.name == LABEL for column in table.columns)
    )
    if cannot_be:
        return table
    numbers = {name: i for i, name in enumerate(classes)}
    dtype = "uint8" if len(classes) <= 1 << 8 else "uint16"
    labels = Column.of(LABEL, [numbers[folder] for folder in folders], dtype)
    columns = (*table.columns, labels)
    return replace(table, columns=columns, label=LABEL, classes=tuple(classes))


class FolderSink(ImageSink):
    """Writes pictures under their names, in the folders that the names have.

    ``paths`` are all files that it writes, as paths in the folder with /. Without names, labelled
    images go to a folder for each class. What the tree does not show (order, other columns, title
    and the like) goes to ``metadata.csv`` and ``metadata.json``.
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
        chosen = picture_names(names, image_count, shape[2])
        if names is None and annotations.labels is not None:
            chosen = _by_class(chosen, annotations)
        self._folder, self._names, self._annotations = folder, chosen, annotations
        self._folders: set[str] = set()
        self._has_table = not _needs_no_table(chosen, annotations)
        tables = (TABLE_FILE, ABOUT_FILE) if self._has_table else ()
        self.paths = (*chosen, *tables)

    def _write(self, batch: Images) -> None:
        pixels = batch[..., 0] if self.shape[2] == 1 else batch
        names = self._names[self.written_count : self.written_count + len(batch)]
        for name, one in zip(names, pixels, strict=True):
            self._write_picture(name, one)

    def _write_picture(self, name: str, pixels: Images) -> None:
        below = posixpath.dirname(name)
        try:
            if below not in self._folders:
                os.makedirs(os.path.join(self._folder, below), exist_ok=True)
                self._folders.add(below)
            save_picture(self._pillow, pixels, os.path.join(self._folder, name))
        except OSError as error:
            if error.errno not in NOT_A_NAME:
                raise
            raise ImageSetError(
                f"names: {name!r:.80} cannot name a file here: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Write the tables, if they are needed; ValueError if images are missing."""
        super().close()
        if self._has_table:
            write_folder_table(self._folder, self._names, self._annotations)


def _by_class(names: Sequence[str], annotations: Annotations) -> list[str]:
    """The names, in a folder for each label if all labels can be names of folders."""
    labels = annotations.labels
    if labels is None:
        return list(names)
    texts = [annotations.classes[v] if annotations.classes else str(v) for v in labels]  # type: ignore[index]
    for text in set(texts):
        try:
            check_picture_name(text)
        except ImageSetError:
            return list(names)
        if "/" in text or text.startswith("."):
            return list(names)
    return [f"{text}/{name}" for text, name in zip(texts, names, strict=True)]


def _needs_no_table(names: Sequence[str], annotations: Annotations) -> bool:
    """Whether reading the tree without tables gives the same order and annotations."""
    if list(names) != sorted(names, key=natural_key):
        return False
    return _with_classes(names, Annotations()) == annotations
