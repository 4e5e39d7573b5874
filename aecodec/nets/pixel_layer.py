"""Layer R put to work: a loaded model's exact pixel model and dequantizer, NumPy in and out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from aecodec.errors import ModelCorruptError
from aecodec.models import DEQUANTIZER, TONES, UNDERLAY, Model
from aecodec.nets import dequantizer, pixel_model
from aecodec.nets.dequantizer import DequantizerConfig, ExactDequantizer
from aecodec.nets.pixel_model import ExactPixelModel, PixelConfig
from aecodec.nets.planes import split_planes
from aecodec.nets.reading import read_config, read_part, take_tensors
from aecodec.quantizer import STORED_MAX, STORED_MIN

BATCH_IMAGES = 256  # images in the networks at once: their activations stay near the caches


def read_pixel_model(model: Model, part_name: str) -> tuple[PixelConfig, dict[str, np.ndarray]]:
    """Config and tensors of a pixel model, checked; ModelCorruptError if one is off."""
    part = read_part(model, part_name)
    told = {"toned": TONES in part.tensors, "underlaid": UNDERLAY in part.tensors}
    c = read_config(part, PixelConfig, model.shape, **told)
    tensors = take_tensors(part, pixel_model.tensor_shapes(c))
    if c.underlaid and not STORED_MIN <= (quality := int(tensors[UNDERLAY][0])) <= STORED_MAX:
        raise ModelCorruptError(
            f"{part_name}: underlay is {quality}, expected {STORED_MIN}..{STORED_MAX}"
        )
    return c, tensors


class PixelLayer:
    """The pixel model of one part on one device.

    ``underlay`` is the stored quality of the latents that it stands on, None where it has none.
    Raises ModelCorruptError, with the layer's name, for a part that lacks a tensor, has one of
    another shape or type, or cannot be proven to decode exactly.
    """

    def __init__(self, model: Model, part_name: str, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.config, tensors = read_pixel_model(model, part_name)
        self.underlay = int(tensors[UNDERLAY][0]) if self.config.underlaid else None
        self._net = ExactPixelModel(self.config, tensors).to(self.device)

    @property
    def threads(self) -> int:
        """How many threads may work at once: as many as torch takes."""
        return torch.get_num_threads()

    def split(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Images (N, H, W, C) -> planes in coding order (N, P, R, S), zeros where no pixel is."""
        writable = np.require(images, requirements="W")  # torch warns of arrays that are not
        return split_planes(torch.from_numpy(writable), self.config).contiguous().numpy()

    def join(self, planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Planes (N, P, R, S) -> images (N, H, W, C)."""
        c = self.config
        images = np.empty((len(planes), c.height, c.width, c.channels), np.uint8)
        for k in range(c.planes):
            row, column, channel = c.plane(k)
            rows, columns = c.plane_shape(k)
            images[:, row::4, column::4, channel] = planes[:, k, :rows, :columns]
        return images

    def predict(
        self,
        k: int,
        planes: npt.NDArray[np.uint8],
        bound: int,
        underlay: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.int32]:
        """Planes (N, P, R, S), the first k known -> raw parameters of plane k's pixels.

        ``underlay`` (N, P, R, S) is what a model that has one stands on. Returns int32 (N, rows,
        columns, 3K), only those that lie in the image.
        """
        rows, columns = self.config.plane_shape(k)
        out = np.empty((len(planes), rows, columns, 3 * self.config.mixtures), np.int32)
        for start in range(0, len(planes), BATCH_IMAGES):
            some = slice(start, start + BATCH_IMAGES)
            batch = torch.from_numpy(planes[some, :k]).to(self.device)
            under = None if underlay is None else torch.from_numpy(underlay[some]).to(self.device)
            raw = self._net(k, batch, bound, under)[:, :rows, :columns]
            out[some] = raw.cpu().numpy()
        return out


class Dequantizer:
    """The dequantizer of a model on one device; errors as those of :class:`PixelLayer`."""

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.device = torch.device(device)
        part = read_part(model, DEQUANTIZER)
        c = read_config(part, DequantizerConfig, model.shape)
        tensors = take_tensors(part, dequantizer.tensor_shapes(c))
        self._net = ExactDequantizer(c, tensors).to(self.device)

    def move(self, planes: npt.NDArray[np.uint8], bound: int) -> npt.NDArray[np.uint8]:
        """Planes (N, P, R, S) as decoded under a bound E -> each pixel moved by at most E."""
        moved = np.empty_like(planes)
        for start in range(0, len(planes), BATCH_IMAGES):
            batch = torch.from_numpy(planes[start : start + BATCH_IMAGES]).to(self.device)
            moved[start : start + len(batch)] = self._net(batch, bound).cpu().numpy()
        return moved
