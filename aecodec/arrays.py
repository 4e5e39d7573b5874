"""The types of the arrays that modules share, by content, and a sampler of positions."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Shape: TypeAlias = tuple[int, int, int]  # of an image: (H, W, C)
Images: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W, C), gray levels 0 to 255
Planes: TypeAlias = npt.NDArray[np.uint8]  # (N, P, R, S), gray levels by plane; see nets.planes
Symbols: TypeAlias = npt.NDArray[np.int16]  # (N, D), quantized latents
Indices: TypeAlias = npt.NDArray[np.intp]  # (n,), positions in an array
Floats: TypeAlias = npt.NDArray[np.float32]
Bits: TypeAlias = npt.NDArray[np.float64]  # the rates of images


def evenly(total: int, count: int, *, ends: bool = False) -> Indices:
    """``count`` positions spread evenly over 0..total-1; all of them if ``total`` is not larger.

    With ``ends`` the first and the last position are among them.
    """
    if total <= count:
        return np.arange(total)
    if ends:
        return np.linspace(0, total - 1, count).astype(np.intp)
    return np.arange(count) * total // count
