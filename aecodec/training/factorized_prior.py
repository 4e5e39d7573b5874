"""The rate term of training: a factorized prior for each quality (Balle et al. 2017, simplified).

It is used in training alone. The real size of a file depends on the byte compressor, which sees
the frequencies of the symbols; a mixture of logistics for each latent is a smooth approximation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aecodec.twins.starting import current_generator, normal, uniform_, zeros


def soft_round(v: Tensor, sharpness: float) -> Tensor:
    """Soft rounding (Agustsson and Theis 2020): the identity at sharpness 0, rounding at infinity.

    With noise added to it, the rate in training comes close to that of rounded symbols.
    """
    if sharpness < 0.1:  # the identity up to floating-point error
        return v
    middle = torch.floor(v) + 0.5
    return middle + torch.tanh(sharpness * (v - middle)) / (2 * math.tanh(sharpness / 2))


class FactorizedPrior(nn.Module):
    """Mixture of logistics for each (quality, latent); ``spread`` (Q, D) scales its units."""

    spread: Tensor

    def __init__(self, spread: Tensor, mixtures: int = 3) -> None:
        super().__init__()
        self.register_buffer("spread", spread.clone())
        shape = (*spread.shape, mixtures)
        self.mean = nn.Parameter(normal(*shape) * 0.5)
        self.log_scale = nn.Parameter(zeros(*shape))
        self.logit = nn.Parameter(zeros(*shape))

    @classmethod
    def fitted(cls, v: Tensor, steps: int = 600) -> FactorizedPrior:
        """A prior fitted to scaled latents v (Q, n, D), by their spread and some steps of Adam.

        It draws from the generator of the block of :func:`~aecodec.twins.starting.seeded`.
        """
        prior = cls(v.std(1) + 0.3).to(v.device)
        with torch.no_grad():
            prior.mean.add_((v.mean(1) / prior.spread)[..., None])
        generator = current_generator()
        optimizer = torch.optim.Adam(prior.parameters(), 0.03, betas=(0.9, 0.99))
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
            chosen = torch.randint(0, v.shape[1], (128,), device="cpu", generator=generator)
            some = v[:, chosen.to(v.device)]
            moved = uniform_(torch.empty_like(some, device="cpu"), 0, 1)
            loss = prior.rate_est_bits(some + moved.to(v.device) - 0.5).sum(2).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return prior

    def rate_est_bits(self, v: Tensor, width: Tensor | None = None) -> Tensor:
        """Bits of the interval around each of ``v`` (Q, n, D), n images of each quality.

        ``width`` (Q, n, D) holds the widths of the intervals, which are 1 by default.
        """
        inverse = torch.exp(-self.log_scale.clamp(-7, 7)) / self.spread[..., None]
        offset = self.mean * self.spread[..., None]
        weight = torch.softmax(self.logit, -1)
        centred = (v[..., None] - offset[:, None]) * inverse[:, None]
        half = (0.5 * inverse)[:, None]
        if width is not None:
            half = half * width[..., None]
        # the cdf's difference is taken on the side where both values are small and keep digits
        sign = -torch.sign(centred).detach()
        p = torch.sigmoid(sign * centred + half) - torch.sigmoid(sign * centred - half)
        return -torch.log2((p.abs() * weight[:, None]).sum(-1).clamp_min(1e-7))
