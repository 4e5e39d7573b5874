"""Layer R's networks at work: a model's exact pixel model and dequantizer, NumPy in and out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from aecodec.arrays import Planes
from aecodec.container.parts import DEQUANTIZER, TONES, UNDERLAY
from aecodec.errors import ModelCorruptError
from aecodec.forks import fork_safe
from aecodec.models.checking import (
    check_mixtures,
    check_shape,
    read_numbers,
    read_part,
    take_tensors,
)
from aecodec.models.model import Model
from aecodec.nets import dequantizer, pixel_model
from aecodec.nets.dequantizer import DequantizerConfig, ExactDequantizer
from aecodec.nets.pixel_model import ExactPixelModel, PixelConfig
from aecodec.nets.planes import PlaneGrid
from aecodec.targets import STORED_MAX, STORED_MIN

BATCH_IMAGES = 256  # images in the networks at once: their activations stay near the caches
BATCH_NUMBERS = 1 << 21  # that a layer outputs for a batch, at most: a file may have wide ones


def read_pixel_model(
    model: Model, part_name: str
) -> tuple[PlaneGrid, PixelConfig, dict[str, np.ndarray]]:
    """Shape of images, widths and tensors of a pixel model; ModelCorruptError if one is wrong."""
    part = read_part(model, part_name)
    numbers = read_numbers(part, {"height", "width", "channels", "features", "mixtures"})
    check_shape(part, model)
    check_mixtures(part_name, numbers["mixtures"])
    grid = PlaneGrid(numbers["height"], numbers["width"], numbers["channels"])
    c = PixelConfig(
        grid.channels,
        numbers["features"],
        numbers["mixtures"],
        toned=TONES in part.tensors,
        underlaid=UNDERLAY in part.tensors,
    )
    tensors = take_tensors(part, pixel_model.tensor_shapes(c, grid))
    if c.underlaid:
        stored_quality = int(tensors[UNDERLAY][0])
        if not STORED_MIN <= stored_quality <= STORED_MAX:
            raise ModelCorruptError(
                f"{part_name}: underlay is {stored_quality}, expected {STORED_MIN}..{STORED_MAX}"
            )
    return grid, c, tensors


def _batch_images(width: int, planes: Planes) -> int:
    """How many images go into a network at once, whose widest layer has so many channels."""
    return max(1, min(BATCH_IMAGES, BATCH_NUMBERS // (width * math.prod(planes.shape[2:]))))


class PixelNetworks:
    """The pixel model of one part on one device.

    ``underlay`` is the stored quality of the latents that its underlay is decoded from; None for a
    model without an underlay.

    Raises ModelCorruptError, with the layer's name, for a part that lacks a tensor, has one of
    another shape or type, or cannot be proven to decode exactly.
    """

    @fork_safe
    def __init__(self, model: Model, part_name: str, device: str = "cpu") -> None:
        self.device = torch.device(device)
        _, self.config, tensors = read_pixel_model(model, part_name)
        self.underlay = int(tensors[UNDERLAY][0]) if self.config.underlaid else None
        self._net = ExactPixelModel(self.config, tensors).to(self.device)

    @property
    def threads(self) -> int:
        """How many threads may decode at once: as many as torch uses."""
        return torch.get_num_threads()

    @property
    def mixtures(self) -> int:
        """K, the logistics of each pixel's distribution."""
        return self.config.mixtures

    @fork_safe
    def predict(
        self, k: int, planes: Planes, bound: int, grid: PlaneGrid, underlay: Planes | None = None
    ) -> npt.NDArray[np.int32]:
        """Planes (N, P, R, S) of images of one shape, the first k known -> parameters of plane k.

        ``bound`` is E and ``grid`` the images' shape. ``underlay`` (N, P, R, S) is for a model that
        has one. Returns raw parameters, int32 (N, rows, columns, 3K), of those pixels of the plane
        that lie in the image.
        """
        rows, columns = grid.plane_shape(k)
        out = np.empty((len(planes), rows, columns, 3 * self.config.mixtures), np.int32)
        step = _batch_images(max(self.config.features, out.shape[-1]), planes)
        for start in range(0, len(planes), step):
            some = slice(start, start + step)
            batch = torch.from_numpy(planes[some, :k]).to(self.device)
            under = None if underlay is None else torch.from_numpy(underlay[some]).to(self.device)
            raw = self._net(k, batch, bound, under)[:, :rows, :columns]
            out[some] = raw.cpu().numpy()
        return out


class Dequantizer:
    """The dequantizer of a model on one device; it raises as :class:`PixelNetworks` does."""

    @fork_safe
    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.device = torch.device(device)
        part = read_part(model, DEQUANTIZER)
        numbers = read_numbers(part, {"height", "width", "channels", "features"})
        check_shape(part, model)
        grid = PlaneGrid(numbers["height"], numbers["width"], numbers["channels"])
        c = DequantizerConfig(grid.channels, numbers["features"])
        tensors = take_tensors(part, dequantizer.tensor_shapes(c, grid))
        self._net = ExactDequantizer(c, tensors).to(self.device)

    @fork_safe
    def move(self, planes: Planes, bound: int) -> Planes:
        """Planes (N, P, R, S) as decoded under a bound E -> the same, pixels moved by at most E."""
        moved = np.empty_like(planes)
        step = _batch_images(max(self._net.config.features, planes.shape[1]), planes)
        for start in range(0, len(planes), step):
            batch = torch.from_numpy(planes[start : start + step]).to(self.device)
            moved[start : start + len(batch)] = self._net(batch, bound).cpu().numpy()
        return moved
