"""Checks of a loaded model's parts, before networks are built from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from aecodec.errors import AezLimitError, ModelCorruptError
from aecodec.models.model import Model, Part

MIXTURES_MAX = 256  # of each distribution: decoding a pixel or latent takes time for each
LISTED = 8  # names in an error at most
MAX_WIDTH = 4096  # of any neural layer; a config is checked before any tensor

Config = TypeVar("Config")


def shortened(names: Sequence[str]) -> str:
    """Some of the names of a stranger, for an error."""
    listed = ", ".join(repr(name[:40]) for name in names[:LISTED])
    return f"[{listed}{', ...' if len(names) > LISTED else ''}]"


def read_part(model: Model, name: str) -> Part:
    """The named part; ModelCorruptError if the model has none."""
    part = model.parts.get(name)
    if part is None:
        raise ModelCorruptError(f"model {model.name!r} has no part {name}")
    return part


def read_config(part: Part, cls: type[Config], **own: int) -> Config:
    """The part's config as the dataclass ``cls``; ``own`` are the fields that no config holds."""
    names = {f.name for f in fields(cls)} - set(own)  # type: ignore[arg-type]
    return cls(**read_numbers(part, names), **own)


def read_numbers(part: Part, names: Collection[str]) -> dict[str, int]:
    """The part's config; ModelCorruptError unless it has exactly these names, each in its range."""
    values: dict[str, Any] = {**part.config}
    if set(values) != set(names):
        found = shortened(sorted(values))
        raise ModelCorruptError(f"{part.name}: config has {found}, not {sorted(names)}")
    for name, value in values.items():
        least = 0 if name.endswith("_blocks") else 1  # aez.md 10.6
        if type(value) is not int or not least <= value <= MAX_WIDTH:
            raise ModelCorruptError(
                f"{part.name}: {name} is {value!r:.40}, not {least}..{MAX_WIDTH}"
            )
    return values


def check_shape(part: Part, model: Model) -> None:
    """ModelCorruptError if the part is for images of another shape than its model."""
    if part.shape is not None and part.shape != model.shape:
        raise ModelCorruptError(f"{part.name}: shape differs from the model's {model.shape}")


def check_mixtures(part_name: str, mixtures: int) -> None:
    """AezLimitError for more logistics in each distribution than decoding has time for."""
    if mixtures > MIXTURES_MAX:
        raise AezLimitError(
            f"{part_name}: mixtures is {mixtures}, this reader takes up to {MIXTURES_MAX}"
        )


def take_tensors(
    part: Part, wanted: Mapping[str, tuple[tuple[int, ...], type]]
) -> dict[str, np.ndarray]:
    """The part's tensors; ModelCorruptError unless they are exactly ``wanted``.

    ``wanted`` maps names to shape and dtype.
    """
    if unknown := sorted(set(part.tensors) - set(wanted)):
        raise ModelCorruptError(f"{part.name}: unknown tensors {shortened(unknown)}")
    for name, (shape, kind) in wanted.items():
        tensor = part.tensors.get(name)
        if tensor is None:
            raise ModelCorruptError(f"{part.name}: tensor {name} is missing")
        if tensor.shape != shape or tensor.dtype != kind:
            raise ModelCorruptError(
                f"{part.name}: tensor {name} is {tensor.dtype} {tensor.shape}, "
                f"expected {np.dtype(kind)} {shape}"
            )
    return dict(part.tensors)
