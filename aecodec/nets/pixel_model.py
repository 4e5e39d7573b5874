"""Layer R: an integer-exact model of pixels given pixels (clause 11 of aez.md).

The image is split into planes (:mod:`aecodec.nets.planes`). Every plane's pixels are predicted in
one pass from the planes before it:

    planes known -> 3x3 conv -> 3x3 conv -> dense -> dense -> mixture of logistics for each pixel

A model may have tones: a table that gives every gray level a second value, so that levels which
are close but mean different things (the 252 to 255 of saturated strokes) are far apart for it. And it
may have an underlay: then it sees, where planes are not known yet, what layer L makes of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aecodec.nets.integer import (
    ACT_BITS,
    ACT_MAX,
    ExactLayer,
    LayerArrays,
    TwinLayer,
    activation,
    clamp_activation,
    exact_matmul,
    prove_sum,
    round_through,
)
from aecodec.nets.planes import (
    CODE_BITS,
    CODE_LENGTH,
    PlaneGrid,
    bound_code,
    code_terms,
    largest_magnitude,
)

Tensors = dict[str, np.ndarray]
Layers = dict[tuple[int, str], LayerArrays]

LEVELS = 256  # gray levels
PARAMETER_BITS = 9  # what a unit of the last layer's output is worth: 2**9


@dataclass(frozen=True)
class PixelConfig(PlaneGrid):
    """Shapes of layer R."""

    features: int
    mixtures: int = 5
    toned: bool = False  # whether it has a table of tones; told by the tensors, not by the config
    underlaid: bool = False  # whether it has an underlay; told likewise

    @property
    def pairs(self) -> int:
        """How many planes all heads see together."""
        return self.planes * (self.planes - 1) // 2

    @property
    def kernels(self) -> int:
        """How many kernels ``see.weight`` has."""
        return self.pairs * (1 + self.toned) + (self.pairs + self.planes) * self.underlaid

    def sees(self, k: int) -> bool:
        """Whether head k sees anything; the first one without an underlay does not."""
        return bool(k) or self.underlaid

    def decoding(self) -> dict[str, int]:
        """What decoding reads besides the tensors, and so what the fingerprint covers."""
        values = super().decoding()
        del values["toned"], values["underlaid"]
        return values


def layer_shapes(c: PixelConfig, k: int) -> dict[str, tuple[int, ...]]:
    """Weight shapes of head k's layers, without ``see`` where it sees nothing."""
    shapes: dict[str, tuple[int, ...]] = {
        "see": (c.features, len(see_kernels(c, k)), 3, 3),
        "mix": (c.features, c.features, 3, 3),
        "dense": (c.features, c.features),
        "out": (3 * c.mixtures, c.features),
    }
    return shapes if c.sees(k) else {kind: shapes[kind] for kind in shapes if kind != "see"}


def tensor_shapes(c: PixelConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of every tensor of the part: the heads' layers stacked, heads first.

    Kernels of ``see`` have one input plane each; :func:`see_kernels` tells which.
    """
    heads = c.planes
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "places": ((heads, c.features, *c.grid), np.int16),
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
    """Rows of ``see.weight`` that are head k's, in the order of what it sees."""
    return np.concatenate(list(_kernels_by_source(c, k).values()))


def _kernels_by_source(c: PixelConfig, k: int) -> dict[str, npt.NDArray[np.int64]]:
    """Those from planes 0..k-1, from these planes' tones, from planes k..P-1 of the underlay."""
    rows = {"known": k * (k - 1) // 2 + np.arange(k)}
    if c.toned:
        rows["tones"] = c.pairs + rows["known"]
    if c.underlaid:
        first = c.pairs * (1 + c.toned) + k * c.planes - k * (k - 1) // 2
        rows["underlay"] = first + np.arange(c.planes - k)
    return rows


def stack_layers(c: PixelConfig, layers: Mapping[tuple[int, str], LayerArrays]) -> Tensors:
    """The layers of all heads, by head and kind, as the part's tensors."""
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


def unstack_layers(c: PixelConfig, tensors: Mapping[str, np.ndarray]) -> Layers:
    """The inverse of :func:`stack_layers`."""
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


def with_tones(c: PixelConfig, tensors: Tensors, images: np.ndarray) -> Tensors:
    """The tensors of a model without tones as those of one that has them, and predicts the same.

    The tones spread evenly what ``images`` have: see :func:`equalized`.
    """
    grown = replace(c, toned=True)
    return {**_grown(c, grown, tensors), "tones": equalized(images)}


def with_underlay(c: PixelConfig, tensors: Tensors) -> Tensors:
    """The tensors of a model without an underlay for one that has one, and ignores it so far."""
    grown = _grown(c, replace(c, underlaid=True), tensors)
    for kind in ("bias", "shift"):
        name = f"see.{kind}"
        grown[name] = np.concatenate([np.zeros_like(tensors[name][:1]), tensors[name]])
    return grown


def _grown(c: PixelConfig, grown: PixelConfig, tensors: Tensors) -> Tensors:
    """The tensors with the further kernels of another config, which are silent."""
    kernels: npt.NDArray[np.int8] = np.zeros(
        (grown.kernels, *tensors["see.weight"].shape[1:]), np.int8
    )
    for k in range(c.planes):
        places = _kernels_by_source(grown, k)
        for source, rows in _kernels_by_source(c, k).items():
            kernels[places[source]] = tensors["see.weight"][rows]
    return {**tensors, "see.weight": kernels}


def equalized(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(256,) tones by which every tone is about as common: the histogram, summed up.

    The commonest level, often the background, counts no more than the next, or it would leave
    nothing to the others.
    """
    counts = np.bincount(images.ravel(), minlength=LEVELS).astype(float)
    counts = np.minimum(counts, np.sort(counts)[-2])
    middle = np.cumsum(counts) - counts / 2
    span = max(middle[-1] - middle[0], 1)
    tones: npt.NDArray[np.uint8] = np.round(255 * (middle - middle[0]) / span).astype(np.uint8)
    return tones


# ---------------------------------------------------------------- the training twin


class PixelTwin(nn.Module):
    """Float twin of :class:`ExactPixelModel`; pixels and features in units of 64."""

    code: Tensor

    def __init__(self, c: PixelConfig) -> None:
        super().__init__()
        self.config = c
        code = torch.from_numpy(bound_code()).float() / (1 << CODE_BITS)
        self.register_buffer("code", code, persistent=False)
        self.see_codes = nn.Parameter(torch.zeros(c.planes, c.features, CODE_LENGTH))
        self.out_codes = nn.Parameter(torch.zeros(c.planes, 3 * c.mixtures, CODE_LENGTH))
        self.places = nn.Parameter(torch.randn(c.planes, c.features, *c.grid) * 0.3)
        if c.toned:
            self.tones = nn.Parameter(torch.linspace(0, ACT_MAX, LEVELS) / (1 << ACT_BITS))
        self.layers = nn.ModuleDict()
        for k in range(c.planes):
            for kind, shape in layer_shapes(c, k).items():
                weight = torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:]))
                bias = torch.zeros(shape[0])
                out_bits = ACT_BITS
                if kind == "out":
                    weight, out_bits = weight * 0.1, PARAMETER_BITS
                    bias[: c.mixtures] = torch.linspace(0, 255, c.mixtures) / 64
                    bias[c.mixtures : 2 * c.mixtures] = 0.5
                self.layers[f"{k}_{kind}"] = TwinLayer(weight, bias, out_bits=out_bits)

    def layer(self, k: int, kind: str) -> TwinLayer:
        """One layer of head k, with the type that ModuleDict forgets."""
        return cast(TwinLayer, self.layers[f"{k}_{kind}"])

    def predict(
        self, k: int, planes: Tensor, bounds: Tensor, underlay: Tensor | None = None
    ) -> Tensor:
        """Planes (N, P, R, S) in units of 64 gray levels, bounds (N,) -> (N, R, S, 3K).

        Raw parameters as :mod:`aecodec.entropy.mixture` reads them, but float and differentiable.
        ``underlay`` has the form of the planes, for a model that has one.
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
        """Take over a stored model, up to what its rounding lost."""
        for (k, kind), layer in unstack_layers(self.config, tensors).items():
            self.layer(k, kind).load(layer)
        for name, values, bits in self._added():
            values.copy_(torch.from_numpy(tensors[name].astype(np.float32)) / (1 << bits))
        if self.config.toned:
            self.start_tones(tensors["tones"])

    @torch.no_grad()
    def start_tones(self, tones: npt.NDArray[np.uint8]) -> None:
        """Tones (256,) to go on from."""
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


# ---------------------------------------------------------------- the exact model


class ExactPixelModel(nn.Module):
    """Integer pixel model on a torch device: planes known to the next plane's parameters."""

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
        """uint8 planes (N, >= k, R, S), the first k decoded -> int32 parameters (N, R, S, 3K).

        ``underlay``, uint8 (N, P, R, S), is for a model that has one.
        """
        with exact_matmul():
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
            raw: Tensor = out.to(torch.int32).view(len(planes), *self.config.grid, -1)
            return raw


def prove_pixel_model(layers: Layers, tensors: Mapping[str, np.ndarray]) -> None:
    """Prove the exact range of every layer and sum; ModelCorruptError naming the one that fails."""
    added = {
        "see": largest_magnitude(tensors["see_codes"]) + largest_magnitude(tensors["places"]),
        "out": largest_magnitude(tensors["out_codes"]),
    }
    for (k, kind), layer in layers.items():
        prove_sum(f"layer {kind} {k}", layer, ACT_MAX, added.get(kind, 0))
