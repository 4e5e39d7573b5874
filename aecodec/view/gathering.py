"""What the page shows of an open archive: facts, some of its images, errors, sizes, a map."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.archive.options import Progress, no_progress
from aecodec.arrays import Images
from aecodec.codec.choosing import NO_MODEL
from aecodec.codec.codec import Codec
from aecodec.container.chunks import CHUNK_HEAD_NBYTES
from aecodec.container.modes import MODES
from aecodec.container.parts import LATENT_DECODER
from aecodec.images import open_images
from aecodec.measures import metrics
from aecodec.models.finding import installed_models, load_model
from aecodec.models.model import Model

if TYPE_CHECKING:
    import os
    from types import ModuleType


SHEET_COLUMNS = 16
SHEET_IMAGES = SHEET_COLUMNS * SHEET_COLUMNS
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
    """``data`` is what the page draws from, plain values; the images go into sheets."""

    data: dict[str, Any]
    images: Images
    originals: Images | None


def gather(
    archive: Archive,
    *,
    count: int,
    against: str | os.PathLike[str] | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> Gathered:
    """Facts of the whole file and ``count`` of its images, evenly spread.

    ``model`` makes the map of a file that holds no latents; by default an installed one does.
    ``progress`` is told how far decoding has come, or reading the originals.
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected at least 1")
    most = max(1, SHOWN_NBYTES // math.prod(archive.image_shape))
    indices = _spread(len(archive), min(count, most))
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
        "map": _map(archive, indices, images, model),
    }
    return Gathered(data, images, originals)


def _spread(total: int, count: int) -> npt.NDArray[np.intp]:
    if total <= count:
        return np.arange(total)
    return np.arange(count) * total // count


def _decode(archive: Archive, indices: npt.NDArray[np.intp], progress: Progress) -> Images:
    parts = [np.empty((0, *archive.image_shape), np.uint8)]
    for start in range(0, len(indices), DECODED_AT_ONCE):
        parts.append(archive.take(indices[start : start + DECODED_AT_ONCE]))
        progress(min(start + DECODED_AT_ONCE, len(indices)), len(indices))
    return np.concatenate(parts)


def _pick(
    archive: Archive,
    against: str | os.PathLike[str],
    indices: npt.NDArray[np.intp],
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
    """Of each image shown: largest error, and PSNR in dB, None without error."""
    squares = metrics.squared_error(x, x_hat)
    samples = math.prod(x.shape[1:])
    psnr = [round(metrics.psnr_db(int(s), samples), 2) if s else None for s in squares]
    return {"max": metrics.max_error(x, x_hat).tolist(), "psnr": psnr}


def _sizes(archive: Archive) -> list[dict[str, Any]]:
    """Bytes of the file by what they are for; they add up to the whole."""
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


def _modes(archive: Archive, indices: npt.NDArray[np.intp]) -> dict[str, Any]:
    """``modes`` of the file, and of each image shown its number among them."""
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


def _labels(archive: Archive, indices: npt.NDArray[np.intp]) -> dict[str, Any]:
    """``classes`` as texts, and of each image shown its number among them; None without labels."""
    labels, names = archive.labels, archive.classes
    if labels is None:
        return {"classes": None, "label": None}
    values = labels[indices]
    if names:
        return {"classes": list(names), "label": values.tolist()}
    different, numbers = np.unique(values, return_inverse=True)
    return {"classes": [str(v)[:LABEL_TEXT] for v in different.tolist()], "label": numbers.tolist()}


# ---------------------------------------------------------------- the map


def _map(
    archive: Archive,
    indices: npt.NDArray[np.intp],
    images: Images,
    wanted: Model | str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Latents on their two principal axes: ``at`` numbers the images shown, or ``note`` why not."""
    latents: npt.NDArray[Any] | None
    latents, has_any = _file_latents(archive, indices)
    source = "the file's own latents"
    if latents is None:
        model = _encoding_model(archive, wanted)
        if model is None:
            return {"note": "The file holds no latents, and no model at hand could make any."}
        latents, has_any = (
            Codec(model).networks.latents().analyse(images),
            np.ones(len(images), bool),
        )
        source = f"latents that model {model.name} makes of the decoded images"
    if len(latents) < 3:
        return {"note": "A map needs three images."}
    points, share = principal_axes(latents)
    return {
        "at": np.flatnonzero(has_any).tolist(),
        "x": np.round(points[:, 0], 4).tolist(),
        "y": np.round(points[:, 1], 4).tolist(),
        "source": source,
        "share": round(share, 3),
    }


def principal_axes(latents: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], float]:
    """Points (n, 2) within -1..1, and the share of the variance that the two axes hold."""
    centred = latents.astype(np.float64) - latents.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    if len(axes) < 2 or spread[0] == 0:
        return np.zeros((len(latents), 2)), 1.0
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    points = centred @ axes.T
    return points / np.abs(points).max(), float((spread[:2] ** 2).sum() / (spread**2).sum())


def _file_latents(
    archive: Archive, indices: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.bool_]]:
    """Latents of those images that have them, and which do; None if fewer than half."""
    if not any(part.name == LATENT_DECODER for part in archive.reader.parts):
        return None, np.zeros(0, bool)
    size = archive.reader.header.chunk_images
    numbers = [int(i) for i in np.unique(indices // size)]
    rows, has_any = [], []
    for number, opened in zip(numbers, archive.open_chunks(numbers), strict=True):
        here = indices[indices // size == number] - number * size
        latents, found = opened.latents(here)
        has_any.append(found)
        if len(latents):
            rows.append(latents)
    found = np.concatenate([np.zeros(0, bool), *has_any])
    if 2 * found.sum() < len(indices) or not rows:
        return None, found
    return np.concatenate(rows), found


def _encoding_model(
    archive: Archive, wanted: Model | str | os.PathLike[str] | None
) -> Model | None:
    if wanted is not None and wanted != NO_MODEL:
        model = wanted if isinstance(wanted, Model) else load_model(wanted)
        model.require_shape(archive.image_shape)
        return model if model.encoder else None
    fitting = [m for m in installed_models() if m.shape == archive.image_shape and m.encoder]
    named = [m for m in fitting if m.name == archive.reader.model_name]
    return next(iter(named or fitting), None)


# ---------------------------------------------------------------- sheets


def sheets(images: Images) -> list[bytes]:
    """PNGs of 16 x 16 images each, the last one filled up with zeros."""
    pillow = _import_pillow()
    _, height, width, channels = images.shape
    made = []
    for start in range(0, len(images), SHEET_IMAGES):
        tiles = np.zeros((SHEET_IMAGES, height, width, channels), np.uint8)
        part = images[start : start + SHEET_IMAGES]
        tiles[: len(part)] = part
        grid = tiles.reshape(SHEET_COLUMNS, SHEET_COLUMNS, height, width, channels)
        sheet = grid.swapaxes(1, 2).reshape(SHEET_COLUMNS * height, SHEET_COLUMNS * width, channels)
        out = io.BytesIO()
        picture = pillow.fromarray(sheet[..., 0] if channels == 1 else sheet)
        picture.save(out, "PNG", optimize=True)
        made.append(out.getvalue())
    return made


def _import_pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("view needs Pillow: pip install 'aecodec[png]'") from error
    return Image
