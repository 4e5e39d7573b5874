"""The float twin of the mixture of logistics: bits of each symbol, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 2.0**-24  # the least probability of any symbol (aez.md 12.3)
MEAN_UNIT, SPREAD_UNIT = 8, 128  # raw parameters are in 1/8 gray level and 1/128 nat
MEAN_RANGE = (-256.0, 511.875)  # gray levels
SPREAD_RANGE = (-4.0, 6.0)  # nats


def mixture_bits(raw: Tensor, symbols: Tensor, step: Tensor, levels: Tensor) -> Tensor:
    """Bits of each symbol under its mixture; the float twin of :mod:`aecodec.entropy.mixture`.

    ``raw`` (..., 3K) holds K means, K log scales and K logits. ``symbols`` (...), their ``step`` in
    gray levels and the number of ``levels`` are floats. Returns bits (...).
    """
    mean, log_scale, logit = raw.chunk(3, -1)
    mean = (mean / MEAN_UNIT).clamp(*MEAN_RANGE)
    inverse = torch.exp(-(log_scale / SPREAD_UNIT).clamp(*SPREAD_RANGE))
    weight = torch.softmax(logit / SPREAD_UNIT, -1)
    offset = (symbols * step)[..., None] - mean
    half = (step / 2)[..., None]
    # cdf differences on the side where both are small, so that they keep their digits
    sign = -torch.sign(offset).detach()
    far = 1e4 * sign
    upper = torch.where((symbols >= levels - 1)[..., None], far, sign * (offset + half) * inverse)
    lower = torch.where((symbols <= 0)[..., None], -far, sign * (offset - half) * inverse)
    p = ((torch.sigmoid(upper) - torch.sigmoid(lower)).abs() * weight).sum(-1)
    return -torch.log2(p * (1 - levels * FLOOR) + FLOOR)
