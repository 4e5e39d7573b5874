"""Float twins of the exact layers.

A twin holds float weights and computes the very same numbers as the exact layer that it will be
stored as, divided by ``2**out_bits``. So training sees what decoding will do.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.nets.layers import ACT_BITS, ACT_MAX, MANTISSA_BITS, LayerArrays

BIAS_LIMIT = 2.0**30  # a bias is stored as int32, after half a unit was added
MAX_TWIN_SHIFT = 21  # the exact range keeps half of 2**21 in reserve


class _RoundThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return grad


def round_through(x: Tensor) -> Tensor:
    """Round half up, with the gradient passed straight through."""
    return _RoundThrough.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _Activation(torch.autograd.Function):
    """clamp(x, 0, 255/64) on the grid of 1/64; the gradient is that of the clamp."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        unit = 2.0**ACT_BITS
        y = (x * unit).floor_().clamp_(0, ACT_MAX).mul_(1 / unit)
        ctx.save_for_backward((x > 0) & (x < ACT_MAX / unit))
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        masked: Tensor = grad * ctx.saved_tensors[0]
        return masked


def activation(x: Tensor) -> Tensor:
    """Training twin of :func:`aecodec.nets.layers.clamp_activation`."""
    return _Activation.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class TwinLayer(nn.Module):
    """Float weights that act as the exact layer that they will be stored as.

    ``input_max`` bounds |x| as an integer, ``in_bits`` and ``out_bits`` are the fractional bits of
    input and output, ``weight_max`` is 127 (int8) or 32767 (int16). The exponent of each output
    channel is the finest for which its weights fit and the exact range (24 or 53 bits) is kept.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        in_bits: int = ACT_BITS,
        out_bits: int = ACT_BITS,
        input_max: int = ACT_MAX,
        weight_max: int = 127,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.in_bits, self.out_bits, self.input_max = in_bits, out_bits, input_max
        self.weight_max, self.dtype = weight_max, dtype

    def exponents(self) -> Tensor:
        """The exponent k (out,) of each output channel.

        The stored weight is round(w * 2**k), the shift is ``in_bits`` + k - ``out_bits``.
        """
        w = self.weight.detach().flatten(1).double()
        limit = (1 << MANTISSA_BITS[self.dtype]) * 0.999 - 2.0**20
        by_size = self.weight_max / w.abs().amax(1).clamp_min(1e-9)
        bias = self.bias.detach().abs().double() * (1 << self.in_bits)
        worst = w.abs().sum(1) * self.input_max + bias
        by_bias = BIAS_LIMIT / bias.clamp_min(1e-9)
        # rounding adds at most half a unit per weight, the shift half of what it divides by
        by_range = (limit - 0.5 * w.shape[1] * self.input_max) / worst.clamp_min(1e-9)
        k = torch.floor(torch.log2(torch.minimum(by_bias, torch.minimum(by_size, by_range))))
        low = self.out_bits - self.in_bits
        return k.clamp(max(low, 0), MAX_TWIN_SHIFT + low)

    @torch.no_grad()
    def load(self, layer: LayerArrays) -> None:
        """Take over a stored layer, except for what rounding lost."""
        shift = torch.from_numpy(layer.shift.astype(np.float64))
        unit = torch.exp2(shift + self.out_bits - self.in_bits)
        weight = torch.from_numpy(layer.weight.astype(np.float64))
        self.weight.copy_(weight / unit.view(-1, *[1] * (weight.dim() - 1)))
        bias = torch.from_numpy(layer.bias.astype(np.float64)) - torch.exp2(shift - 1).floor()
        self.bias.copy_(bias / (unit * (1 << self.in_bits)))

    def stored(self) -> tuple[Tensor, Tensor, Tensor]:
        """(weight, bias, shift) as integers in float64; gradients pass through the rounding."""
        k = self.exponents()
        unit = torch.exp2(k)
        w = self.weight.double() * unit.view(-1, *[1] * (self.weight.dim() - 1))
        w = round_through(w).clamp(-self.weight_max, self.weight_max)
        shift = k + self.in_bits - self.out_bits
        half = torch.exp2(shift - 1).floor()
        b = round_through(self.bias.double() * unit * (1 << self.in_bits)) + half
        return w, b, shift

    def arrays(self) -> LayerArrays:
        """The exact layer that this one is stored as."""
        w, b, shift = (t.detach().cpu().numpy() for t in self.stored())
        kind = np.int8 if self.weight_max == 127 else np.int16
        return LayerArrays(w.astype(kind), b.astype(np.int32), shift.astype(np.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """The output before it is rounded down: exactly (sum + b) / 2**shift / 2**out_bits."""
        k = self.exponents().float()
        unit = torch.exp2(k)
        w = self.weight * unit.view(-1, *[1] * (self.weight.dim() - 1))
        w = round_through(w).clamp(-self.weight_max, self.weight_max)
        w = w / unit.view(-1, *[1] * (w.dim() - 1))
        in_unit = 1 << self.in_bits
        half = torch.exp2(k + (self.in_bits - self.out_bits - 1)).floor()
        b = (round_through(self.bias * unit * in_unit) + half) / (unit * in_unit)
        if w.dim() == 2:
            return F.linear(x, w, b)
        return F.conv2d(x, w, b, padding=1)

    def floor_through(self, x: Tensor) -> Tensor:
        """Floor to the grid of outputs, as the shift does; gradients pass straight through."""
        unit = float(1 << self.out_bits)
        return _FloorThrough.apply(x, unit)  # type: ignore[no-any-return, no-untyped-call]


class _FloorThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, unit: float) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return (x * unit).floor_().mul_(1 / unit)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return grad, None
