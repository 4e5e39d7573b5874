"""Muon, the optimizer of matrices and kernels.

Muon (Jordan et al. 2024) replaces a momentum matrix by its nearest orthogonal one, found by a few
Newton-Schulz steps. On these autoencoders it reaches in 600 steps what Adam needs thousands for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic, from the same source


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized, and decoupled weight decay.

    Kernels (O, I, h, w) count as matrices (O, I*h*w). Matrices of one shape are orthogonalized
    together.
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                buffer = state["momentum_buffer"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"]).flatten(1)
                alike.setdefault(update.shape, []).append((p, update))
            for (rows, columns), pairs in alike.items():
                gain = math.sqrt(max(1.0, rows / columns))
                updates = _orthogonalize(torch.stack([update for _, update in pairs]))
                for (p, _), update in zip(pairs, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.view_as(p), alpha=-group["lr"] * gain)


def _orthogonalize(matrices: Tensor) -> Tensor:
    """(B, O, I) -> as many matrices with all singular values near 1."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    orthogonal: Tensor = (x.mT if tall else x).float()
    return orthogonal
