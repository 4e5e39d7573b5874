"""Layer R: an integer-exact model of pixels given pixels (clause 11 of aez.md).

The image is split into planes (:mod:`aecodec.nets.planes`). Every plane's pixels are predicted in
one pass from the planes before it:

    planes known -> 3x3 conv -> 3x3 conv -> dense -> dense -> mixture of logistics for each pixel

A model may have tones: a table that gives every gray level a second value. So levels that are
close but mean different things (the 252 to 255 of saturated strokes) can be far apart for the
model. And a model may have an underlay: where planes are not known yet, it then sees the image as
layer L decodes it from a few latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aecodec.nets.exactness import exact_matmul
from aecodec.nets.layers import (
    ACT_MAX,
    ExactLayer,
    LayerArrays,
    TensorShapes,
    clamp_activation,
    prove_sum,
)
from aecodec.nets.planes import (
    CODE_LENGTH,
    PlaneGrid,
    code_terms,
    largest_magnitude,
    plane_count,
)

Layers: TypeAlias = dict[tuple[int, str], LayerArrays]  # by head and kind

LEVELS = 256  # gray levels
PARAMETER_BITS = 9  # what a unit of the last layer's output is worth: 2**9


@dataclass(frozen=True)
class PixelConfig:
    """Widths of the pixel model's weights; the shape of its images is a :class:`PlaneGrid`.

    ``toned`` and ``underlaid`` tell whether the model has tones and an underlay. The config of a
    stored part does not have them: its tensors show them.
    """

    channels: int
    features: int
    mixtures: int = 5
    toned: bool = False
    underlaid: bool = False

    @property
    def planes(self) -> int:
        """How many planes an image has; the model has a head for each."""
        return plane_count(self.channels)

    @property
    def pairs(self) -> int:
        """How many pairs of a head and a plane before it there are."""
        return self.planes * (self.planes - 1) // 2

    @property
    def kernels(self) -> int:
        """How many kernels ``see.weight`` has."""
        return self.pairs * (1 + self.toned) + (self.pairs + self.planes) * self.underlaid

    def sees(self, k: int) -> bool:
        """Whether head k has any input; the first head has none without an underlay."""
        return bool(k) or self.underlaid

    def decoding(self, grid: PlaneGrid) -> dict[str, int]:
        """The config of the part for images of this shape; the fingerprint covers it."""
        return {**grid.config(), "features": self.features, "mixtures": self.mixtures}


def layer_shapes(c: PixelConfig, k: int) -> dict[str, tuple[int, ...]]:
    """Weight shapes of head k's layers; there is no ``see`` where it has no input."""
    shapes: dict[str, tuple[int, ...]] = {
        "see": (c.features, len(see_kernels(c, k)), 3, 3),
        "mix": (c.features, c.features, 3, 3),
        "dense": (c.features, c.features),
        "out": (3 * c.mixtures, c.features),
    }
    return shapes if c.sees(k) else {kind: shapes[kind] for kind in shapes if kind != "see"}


def tensor_shapes(c: PixelConfig, grid: PlaneGrid) -> TensorShapes:
    """Shape and dtype of every tensor of the part: the heads' layers stacked, heads first.

    Each kernel of ``see`` reads one plane; :func:`see_kernels` says which. Only the shape of
    ``places`` depends on the height and width of images.
    """
    heads = c.planes
    shapes: TensorShapes = {
        "places": ((heads, c.features, *grid.cells), np.int16),
        "see_codes": ((heads, c.features, CODE_LENGTH), np.int16),
        "out_codes": ((heads, 3 * c.mixtures, CODE_LENGTH), np.int16),
        "see.weight": ((c.kernels, c.features, 3, 3), np.int8),
    }
    if c.toned:
        shapes["tones"] = ((LEVELS,), np.uint8)
    if c.underlaid:
        shapes["underlay"] = ((1,), np.uint16)
    for kind, shape in layer_shapes(c, 1).items():
        count = heads - (kind == "see" and not c.sees(0))
        shapes.setdefault(f"{kind}.weight", ((count, *shape), np.int8))
        shapes[f"{kind}.bias"] = ((count, shape[0]), np.int32)
        shapes[f"{kind}.shift"] = ((count, shape[0]), np.uint8)
    return shapes


def see_kernels(c: PixelConfig, k: int) -> npt.NDArray[np.int64]:
    """Rows of ``see.weight`` that belong to head k, in the order of its inputs."""
    return np.concatenate(list(kernels_by_source(c, k).values()))


def kernels_by_source(c: PixelConfig, k: int) -> dict[str, npt.NDArray[np.int64]]:
    """The same rows by their inputs.

    These are planes 0..k-1, the tones of those, and planes k..P-1 of the underlay.
    """
    rows = {"known": k * (k - 1) // 2 + np.arange(k)}
    if c.toned:
        rows["tones"] = c.pairs + rows["known"]
    if c.underlaid:
        first = c.pairs * (1 + c.toned) + k * c.planes - k * (k - 1) // 2
        rows["underlay"] = first + np.arange(c.planes - k)
    return rows


def unstack_layers(c: PixelConfig, tensors: Mapping[str, np.ndarray]) -> Layers:
    """The layers of each head, from the tensors in which all heads are stacked."""
    layers: Layers = {}
    for k in range(c.planes):
        for kind in layer_shapes(c, k):
            at = k - 1 if kind == "see" and not c.sees(0) else k
            weight = tensors[f"{kind}.weight"]
            if kind == "see":
                weight = weight[see_kernels(c, k)].transpose(1, 0, 2, 3)
            else:
                weight = weight[at]
            bias, shift = tensors[f"{kind}.bias"][at], tensors[f"{kind}.shift"][at]
            layers[k, kind] = LayerArrays(weight, bias, shift)
    return layers


class ExactPixelModel(nn.Module):
    """Integer pixel model on a torch device: known planes to the parameters of the next plane.

    ModelCorruptError, with the layer's name, for tensors that cannot be proven to decode exactly.
    """

    places: Tensor
    see_codes: Tensor
    out_codes: Tensor
    tones: Tensor

    def __init__(self, c: PixelConfig, tensors: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.config = c
        layers = unstack_layers(c, tensors)
        prove_pixel_model(layers, tensors)
        self.layers = nn.ModuleDict()
        for (k, kind), layer in layers.items():
            exact = ExactLayer(layer, torch.float32)
            if exact.weight.dim() == 4:
                exact.weight = exact.weight.contiguous(memory_format=torch.channels_last)
            self.layers[f"{k}_{kind}"] = exact
        self.register_buffer("places", torch.from_numpy(tensors["places"].astype(np.float32)))
        if c.toned:
            self.register_buffer("tones", torch.from_numpy(tensors["tones"].astype(np.float32)))
        for name in ("see_codes", "out_codes"):
            each = code_terms(tensors[name])
            self.register_buffer(name, torch.from_numpy(each.astype(np.float32)))  # (128, P, O)

    def forward(self, k: int, planes: Tensor, bound: int, underlay: Tensor | None = None) -> Tensor:
        """Planes uint8 (N, >= k, R, S), the first k known -> parameters of plane k, (N, R, S, 3K).

        ``bound`` is E. ``underlay``, uint8 (N, P, R, S), is for a model that has one. Returns raw
        parameters, int32, as :mod:`aecodec.entropy.mixture` reads them.
        """
        with exact_matmul(planes.device):
            start = self.places[k] + self.see_codes[bound, k][:, None, None]
            if self.config.sees(k):
                seen = planes[:, :k]
                sources = [seen.float()]
                if k and self.config.toned:  # index_select: three times as fast as tones[seen]
                    tones = self.tones.index_select(0, seen.flatten().int())
                    sources.append(tones.view(seen.shape))
                if underlay is not None:
                    sources.append(underlay[:, k:].float())
                x = torch.cat(sources, 1) if len(sources) > 1 else sources[0]
                x = x.contiguous(memory_format=torch.channels_last)
                h = self.layers[f"{k}_see"](x).add_(start)
            else:
                h = start.expand(len(planes), -1, -1, -1)
                h = h.contiguous(memory_format=torch.channels_last)
            h = clamp_activation(h)
            h = clamp_activation(self.layers[f"{k}_mix"](h))
            h = h.permute(0, 2, 3, 1).flatten(0, 2)  # channels-last: pixels by features
            h = clamp_activation(self.layers[f"{k}_dense"](h))
            out = self.layers[f"{k}_out"](h).add_(self.out_codes[bound, k])
            raw: Tensor = out.to(torch.int32).view(len(planes), *planes.shape[2:], -1)
            return raw


def prove_pixel_model(layers: Layers, tensors: Mapping[str, np.ndarray]) -> None:
    """Prove the exact range of every layer and sum (aez.md 11.5).

    ModelCorruptError names the layer whose proof fails.
    """
    added = {
        "see": largest_magnitude(tensors["see_codes"]) + largest_magnitude(tensors["places"]),
        "out": largest_magnitude(tensors["out_codes"]),
    }
    for (k, kind), layer in layers.items():
        prove_sum(f"layer {kind} {k}", layer, ACT_MAX, added.get(kind, 0))
