"""The data of the page, from an open archive: facts, some of its images, errors, sizes, a map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.archive.array import Archive
from aecodec.archive.damage import pointing_to_repair
from aecodec.archive.options import Progress, no_progress
from aecodec.arrays import Images, Indices, evenly
from aecodec.container.chunks import CHUNK_HEAD_NBYTES
from aecodec.container.modes import MODES
from aecodec.errors import AezLimitError
from aecodec.held_rows import Rows, batches_of, hold
from aecodec.images import open_images
from aecodec.io.pages import shortened
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.view.latent_map import latent_map
from aecodec.view.sheets import drawing_nbytes, sheet_columns

if TYPE_CHECKING:
    import os


DECODED_AT_ONCE, DECODED_NBYTES = 256, 4 << 20
SHOWN_NBYTES = 64 << 20  # of pixels, at most, on a page
LABEL_TEXT = 40  # characters of a label that are shown
SHOWN_TEXT = 300  # characters of any other text
SHOWN_ENTRIES = 200  # columns that are shown, and classes of which no image is shown
SECTION_NAMES = {
    "PART": "names of the model's parts",
    "META": "title and other facts",
    "NAME": "names of images",
    "COLM": "labels and columns",
    "MODL": "embedded model",
}


@dataclass(frozen=True, eq=False)
class Gathered:
    """``data`` are the plain values that the page draws; the images go into sheets."""

    data: dict[str, Any]
    images: Rows
    originals: Rows | None


def gather(
    archive: Archive,
    *,
    count: int,
    against: str | os.PathLike[str] | BinaryIO | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> Gathered:
    """Facts of the whole file and ``count`` of its images, evenly spread.

    ``model`` makes the map of a file without latents; by default it is an installed one.
    ``progress`` is called with the number of images decoded, and of originals read. ValueError if
    ``count`` is less than 1, or if ``against`` is not the set of the archive.
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected at least 1")
    _require_drawing(archive)
    most = max(1, SHOWN_NBYTES // math.prod(archive.image_shape))
    indices = evenly(len(archive), min(count, most))
    images = _decode(archive, indices, progress)
    originals = None if against is None else _pick(archive, against, indices, progress)
    height, width, channels = archive.image_shape
    columns = sheet_columns(archive.image_shape)
    data: dict[str, Any] = {
        "file": archive.name,
        "info": _info(archive),
        "indices": indices.tolist(),
        "tile": {"height": height, "width": width, "channels": channels},
        "sheet": {"columns": columns, "images": columns * columns},
        "parts": _sizes(archive),
        **_modes(archive, indices),
        **_labels(archive, indices),
        "names": _names(archive, indices),
        "errors": None if originals is None else _errors(originals, images),
        "map": latent_map(archive, indices, images, model),
    }
    return Gathered(data, images, originals)


def _require_drawing(archive: Archive) -> None:
    """AezLimitError if a picture of one image takes too much memory."""
    needed, most = drawing_nbytes(archive.image_shape), archive.limits.max_memory_nbytes
    if needed > most:
        raise AezLimitError(
            f"{archive.name}: {needed} bytes to draw an image of "
            f"{'x'.join(map(str, archive.image_shape))}, max_memory_nbytes allows {most}"
        )


def _decode(archive: Archive, indices: Indices, progress: Progress) -> Rows:
    """The images at these positions, which rise; a chunk of them at a time is in memory."""

    def batches() -> Iterator[Images]:
        size, done = archive.chunk_images, 0
        numbers, starts = np.unique(indices // size, return_index=True)
        pieces = np.split(indices, starts[1:]) if len(indices) else []
        for number, opened in zip(numbers, archive.open_chunks(numbers), strict=True):
            here = pieces.pop(0) - number * size
            with pointing_to_repair():
                if len(here) == opened.chunk.image_count:  # then its hash is checked
                    yield opened.all()
                    here = here[:0]
                    done += opened.chunk.image_count
                    progress(done, len(indices))
                for start in range(0, len(here), at_once):
                    yield opened.take(here[start : start + at_once])
                    done += len(here[start : start + at_once])
                    progress(done, len(indices))
            del opened  # before the next one is read

    at_once = _at_once(archive.image_shape)
    return hold(batches(), archive.image_shape, np.uint8)


def _at_once(shape: tuple[int, int, int]) -> int:
    return max(1, min(DECODED_AT_ONCE, DECODED_NBYTES // math.prod(shape)))


def _info(archive: Archive) -> dict[str, Any]:
    """The facts of the file as a page shows them: long texts and many columns are cut short."""
    info = archive.info
    source, columns = info["source"], info["columns"]
    cut: dict[str, Any] = {
        name: shortened(value, SHOWN_TEXT) if isinstance(value, str) else value
        for name, value in info.items()
    }
    cut["source"] = cut["source"] if isinstance(source, str) else None
    cut["class_count"] = len(info["classes"])
    cut["classes"] = [shortened(name, SHOWN_TEXT) for name in info["classes"][:SHOWN_ENTRIES]]
    cut["columns"] = dict(islice(columns.items(), SHOWN_ENTRIES))
    cut["column_count"] = len(columns)
    return cut


def _names(archive: Archive, indices: Indices) -> list[str] | None:
    """The names of these images; None in a file without."""
    names = archive.sections.names_of([(int(i), int(i) + 1) for i in indices])
    return None if names is None else [shortened(name, SHOWN_TEXT) for name in names]


def _pick(
    archive: Archive,
    against: str | os.PathLike[str] | BinaryIO,
    indices: Indices,
    progress: Progress,
) -> Rows:
    """The originals of these images; ValueError if the set is not that of the archive."""
    with open_images(against) as source:
        if source.shape != archive.image_shape:
            raise ValueError(
                f"{against}: images are {source.shape}, expected {archive.image_shape}"
            )

        def batches() -> Iterator[Images]:
            seen = 0
            for batch in source.batches(_at_once(source.shape)):
                here = indices[(indices >= seen) & (indices < seen + len(batch))] - seen
                seen += len(batch)
                progress(seen, source.image_count)
                yield batch[here]
            if seen != len(archive):
                raise ValueError(f"{against}: {seen} images, expected {len(archive)}")

        return hold(batches(), source.shape, np.uint8)


def _errors(originals: Rows, decoded: Rows) -> dict[str, Any]:
    """The largest error of each image shown, and its PSNR in dB, None without error."""
    largest: list[int] = []
    psnr: list[float | None] = []
    samples = math.prod(originals.shape[1:])
    both = (batches_of(rows, DECODED_AT_ONCE, DECODED_NBYTES) for rows in (originals, decoded))
    for x, x_hat in zip(*both, strict=True):
        squares = metrics.squared_error(x, x_hat)
        psnr += [round(metrics.psnr_db(int(s), samples), 2) if s else None for s in squares]
        largest += metrics.max_error(x, x_hat).tolist()
    return {"max": largest, "psnr": psnr}


def _sizes(archive: Archive) -> list[dict[str, Any]]:
    """The bytes of the file by use; they add up to the whole file."""
    reader = archive.reader
    sizes: dict[str, int] = {}
    heads = 0
    for i in range(reader.chunk_count):
        head = reader.read_chunk_head(i)
        heads += CHUNK_HEAD_NBYTES + head.table_nbytes
        for mode in head.modes:
            label = f"images: {MODES[mode.mode].label(mode.parameter)}"
            sizes[label] = sizes.get(label, 0) + mode.nbytes
    for entry in reader.sections:
        label = SECTION_NAMES.get(entry.kind, f"section {entry.kind}")
        sizes[label] = sizes.get(label, 0) + entry.end_offset - entry.offset
    sizes["heads of chunks, checksums"] = heads
    rest = reader.file_nbytes - sum(sizes.values())
    sizes["header, copies, index, footer"] = rest
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return [{"name": name, "nbytes": nbytes} for name, nbytes in ordered if nbytes]


def _modes(archive: Archive, indices: Indices) -> dict[str, Any]:
    """``modes`` are the labels of modes; ``mode`` is the position of each image's among them."""
    numbers: dict[str, int] = {}
    chosen: list[int] = []
    chunks, starts = np.unique(indices // archive.chunk_images, return_index=True)
    pieces = np.split(indices, starts[1:]) if len(indices) else []
    for chunk, here in zip(chunks, pieces, strict=True):
        head = archive.reader.read_chunk_head(int(chunk))
        ends = np.cumsum([length for _, length in head.runs])
        for run in np.searchsorted(ends, here - chunk * archive.chunk_images, "right"):
            mode = head.modes[head.runs[run][0]]
            label = MODES[mode.mode].label(mode.parameter)
            chosen.append(numbers.setdefault(label, len(numbers)))
    return {"modes": list(numbers), "mode": chosen}


def _labels(archive: Archive, indices: Indices) -> dict[str, Any]:
    """``classes`` as texts; ``label`` is the position of each image's among them; None without.

    Of more than 200 classes only those of these images are given.
    """
    column, names = archive.sections.label_column, archive.classes
    if column is None:
        return {"classes": None, "label": None}
    values = column.take(indices).values
    if names and len(names) <= SHOWN_ENTRIES:
        return {"classes": [shortened(name, SHOWN_TEXT) for name in names], "label": list(values)}
    values = tuple(math.nan if _is_nan(value) else value for value in values)  # one NaN for all
    different = sorted(set(values), key=lambda value: (_is_nan(value), value))
    numbers = {value: number for number, value in enumerate(different)}
    texts = [names[int(value)] if names else str(value) for value in different]
    classes = [shortened(text, SHOWN_TEXT if names else LABEL_TEXT) for text in texts]
    return {"classes": classes, "label": [numbers[value] for value in values]}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
