"""The float twin of the pixel model, and tensors of a model grown into another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aecodec.nets.layers import ACT_BITS, ACT_MAX, LayerArrays, Tensors
from aecodec.nets.pixel_model import (
    LEVELS,
    PARAMETER_BITS,
    PixelConfig,
    kernels_by_source,
    layer_shapes,
    see_kernels,
    unstack_layers,
)
from aecodec.nets.planes import CODE_BITS, CODE_LENGTH, PlaneGrid, bound_code
from aecodec.twins.layers import TwinLayer, activation, round_through
from aecodec.twins.starting import evenly, normal, zeros


def stack_layers(c: PixelConfig, layers: Mapping[tuple[int, str], LayerArrays]) -> Tensors:
    """The layers of all heads stacked, as the tensors of the part.

    The inverse of :func:`aecodec.nets.pixel_model.unstack_layers`.
    """
    tensors: Tensors = {}
    for kind in layer_shapes(c, 1):
        mine = [layers[k, kind] for k in range(c.planes) if (k, kind) in layers]
        if kind == "see":
            kernels = np.empty((c.kernels, *mine[0].weight.shape[:1], 3, 3), mine[0].weight.dtype)
            for k in range(c.planes - len(mine), c.planes):
                kernels[see_kernels(c, k)] = layers[k, kind].weight.transpose(1, 0, 2, 3)
            tensors["see.weight"] = kernels
        else:
            tensors[f"{kind}.weight"] = np.stack([layer.weight for layer in mine])
        tensors[f"{kind}.bias"] = np.stack([layer.bias for layer in mine])
        tensors[f"{kind}.shift"] = np.stack([layer.shift for layer in mine])
    return tensors


def with_tones(c: PixelConfig, tensors: Tensors, images: np.ndarray) -> Tensors:
    """Tensors of a model without tones, with tones added; it still predicts the same.

    The tones spread the gray levels of ``images`` evenly: see :func:`equalized`.
    """
    grown = replace(c, toned=True)
    return {**_grown(c, grown, tensors), "tones": equalized(images)}


def with_underlay(c: PixelConfig, tensors: Tensors) -> Tensors:
    """Tensors of a model without an underlay, with one added that the model ignores so far."""
    grown = _grown(c, replace(c, underlaid=True), tensors)
    for kind in ("bias", "shift"):
        name = f"see.{kind}"
        grown[name] = np.concatenate([np.zeros_like(tensors[name][:1]), tensors[name]])
    return grown


def _grown(c: PixelConfig, grown: PixelConfig, tensors: Tensors) -> Tensors:
    """The tensors with the additional kernels of another config, all of them zero."""
    kernels: npt.NDArray[np.int8] = np.zeros(
        (grown.kernels, *tensors["see.weight"].shape[1:]), np.int8
    )
    for k in range(c.planes):
        places = kernels_by_source(grown, k)
        for source, rows in kernels_by_source(c, k).items():
            kernels[places[source]] = tensors["see.weight"][rows]
    return {**tensors, "see.weight": kernels}


def equalized(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Tones uint8 (256,) that equalize the histogram: every tone is about as common.

    The commonest level, often the background, counts no more than the next one. Else it would leave
    no tones to the others.
    """
    counts = np.bincount(images.ravel(), minlength=LEVELS).astype(float)
    counts = np.minimum(counts, np.sort(counts)[-2])
    middle = np.cumsum(counts) - counts / 2
    span = max(middle[-1] - middle[0], 1)
    tones: npt.NDArray[np.uint8] = np.round(255 * (middle - middle[0]) / span).astype(np.uint8)
    return tones


class PixelTwin(nn.Module):
    """Float twin of :class:`ExactPixelModel`; pixels and features in units of 64."""

    code: Tensor

    def __init__(self, c: PixelConfig, grid: PlaneGrid) -> None:
        super().__init__()
        self.config = c
        code = torch.from_numpy(bound_code()).float() / (1 << CODE_BITS)
        self.register_buffer("code", code, persistent=False)
        self.see_codes = nn.Parameter(zeros(c.planes, c.features, CODE_LENGTH))
        self.out_codes = nn.Parameter(zeros(c.planes, 3 * c.mixtures, CODE_LENGTH))
        self.places = nn.Parameter(normal(c.planes, c.features, *grid.cells) * 0.3)
        if c.toned:
            self.tones = nn.Parameter(evenly(0, ACT_MAX, LEVELS) / (1 << ACT_BITS))
        self.layers = nn.ModuleDict()
        for k in range(c.planes):
            for kind, shape in layer_shapes(c, k).items():
                weight = normal(*shape) * math.sqrt(2 / math.prod(shape[1:]))
                bias = zeros(shape[0])
                out_bits = ACT_BITS
                if kind == "out":
                    weight, out_bits = weight * 0.1, PARAMETER_BITS
                    bias[: c.mixtures] = evenly(0, 255, c.mixtures) / 64
                    bias[c.mixtures : 2 * c.mixtures] = 0.5
                self.layers[f"{k}_{kind}"] = TwinLayer(weight, bias, out_bits=out_bits)

    def layer(self, k: int, kind: str) -> TwinLayer:
        """The layer of head k of this kind; ModuleDict itself does not know its type."""
        return cast(TwinLayer, self.layers[f"{k}_{kind}"])

    def predict(
        self, k: int, planes: Tensor, bounds: Tensor, underlay: Tensor | None = None
    ) -> Tensor:
        """Planes (N, P, R, S) in units of 64 gray levels, bounds (N,) -> (N, R, S, 3K) of plane k.

        Returns raw parameters as :mod:`aecodec.entropy.mixture` reads them, but differentiable
        floats. ``underlay`` has the form of the planes, for a model that has one.
        """
        seen = planes[:, :k]
        if k and self.config.toned:
            unit = 1 << ACT_BITS
            table = round_through(self.tones * unit).clamp(0, ACT_MAX) / unit
            seen = torch.cat([seen, table[(seen * unit).round().long()]], 1)
        if underlay is not None:
            seen = torch.cat([seen, underlay[:, k:]], 1)
        code = self.code[bounds]
        h = (code @ self.see_codes[k].t())[:, :, None, None] + self.places[k]
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=self.training and planes.device.type == "cpu"
        ):
            if self.config.sees(k):
                h = h + self.layer(k, "see")(seen).float()
            h = activation(h.contiguous(memory_format=torch.channels_last))
            h = activation(self.layer(k, "mix")(h).float())
            h = h.permute(0, 2, 3, 1)  # channels-last, as it lies in memory
            h = activation(self.layer(k, "dense")(h).float())
        out = self.layer(k, "out")(h) + (code @ self.out_codes[k].t())[:, None, None]
        return self.layer(k, "out").floor_through(out) * (1 << PARAMETER_BITS)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over a stored model, except for what rounding lost."""
        for (k, kind), layer in unstack_layers(self.config, tensors).items():
            self.layer(k, kind).load(layer)
        for name, values, bits in self._added():
            values.copy_(torch.from_numpy(tensors[name].astype(np.float32)) / (1 << bits))
        if self.config.toned:
            self.start_tones(tensors["tones"])

    @torch.no_grad()
    def start_tones(self, tones: npt.NDArray[np.uint8]) -> None:
        """Let training start from these tones (256,)."""
        self.tones.copy_(torch.from_numpy(tones.astype(np.float32)) / (1 << ACT_BITS))

    def _added(self) -> tuple[tuple[str, Tensor, int], ...]:
        """Name, values and fractional bits of what is added to the layers' sums."""
        return (
            ("places", self.places, ACT_BITS),
            ("see_codes", self.see_codes, ACT_BITS),
            ("out_codes", self.out_codes, PARAMETER_BITS),
        )

    @torch.no_grad()
    def arrays(self) -> Tensors:
        """The integer tensors that the exact model is stored as."""
        c = self.config
        layers = {
            (k, kind): self.layer(k, kind).arrays()
            for k in range(c.planes)
            for kind in layer_shapes(c, k)
        }
        tensors = stack_layers(c, layers)
        for name, values, bits in self._added():
            whole = torch.round(values.double() * (1 << bits)).clamp(-32767, 32767)
            tensors[name] = whole.cpu().numpy().astype(np.int16)
        if c.toned:
            tones = torch.floor(self.tones * (1 << ACT_BITS) + 0.5).clamp(0, ACT_MAX)
            tensors["tones"] = tones.cpu().numpy().astype(np.uint8)
        return tensors
