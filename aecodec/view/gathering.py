"""The data of the page, from an open archive: facts, some of its images, errors, sizes, a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.archive.array import Archive
from aecodec.archive.options import Progress, no_progress
from aecodec.arrays import Images, Indices, evenly
from aecodec.container.chunks import CHUNK_HEAD_NBYTES
from aecodec.container.modes import MODES
from aecodec.images import open_images
from aecodec.io.pages import shortened
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.view.latent_map import latent_map
from aecodec.view.sheets import SHEET_COLUMNS, SHEET_IMAGES

if TYPE_CHECKING:
    import os


DECODED_AT_ONCE = 256
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
    images: Images
    originals: Images | None


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
    most = max(1, SHOWN_NBYTES // math.prod(archive.image_shape))
    indices = evenly(len(archive), min(count, most))
    images = _decode(archive, indices, progress)
    originals = None if against is None else _pick(archive, against, indices, progress)
    height, width, channels = archive.image_shape
    data: dict[str, Any] = {
        "file": archive.name,
        "info": _info(archive),
        "indices": indices.tolist(),
        "tile": {"height": height, "width": width, "channels": channels},
        "sheet": {"columns": SHEET_COLUMNS, "images": SHEET_IMAGES},
        "parts": _sizes(archive),
        **_modes(archive, indices),
        **_labels(archive, indices),
        "names": _names(archive, indices),
        "errors": None if originals is None else _errors(originals, images),
        "map": latent_map(archive, indices, images, model),
    }
    return Gathered(data, images, originals)


def _decode(archive: Archive, indices: Indices, progress: Progress) -> Images:
    images = np.empty((len(indices), *archive.image_shape), np.uint8)
    for start in range(0, len(indices), DECODED_AT_ONCE):
        some = slice(start, start + DECODED_AT_ONCE)
        images[some] = archive.take(indices[some]).reshape(-1, *archive.image_shape)
        progress(min(start + DECODED_AT_ONCE, len(indices)), len(indices))
    return images


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
    names = archive.names
    return None if names is None else [shortened(names[i], SHOWN_TEXT) for i in indices]


def _pick(
    archive: Archive,
    against: str | os.PathLike[str] | BinaryIO,
    indices: Indices,
    progress: Progress,
) -> Images:
    """The originals of these images; ValueError if the set is not that of the archive."""
    with open_images(against) as source:
        if source.shape != archive.image_shape:
            raise ValueError(
                f"{against}: images are {source.shape}, expected {archive.image_shape}"
            )
        picked, seen = [np.empty((0, *source.shape), np.uint8)], 0
        for batch in source.batches(4096):
            here = indices[(indices >= seen) & (indices < seen + len(batch))] - seen
            picked.append(batch[here])
            seen += len(batch)
            progress(seen, source.image_count)
    if seen != len(archive):
        raise ValueError(f"{against}: {seen} images, expected {len(archive)}")
    return np.concatenate(picked)


def _errors(x: Images, x_hat: Images) -> dict[str, Any]:
    """The largest error of each image shown, and its PSNR in dB, None without error."""
    squares = metrics.squared_error(x, x_hat)
    samples = math.prod(x.shape[1:])
    psnr = [round(metrics.psnr_db(int(s), samples), 2) if s else None for s in squares]
    return {"max": metrics.max_error(x, x_hat).tolist(), "psnr": psnr}


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
    column, names = archive.annotations.labels, archive.classes
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
