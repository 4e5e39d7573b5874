"""What ``aecodec train`` reads: the images, indices of some of them, and numbers in its options."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from aecodec.cli.files import name_of, source_of
from aecodec.errors import ImageSetError

if TYPE_CHECKING:
    from aecodec.arrays import Images, Indices
    from aecodec.training.loop import TrainConfig

Config = TypeVar("Config", bound="TrainConfig")

SIDE_MIN, SIDE_MAX = 8, 64
READ_IMAGES: Final = 4096
_OPTIONS: Final = {  # of the command, by the fields of a configuration
    "steps": "steps",
    "batch_images": "batch",
    "flip": "flip",
    "shift": "shift",
    "weight_decay": "weight_decay",
    "seed": "seed",
    "validation": "validation",
}
_RATES: Final = ("lr_matrices", "lr", "lr_rate")


def configure(config: Config, a: argparse.Namespace) -> Config:
    """A layer's default configuration, changed by the options; ValueError names a wrong one."""
    chosen = {field: getattr(a, option) for field, option in _OPTIONS.items()}
    config = replace(config, **{k: v for k, v in chosen.items() if v is not None})
    if a.lr_scale is not None:
        config = replace(config, **{k: a.lr_scale * getattr(config, k) for k in _RATES})
    for option, least in (("--steps", config.steps), ("--batch", config.batch_images)):
        if least < 1:
            raise ValueError(f"{option}: expected 1 or more, got {least}")
    _require("--flip", config.flip, 1)
    _require("--shift", config.shift, 1)
    if a.lr_scale is not None and not 0 < a.lr_scale <= 10:
        raise ValueError(f"--lr-scale: expected 0 to 10, got {a.lr_scale}")
    _require("--weight-decay", config.weight_decay, 10)
    if not 0 <= config.validation < 1:
        raise ValueError(f"--validation: expected 0 to 1, got {config.validation}")
    return config


def _require(option: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # written so that NaN fails too
        raise ValueError(f"{option}: expected 0 to {most}, got {value}")


def load_set(path: str) -> tuple[Images, dict[str, object]]:
    """The images uint8 (N, H, W, C) and where they are from; ImageSetError if they are unfit."""
    import numpy as np

    from aecodec.images import open_images

    with open_images(source_of(path)) as source:
        height, width, _ = shape = source.shape
        if not all(SIDE_MIN <= side <= SIDE_MAX for side in (height, width)):
            raise ImageSetError(
                f"{path}: images are {height}x{width}, "
                f"sides {SIDE_MIN} to {SIDE_MAX} can be trained"
            )
        data = bytearray()  # it grows in place, and the number of images that a file states may lie
        for batch in source.batches(READ_IMAGES):
            data += batch.data
    if not data:
        raise ImageSetError(f"{path}: the set is empty, nothing to train on")
    images = np.frombuffer(data, np.uint8).reshape(-1, *shape)
    name = name_of(path)
    digest = hashlib.sha256(data).hexdigest()
    return images, {"data": name, "data_sha256": digest, "images": len(images)}


def load_indices(path: str, count: int) -> Indices:
    """Indices of images, 0 to count - 1, from a ``.npy`` file."""
    import numpy as np

    from aecodec.images.plain import load_npy

    try:
        indices = load_npy(path)
    except ValueError as error:
        raise ValueError(f"--exact: {path} is not a .npy file of indices: {error}") from error
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(
            f"--exact: expected a row of whole numbers, got {indices.dtype} {indices.shape}"
        )
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        raise ValueError(f"--exact: expected indices 0 to {count - 1}, got {indices.max()}")
    whole: Indices = indices.astype(np.intp)
    return whole
