"""The data of the page, from an open archive: facts, some of its images, errors, sizes, a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.archive.array import Archive
from aecodec.archive.options import Progress, no_progress
from aecodec.arrays import Images, Indices, evenly
from aecodec.container.chunks import CHUNK_HEAD_NBYTES
from aecodec.container.modes import MODES
from aecodec.images import open_images
from aecodec.measures import metrics
from aecodec.models.model import Model
from aecodec.view.latent_map import latent_map
from aecodec.view.sheets import SHEET_COLUMNS, SHEET_IMAGES

if TYPE_CHECKING:
    import os


DECODED_AT_ONCE = 256
SHOWN_NBYTES = 64 << 20  # of pixels, at most, on a page
LABEL_TEXT = 40  # characters of a label that are shown
SECTION_NAMES = {
    "PART": "names of the model's parts",
    "META": "title and other facts",
    "NAME": "names of images",
    "COLM": "labels and columns",
    "MODL": "embedded model",
}


@dataclass(frozen=True)
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
    names = archive.names
    data: dict[str, Any] = {
        "file": archive.name,
        "info": archive.info,
        "indices": indices.tolist(),
        "tile": {"height": height, "width": width, "channels": channels},
        "sheet": {"columns": SHEET_COLUMNS, "images": SHEET_IMAGES},
        "parts": _sizes(archive),
        **_modes(archive, indices),
        **_labels(archive, indices),
        "names": None if names is None else [names[i] for i in indices],
        "errors": None if originals is None else _errors(originals, images),
        "map": latent_map(archive, indices, images, model),
    }
    return Gathered(data, images, originals)


def _decode(archive: Archive, indices: Indices, progress: Progress) -> Images:
    parts = [np.empty((0, *archive.image_shape), np.uint8)]
    for start in range(0, len(indices), DECODED_AT_ONCE):
        parts.append(archive.take(indices[start : start + DECODED_AT_ONCE]))
        progress(min(start + DECODED_AT_ONCE, len(indices)), len(indices))
    return np.concatenate(parts)


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
    size = archive.reader.header.chunk_images
    for chunk in np.unique(indices // size):
        head = archive.reader.read_chunk_head(int(chunk))
        of_chunk: list[int] = []
        for index, length in head.runs:
            label = MODES[head.modes[index].mode].label(head.modes[index].parameter)
            of_chunk += [numbers.setdefault(label, len(numbers))] * length
        chosen += [of_chunk[i - chunk * size] for i in indices[indices // size == chunk]]
    return {"modes": list(numbers), "mode": chosen}


def _labels(archive: Archive, indices: Indices) -> dict[str, Any]:
    """``classes`` as texts; ``label`` is the position of each image's among them; None without."""
    labels, names = archive.labels, archive.classes
    if labels is None:
        return {"classes": None, "label": None}
    values = labels[indices]
    if names:
        return {"classes": list(names), "label": values.tolist()}
    different, numbers = np.unique(values, return_inverse=True)
    return {"classes": [str(v)[:LABEL_TEXT] for v in different.tolist()], "label": numbers.tolist()}
