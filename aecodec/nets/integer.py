"""Exact layers and their training twins; the arithmetic is clause 9 of formats/aez.md.

A layer computes ``(sum(w * x) + b) >> shift`` with integer weights, one shift per output channel.
Its twin holds float weights and computes the very same numbers divided by ``2**out_bits``, so
training sees what decoding will do. The exact layer keeps integers in floating-point tensors:
every partial sum stays below the mantissa's range (proven by :func:`prove_layer`), hence any
order of summation gives the same bits. Weights are stored already multiplied by ``2**-shift``,
a power of two, which changes no mantissa and saves a pass over the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.errors import ModelCorruptError

ACT_MAX = 255  # activations between layers are 0..255
ACT_BITS = 6  # ... in units of 2**-6
BIAS_LIMIT = 2.0**30  # stored as int32, rounding added
MAX_TWIN_SHIFT = 21  # half of 2**21 is what the exact range keeps in reserve
LAYER_TYPES = {"bias": np.int32, "shift": np.uint8}
MANTISSA_BITS = {torch.float32: 24, torch.float64: 53}


# ---------------------------------------------------------------- the exact side


@dataclass(frozen=True)
class LayerArrays:
    """One exact layer as stored: weight int8/int16 (out, in[, 3, 3]), bias int32, shift uint8."""

    weight: np.ndarray
    bias: np.ndarray
    shift: np.ndarray


def layer_tensors(
    name: str, shape: tuple[int, ...], weight_type: type
) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of one layer's tensors, as stored under its name."""
    kinds = {"weight": (shape, weight_type)}
    kinds |= {kind: (shape[:1], dtype) for kind, dtype in LAYER_TYPES.items()}
    return {f"{name}.{kind}": wanted for kind, wanted in kinds.items()}


def prove_layer(name: str, layer: LayerArrays, input_max: int, mantissa_bits: int) -> int:
    """Prove that no partial sum reaches 2**mantissa_bits; return the largest |output|.

    Raises ModelCorruptError with the layer's name when the proof fails.
    """
    rows = np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(axis=1)
    bound = rows * input_max + np.abs(layer.bias.astype(np.int64))
    if layer.shift.size and int(layer.shift.max()) > 31:
        raise ModelCorruptError(f"{name}: shift up to {int(layer.shift.max())}, expected 0..31")
    worst = int(bound.max()) if bound.size else 0
    if worst >= 1 << mantissa_bits:
        raise ModelCorruptError(
            f"{name}: sums can reach {worst}, the exact range ends at {1 << mantissa_bits}"
        )
    return int((bound >> layer.shift).max()) + 1 if bound.size else 0


def prove_sum(name: str, layer: LayerArrays, input_max: int, added: int) -> None:
    """As :func:`prove_layer` in float32, for an output to which up to ``added`` is added."""
    largest = prove_layer(name, layer, input_max, 24) + added
    if largest >= 1 << 24:
        raise ModelCorruptError(
            f"{name}: its sum can reach {largest}, the exact range ends at {1 << 24}"
        )


class ExactLayer(nn.Module):
    """A stored layer on a device: linear, or a 3x3 convolution with zero padding."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: LayerArrays, dtype: torch.dtype) -> None:
        super().__init__()
        unit = torch.exp2(-torch.from_numpy(layer.shift.astype(np.float64)))
        weight = torch.from_numpy(layer.weight.astype(np.float64))
        weight = weight * unit.view(-1, *[1] * (weight.dim() - 1))
        bias = torch.from_numpy(layer.bias.astype(np.float64)) * unit
        self.register_buffer("weight", weight.to(dtype))
        self.register_buffer("bias", bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return torch.addmm(self.bias, x, self.weight.t()).floor_()
        return _conv3x3(x, self.weight, self.bias).floor_()


def _conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if conv_is_exact(x.device):
        return F.conv2d(x, weight, bias, padding=1)
    n, _, height, width = x.shape
    columns = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(n * height * width, -1)
    y = torch.addmm(bias, columns, weight.flatten(1).t())
    return y.view(n, height, width, -1).permute(0, 3, 1, 2)


def clamp_activation(x: Tensor) -> Tensor:
    """The exact non-linearity, in place: clamp to 0..255."""
    return x.clamp_(0, ACT_MAX)


@contextmanager
def exact_matmul() -> Iterator[None]:
    """Full float32 products inside: no TF32, no reduced precision, no autocast, no gradient."""
    old = torch.get_float32_matmul_precision()
    cudnn_tf32 = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = cudnn_tf32
        torch.set_float32_matmul_precision(old)


_PROBED: dict[torch.device, bool] = {}


def conv_is_exact(device: torch.device) -> bool:
    """Whether float32 conv2d returns exact integers on this device (probed once per process)."""
    if device not in _PROBED:
        _PROBED[device] = _probe(device, lambda x, w: F.conv2d(x, w, padding=1))
        if not _probe(device, _unfold_conv):
            raise RuntimeError(f"float32 matrix products are not exact on {device}: cannot decode")
    return _PROBED[device]


def _unfold_conv(x: Tensor, w: Tensor) -> Tensor:
    columns = F.unfold(x, 3, padding=1).transpose(1, 2)
    return (columns @ w.flatten(1).t()).transpose(1, 2).reshape(len(x), len(w), *x.shape[2:])


def _probe(device: torch.device, conv: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Compare ``conv`` with integer arithmetic on shapes like the decoder's, sums near 2**24."""
    generator = torch.Generator().manual_seed(0)
    with exact_matmul():
        for n, channels, side in ((1, 16, 14), (3, 32, 7), (64, 32, 7), (64, 48, 14), (7, 8, 16)):
            x = torch.randint(0, 256, (n, channels, side, side), generator=generator)
            w = torch.randint(-127, 128, (channels, channels, 3, 3), generator=generator)
            want = _unfold_conv_int(x, w)
            for memory_format in (torch.contiguous_format, torch.channels_last):
                got = conv(
                    x.float().to(device).contiguous(memory_format=memory_format),
                    w.float().to(device).contiguous(memory_format=memory_format),
                )
                if not torch.equal(got.cpu().double(), want):
                    return False
    return True


def _unfold_conv_int(x: Tensor, w: Tensor) -> Tensor:
    return _unfold_conv(x.double(), w.double())  # float64: exact far beyond these sums


# ---------------------------------------------------------------- the training side


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
    """Training twin of :func:`clamp_activation`."""
    return _Activation.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class TwinLayer(nn.Module):
    """Float weights that act as the exact layer they will be stored as.

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
        """k of each output channel: stored weight = round(w * 2**k), shift = in + k - out."""
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
        """Take over a stored layer, up to what its rounding lost."""
        shift = torch.from_numpy(layer.shift.astype(np.float64))
        unit = torch.exp2(shift + self.out_bits - self.in_bits)
        weight = torch.from_numpy(layer.weight.astype(np.float64))
        self.weight.copy_(weight / unit.view(-1, *[1] * (weight.dim() - 1)))
        bias = torch.from_numpy(layer.bias.astype(np.float64)) - torch.exp2(shift - 1).floor()
        self.bias.copy_(bias / (unit * (1 << self.in_bits)))

    def stored(self) -> tuple[Tensor, Tensor, Tensor]:
        """(weight, bias, shift) as integers in float64; differentiable by straight-through."""
        k = self.exponents()
        unit = torch.exp2(k)
        w = self.weight.double() * unit.view(-1, *[1] * (self.weight.dim() - 1))
        w = round_through(w).clamp(-self.weight_max, self.weight_max)
        shift = k + self.in_bits - self.out_bits
        half = torch.exp2(shift - 1).floor()
        b = round_through(self.bias.double() * unit * (1 << self.in_bits)) + half
        return w, b, shift

    def arrays(self) -> LayerArrays:
        w, b, shift = (t.detach().cpu().numpy() for t in self.stored())
        kind = np.int8 if self.weight_max == 127 else np.int16
        return LayerArrays(w.astype(kind), b.astype(np.int32), shift.astype(np.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """Real-valued output, before rounding: exactly (sum + b) / 2**shift / 2**out_bits."""
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
        """Floor to the output grid, straight-through: what the shift does to a signed output."""
        unit = float(1 << self.out_bits)
        return _FloorThrough.apply(x, unit)  # type: ignore[no-any-return, no-untyped-call]


class _FloorThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, unit: float) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return (x * unit).floor_().mul_(1 / unit)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return grad, None
