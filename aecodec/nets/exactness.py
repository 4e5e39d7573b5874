"""The guard of the arithmetic: full float32 products, and a probe of the convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor


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
