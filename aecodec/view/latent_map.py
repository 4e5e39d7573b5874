"""The page's map: latents of the images shown, on two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.arrays import Indices
from aecodec.codec.choosing import NO_MODEL
from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER
from aecodec.held_rows import Rows, batches_of
from aecodec.models.finding import installed_models, load_model
from aecodec.models.model import Model

if TYPE_CHECKING:
    import os

BATCH_IMAGES, BATCH_NUMBERS = 128, 1 << 17  # in a network together
AXES_ROWS = 4096


def latent_map(
    archive: Archive,
    indices: Indices,
    images: Rows,
    wanted: Model | str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """The latents of the images shown on their two principal axes, as plain values.

    ``at`` are the positions of the images that have a point; ``note`` says why there is no map.
    ``wanted`` is the model for images of a file without latents; by default an installed one.
    """
    latents: npt.NDArray[Any] | None
    latents, has_any = _file_latents(archive, indices)
    source = "the file's own latents"
    if latents is None:
        model = _encoding_model(archive, wanted)
        if model is None:
            return {"note": "The file holds no latents, and no model at hand could make any."}
        networks = Codec(model).networks.latents()
        batches = batches_of(images, BATCH_IMAGES, BATCH_NUMBERS)
        latents = np.concatenate([networks.analyse(batch) for batch in batches])
        has_any = np.ones(len(images), bool)
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
    mean, triangle = latents.mean(axis=0), np.empty((0, latents.shape[1]))
    starts = range(0, len(latents), AXES_ROWS)
    for start in starts:  # the axes are those of the triangle, of any number of rows
        rows = latents[start : start + AXES_ROWS].astype(np.float64) - mean
        triangle = np.linalg.qr(np.concatenate([triangle, rows]))[1]
    _, spread, axes = np.linalg.svd(triangle, full_matrices=False)
    if len(axes) < 2 or spread[0] == 0:
        return np.zeros((len(latents), 2)), 1.0
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    points = np.empty((len(latents), 2))
    for start in starts:
        some = slice(start, start + AXES_ROWS)
        points[some] = (latents[some].astype(np.float64) - mean) @ axes.T
    return points / np.abs(points).max(), float((spread[:2] ** 2).sum() / (spread**2).sum())


def _file_latents(
    archive: Archive, indices: Indices
) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.bool_]]:
    """The latents of those images that have them, and which do; None if fewer than half do."""
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
