"""``aecodec denoise``: images with noise -> cleaned images, and the gain in PSNR."""

from __future__ import annotations

import numpy as np
import torch

from aecodec.arrays import Images
from aecodec.measures.metrics import psnr_db, squared_error
from aecodec.nets.exactness import float_inference
from aecodec.training.draws import Draws
from aecodec.uses.objectives import NOISES, DenoiseObjective, add_noise, pad_to_four

BATCH_IMAGES = 500


def noisy_images(images: Images, noise: str, level: float, seed: int) -> Images:
    """uint8 (N, H, W, C) with noise of a kind of NOISES, rounded to whole gray levels.

    ``gaussian`` is clipped to the gray range; levels are shares of it, or of the pixels.
    """
    if noise not in NOISES:
        raise ValueError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}")
    if not 0 <= level <= 1:
        raise ValueError(f"level: expected 0 to 1, got {level}")
    generator = Draws(seed).on("cpu")
    out = np.empty_like(images)
    for start in range(0, len(images), BATCH_IMAGES):
        x = _to_float(images[start : start + BATCH_IMAGES])
        noisy = add_noise(x, noise, torch.from_numpy(np.array(level, np.float32)), generator)
        out[start : start + len(x)] = _to_gray(noisy)
    return out


def denoise(objective: DenoiseObjective, images: Images) -> Images:
    """Cleaned images of uint8 images (N, H, W, C), of any size."""
    out = np.empty_like(images)
    with float_inference():
        for start in range(0, len(images), BATCH_IMAGES):
            x = _to_float(images[start : start + BATCH_IMAGES])
            clean = objective.model(pad_to_four(x))[:, :, : x.shape[2], : x.shape[3]]
            out[start : start + len(x)] = _to_gray(clean)
    return out


def denoising_gain(
    objective: DenoiseObjective,
    images: Images,
    noise: str,
    level: float,
    seed: int,
) -> tuple[float, float]:
    """PSNR in dB over all samples, before and after: of images with noise, and of them cleaned."""
    noisy = noisy_images(images, noise, level, seed)
    return pooled_psnr_db(images, noisy), pooled_psnr_db(images, denoise(objective, noisy))


def pooled_psnr_db(images: Images, others: Images) -> float:
    """PSNR over all samples of all images."""
    return psnr_db(int(squared_error(images, others).sum()), images.size)


def _to_float(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255


def _to_gray(x: torch.Tensor) -> Images:
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    gray: Images = pixels.contiguous().numpy()
    return gray
