"""The rate term of training: a factorized prior for each quality (Balle et al. 2017, simplified).

Only training reads it. What a file really costs is set by the byte compressor, which sees the
symbols' own frequencies; a mixture of logistics per latent is a smooth stand-in for those.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FactorizedPrior(nn.Module):
    """Mixture of logistics for each (quality, latent); ``spread`` (Q, D) scales its units."""

    spread: Tensor

    def __init__(self, spread: Tensor, mixtures: int = 3) -> None:
        super().__init__()
        self.register_buffer("spread", spread.clone())
        shape = (*spread.shape, mixtures)
        self.mean = nn.Parameter(torch.randn(shape) * 0.5)
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.logit = nn.Parameter(torch.zeros(shape))

    def rate_est_bits(self, v: Tensor) -> Tensor:
        """Bits of the unit interval around ``v`` (Q, n, D), n images of each quality."""
        inverse = torch.exp(-self.log_scale.clamp(-7, 7)) / self.spread[..., None]
        offset = self.mean * self.spread[..., None]
        weight = torch.softmax(self.logit, -1)
        centred = (v[..., None] - offset[:, None]) * inverse[:, None]
        half = (0.5 * inverse)[:, None]
        # cdf differences on the side where both are small, so that they keep their digits
        sign = -torch.sign(centred).detach()
        p = torch.sigmoid(sign * centred + half) - torch.sigmoid(sign * centred - half)
        return -torch.log2((p.abs() * weight[:, None]).sum(-1).clamp_min(1e-7))
