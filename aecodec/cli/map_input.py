"""What ``aecodec map`` maps: the rows of a table, latents, or images."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aecodec.cli.files import Source
from aecodec.cli.limits import limits_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from aecodec.archive.array import Archive
    from aecodec.arrays import Images
    from aecodec.held_rows import Rows
    from aecodec.images import Skipped
    from aecodec.uses.inputs import ImageSet

POINT_NBYTES = 128  # that a point takes, with its label and its distances
DENSE_NBYTES = 16384  # that training a linear or dense map takes, for each number of a row
STEP_NBYTES = 20480  # the same of a map of images, for each of their samples
GRAY_LEVELS, OF_LATENTS, OF_TABLE = "gray levels", "units of 256 gray levels", "the table's units"


@dataclass(frozen=True, eq=False)
class MapInput:
    """What to map: the rows of a table, latents, or images, and what to call it.

    Images that come with rows are shown on the page. ``names`` are those of the images, and
    ``skipped`` what the set holds besides. ``unit`` is what errors are in, before they are squared.
    """

    rows: Rows | None
    images: Rows | None
    source: str
    names: Sequence[str] | None = None
    skipped: tuple[Skipped, ...] = ()
    unit: str = GRAY_LEVELS

    @property
    def flat(self) -> Rows:
        """What is mapped: rows (N, P) or images (N, H, W, C)."""
        mapped = self.images if self.rows is None else self.rows
        if mapped is None:
            raise TypeError("neither rows nor images to map")
        return mapped


def read_input(a: argparse.Namespace, source: Source) -> MapInput:
    """Read a table, the latents of an ``.aez``, or images, or make latents by a codec's model."""
    from aecodec.uses.inputs import is_aez, load_image_set, read_table

    if is_aez(source):
        if latents := _latents_within(a, source):
            return latents
    elif (table := read_table(source)) is not None:
        if a.model:
            raise ValueError(f"--model: {a.input} is a table, models are for images")
        return MapInput(table, None, "a table", unit=OF_TABLE)
    found = load_image_set(source, limits_of(a), with_names=a.labels is not None)
    if a.model and not _is_for_map(a.model):
        return _latents_by_model(a.model, found)
    return MapInput(None, found.images, "images", found.names, found.skipped)


def _latents_by_model(name: str, found: ImageSet) -> MapInput:
    """Latents of images, by the encoder of a codec's model."""
    from aecodec.latents.layer import LatentNetworks
    from aecodec.models.finding import load_model
    from aecodec.uses.latents import make_latents

    images, model = found.images, load_model(name)
    model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    rows, source = make_latents(LatentNetworks(model), images), f"latents by model {model.name}"
    return MapInput(rows, images, source, found.names, found.skipped, OF_LATENTS)


def require_memory_to_map(a: argparse.Namespace, found: MapInput) -> None:
    """AezLimitError if the points, or a step of training, take too much memory."""
    from aecodec.uses.inputs import require_memory

    count, *shape = found.flat.shape
    samples, limits = math.prod(shape), limits_of(a)
    require_memory(limits, a.input, count * POINT_NBYTES, f"to map {count} images")
    if a.linear or found.rows is not None:
        what = f"to train on rows of {samples} numbers"
        require_memory(limits, a.input, samples * DENSE_NBYTES, what)
    elif not a.model:
        what = f"to train on images of {'x'.join(map(str, shape))}"
        require_memory(limits, a.input, samples * STEP_NBYTES, what)


def _latents_within(a: argparse.Namespace, source: Source) -> MapInput | None:
    """The latents that an ``.aez`` holds; None without, or if --model maps the images."""
    from aecodec.archive.array import Archive
    from aecodec.uses.inputs import read_all
    from aecodec.uses.knowing import bundled_map_for
    from aecodec.uses.latents import has_latents, read_latents

    for_map = _is_for_map(a.model)
    model = None if for_map else a.model
    with Archive(source, model=model, limits=limits_of(a)) as archive:
        if for_map or not len(archive) or not has_latents(archive):
            return None
        if takes_bundled(a) and bundled_map_for(_some(archive), a.dims):
            return None  # of the images themselves
        on_page = a.output.lower().endswith(".html")
        images = read_all(archive) if on_page else None
        latents = read_latents(archive)
        names = archive.names if a.labels else None
        return MapInput(latents, images, "latents in the file", names, unit=OF_LATENTS)


def takes_bundled(a: argparse.Namespace) -> bool:
    """Whether a bundled map may be taken: nothing asks for another or for training."""
    return not (a.model or a.linear or a.steps)


def _some(archive: Archive) -> Images:
    """Some images (n, H, W, C) of an ``.aez``, which tell whether a map knows them."""
    from aecodec.arrays import evenly
    from aecodec.uses.knowing import SAMPLE_IMAGES

    return archive.take(evenly(len(archive), SAMPLE_IMAGES)).reshape(-1, *archive.image_shape)


def _is_for_map(name: str | None) -> bool:
    """Whether --model names a model that was trained for maps, by its name or file."""
    from aecodec.models.finding import load_model
    from aecodec.uses.stored import FOLDER, MAP

    if name is None:
        return False
    if (FOLDER / f"{name}-{MAP}.safetensors").is_file():
        return True
    return bool(load_model(name).encoder_config.get("use") == MAP)


def labels_within(a: argparse.Namespace, source: Source) -> npt.NDArray[Any] | None:
    """The labels that an ``.aez`` holds; None without, and for other files."""
    import numpy as np

    from aecodec.archive.array import Archive
    from aecodec.uses.inputs import is_aez

    if not is_aez(source):
        return None
    with Archive(source, limits=limits_of(a)) as archive:
        column = archive.sections.label_column
        if column is None:
            return None
        if not column.texts:
            return column.array
        # Long texts are kept once each: an array of texts is as wide as the longest one.
        different = np.array(column.texts, object)
        labels: npt.NDArray[Any] = different[np.frombuffer(column.data, "<u4")]
        return labels
