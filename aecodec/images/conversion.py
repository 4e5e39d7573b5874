"""How an array that is not uint8 becomes images: advice, by its values where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BY_KIND = {  # where the values are not known
    "f": "for values from 0 to 1: (images * 255).round().astype(np.uint8)",
    "O": "for uint8 images of one shape: np.stack(images)",
}


def conversion_hint(dtype: np.dtype[Any], values: npt.NDArray[Any] | None = None) -> str:
    """What to do with an array of this dtype; ``values`` are those of it that are known."""
    if dtype.kind == "b":
        return "images.astype(np.uint8) * 255"
    if dtype.kind not in "iufO":
        return "expected whole numbers from 0 to 255"
    if values is None or not values.size:
        return BY_KIND.get(dtype.kind, "for values from 0 to 255: images.astype(np.uint8)")
    return _for_objects(values) if dtype.kind == "O" else _for_numbers(values)


def _for_numbers(values: npt.NDArray[Any]) -> str:
    least, most = values.min(), values.max()
    found = f"its values are {least:.6g} to {most:.6g}"
    if not (np.isfinite(least) and np.isfinite(most)):
        return "it holds NaN or infinity, which are no gray levels: replace them first"
    if least < 0:
        return f"{found}, and negative values are no gray levels: shift or clip them first"
    if values.dtype.kind == "f" and most <= 1:
        return f"{found}: (images * 255).round().astype(np.uint8)"
    if most > 255:
        return f"{found}, expected at most 255: scale or clip them first"
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        return f"{found}, not whole: images.round().astype(np.uint8)"
    return f"{found}: images.astype(np.uint8)"


def _for_objects(values: npt.NDArray[Any]) -> str:
    arrays = [each for each in values.flat if isinstance(each, np.ndarray)]
    if len(arrays) < values.size:
        other = next(each for each in values.flat if not isinstance(each, np.ndarray))
        return f"it holds a {type(other).__name__}, expected an array for each image"
    shapes = sorted({each.shape for each in arrays})
    if len(shapes) > 1:
        return (
            f"its images have {len(shapes)} shapes, {shapes[0]} and {shapes[1]} among them: "
            "crop or resize them to one, or make a set for each"
        )
    if all(each.dtype == np.uint8 for each in arrays):
        return "np.stack(images)"
    odd = next(each for each in arrays if each.dtype != np.uint8)
    if odd.dtype.kind == "O":
        return "its images are of dtype object themselves"
    return f"np.stack(images) first, then: {conversion_hint(odd.dtype, odd)}"
