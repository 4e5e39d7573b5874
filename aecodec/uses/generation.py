"""Generation: the evidence bound of a variational autoencoder, and images from its latents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch

from aecodec.arrays import Floats, Images
from aecodec.held_rows import Rows
from aecodec.nets.exactness import float_inference
from aecodec.training.draws import Draws
from aecodec.uses.objectives import BERNOULLI, VaeObjective

BATCH_IMAGES = 500
CONVENTIONS = {
    BERNOULLI: "gray / 255 as the probability of a binary pixel",
    "gaussian": "density of pixels in 0..1, for bits per dimension of 256 levels with even noise",
}


@dataclass(frozen=True)
class Evidence:
    """The evidence lower bound of a set, nats per image: ``elbo_nats = -nll_nats - kl_nats``."""

    elbo_nats: float
    nll_nats: float
    kl_nats: float
    bits_per_dim: float
    images: int
    convention: str


def evidence(objective: VaeObjective, images: Rows, seed: int = 0) -> Evidence:
    """The evidence lower bound on uint8 images (N, H, W, C), one sample of the latents each."""
    nll = kl = 0.0
    draws = Draws(seed)
    with float_inference():
        for start in range(0, len(images), BATCH_IMAGES):
            x = objective.prepare(images[start : start + BATCH_IMAGES])
            terms = objective.terms(x, draws.on(x.device))
            nll += float(terms[0].double().sum())
            kl += float(terms[1].double().sum())
    nll, kl = nll / len(images), kl / len(images)
    samples = math.prod(images.shape[1:])
    nats = nll + kl
    if objective.likelihood != BERNOULLI:
        nats += samples * math.log(256)
    bits = nats / (samples * math.log(2))
    return Evidence(-nll - kl, nll, kl, bits, len(images), CONVENTIONS[objective.likelihood])


def latents_of(objective: VaeObjective, images: Images) -> Floats:
    """(N, D) means of the latents of uint8 images (N, H, W, C)."""
    parts = []
    with float_inference():
        for start in range(0, len(images), BATCH_IMAGES):
            x = objective.prepare(images[start : start + BATCH_IMAGES])
            parts.append(objective.heads(x)[0].numpy())
    means: Floats = np.concatenate(parts)
    return means


def images_of(objective: VaeObjective, y: Floats) -> Images:
    """Expected images, uint8 (N, H, W, C), of latents (N, D)."""
    parts = []
    with float_inference():
        for start in range(0, len(y), BATCH_IMAGES):
            means = objective.means(torch.from_numpy(y[start : start + BATCH_IMAGES]))
            parts.append((means * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def sample_latents(count: int, latents: int, seed: int) -> Floats:
    """(N, D) draws from the prior N(0, 1); the same for the same seed, on any machine."""
    y: Floats = np.random.default_rng(seed).standard_normal((count, latents)).astype(np.float32)
    return y


def manifold_latents(side: int) -> Floats:
    """(side * side, 2) points of the plane, evenly spread over the prior's quantiles.

    Row by row from the top, where the second latent is largest.
    """
    at = np.array([NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)])
    across, down = np.meshgrid(at, at[::-1])
    plane: Floats = np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)
    return plane


def interpolated_latents(y_from: Floats, y_to: Floats, steps: int) -> Floats:
    """(steps, D) points on the line between two, both ends included."""
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    line: Floats = (1 - share) * y_from[None] + share * y_to[None]
    return line
