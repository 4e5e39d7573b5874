"""Folders of pictures and trees of them: read one by one, and written under their names."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from aecodec.annotations.annotations import CLASSES_MAX, LABEL, Annotations
from aecodec.annotations.column import Column
from aecodec.annotations.values import NAME_MAX_NBYTES, text_fault
from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import ImageSink, ImageSource, Layout, Skipped
from aecodec.images.metadata import (
    ABOUT_FILE,
    TABLE_FILE,
    read_folder_table,
    write_folder_table,
)
from aecodec.images.pictures import (
    PICTURE_SUFFIXES,
    check_picture_name,
    decode_picture,
    import_pillow,
    is_picture,
    natural_key,
    picture_names,
    save_picture,
)

SAMPLE_PICTURES = 256  # in the sample that gives the shape: as many, or up to twice


class FolderSource(ImageSource):
    """The pictures in a folder and in the folders below it, decoded one by one.

    Their order is natural order, or that of a ``metadata.csv``. Their shape is the most common one
    in a sample; pictures of another shape, and those that cannot be decoded, are skipped. If all
    pictures are in folders one level down, these folders are the classes. What is skipped, and so
    the number of images, their names and columns, is known when the source has been read to its
    end.
    """

    is_settled = False

    def __init__(self, folder: str) -> None:
        self._folder = folder
        found, passed_over = _walk(folder)
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
        """The most common shape in an evenly spread sample; of two as common, the first."""
        step = max(1, len(self._found) // SAMPLE_PICTURES)
        shapes: Counter[Shape] = Counter()
        fault: ImageSetError | None = None
        for name in self._found[::step]:
            try:
                shapes[self._read(name).shape] += 1
            except ImageSetError as error:  # noqa: PERF203  # each picture may fail alone
                fault = fault or error
        if not shapes and fault is not None:
            raise fault
        return shapes.most_common(1)[0][0]

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        taken: list[int] = []
        skipped: list[Skipped] = []
        batch = np.empty((min(batch_images, len(self._found)), *self.shape), np.uint8)
        row = 0
        for i, name in enumerate(self._found):
            try:
                pixels = self._read_alike(name)
            except ImageSetError as error:
                path = os.path.join(self._folder, name)
                skipped.append(Skipped(name, str(error).removeprefix(f"{path}: ")))
                continue
            batch[row] = pixels
            taken.append(i)
            row += 1
            if row == len(batch):
                yield batch
                batch, row = np.empty_like(batch), 0
        if not taken:
            raise ImageSetError(f"{self._folder}: {skipped[0].name}: {skipped[0].reason}")
        self._settle(taken, skipped)
        if row:
            yield batch[:row]

    def _read_alike(self, name: str) -> Images:
        pixels = self._read(name)
        if pixels.shape != self.shape:
            raise ImageSetError(f"shape (H, W, C) is {pixels.shape}, that of most is {self.shape}")
        return pixels

    def _read(self, name: str) -> Images:
        path = os.path.join(self._folder, name)
        with open(path, "rb") as file:
            return decode_picture(self._pillow, file, path)


def _walk(folder: str) -> tuple[list[str], list[Skipped]]:
    """Pictures in the folder and below it, as paths with /, and what is left out."""
    found: list[str] = []
    skipped: list[Skipped] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in entries:
                name = posixpath.join(below, entry.name)
                if entry.is_dir() and not entry.name.startswith("."):
                    if entry.is_symlink():
                        skipped.append(Skipped(name, "a symbolic link to a folder"))
                    else:
                        waiting.append(name)
                elif name in (TABLE_FILE, ABOUT_FILE):
                    pass
                elif reason := _entry_fault(entry, name):
                    skipped.append(Skipped(name, reason))
                else:
                    found.append(name)
    return found, skipped


def _entry_fault(entry: os.DirEntry[str], name: str) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if not is_picture(entry.name):
        return "not the name of a picture"
    if not entry.is_file():
        return "not a file"
    try:
        check_picture_name(name)
    except ImageSetError:
        return "its name has a backslash"
    return None


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

    Without names, labelled images go to a folder for each class. What the tree does not show
    (order, other columns, title and the like) goes to ``metadata.csv`` and ``metadata.json``.
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

    def _write(self, batch: Images) -> None:
        pixels = batch[..., 0] if self.shape[2] == 1 else batch
        names = self._names[self.written_count : self.written_count + len(batch)]
        for name, one in zip(names, pixels, strict=True):
            below = posixpath.dirname(name)
            if below not in self._folders:
                os.makedirs(os.path.join(self._folder, below), exist_ok=True)
                self._folders.add(below)
            save_picture(self._pillow, one, os.path.join(self._folder, name))

    def close(self) -> None:
        """Write the tables, if they are needed; ValueError if images are missing."""
        super().close()
        if not _needs_no_table(self._names, self._annotations):
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
