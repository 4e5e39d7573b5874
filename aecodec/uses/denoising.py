"""``aecodec denoise``: images with noise -> cleaned images, and the gain in PSNR."""

from __future__ import annotations

import numpy as np
import torch

from aecodec.arrays import Images
from aecodec.held_rows import Rows, batches_of, hold
from aecodec.measures.metrics import psnr_db, squared_error
from aecodec.nets.exactness import float_inference
from aecodec.training.draws import Draws
from aecodec.uses.objectives import NOISES, DenoiseObjective, add_noise, pad_to_four

BATCH_IMAGES = 500
BATCH_NUMBERS, NOISE_NUMBERS = 1 << 17, 1 << 21  # of images that are taken together
PIXEL_NBYTES = 256  # that cleaning an image takes, for each of its pixels


def noisy_images(images: Rows, noise: str, level: float, seed: int) -> Rows:
    """uint8 (N, H, W, C) with noise of a kind of NOISES, rounded to whole gray levels.

    ``gaussian`` is clipped to the gray range; levels are shares of it, or of the pixels.
    """
    if noise not in NOISES:
        raise ValueError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}")
    if not 0 <= level <= 1:
        raise ValueError(f"level: expected 0 to 1, got {level}")
    generator = Draws(seed).on("cpu")
    share = torch.from_numpy(np.array(level, np.float32))
    batches = (
        _to_gray(add_noise(_to_float(batch), noise, share, generator))
        for batch in batches_of(images, BATCH_IMAGES, NOISE_NUMBERS)
    )
    return hold(batches, images.shape[1:], np.uint8)


def denoise(objective: DenoiseObjective, images: Rows) -> Rows:
    """Cleaned images of uint8 images (N, H, W, C), of any size."""
    batches = batches_of(images, BATCH_IMAGES, BATCH_NUMBERS)
    return hold((_cleaned(objective, batch) for batch in batches), images.shape[1:], np.uint8)


def _cleaned(objective: DenoiseObjective, images: Images) -> Images:
    with float_inference():
        x = _to_float(images)
        clean = objective.model(pad_to_four(x))[:, :, : x.shape[2], : x.shape[3]]
        return _to_gray(clean)


def denoising_gain(
    objective: DenoiseObjective,
    images: Rows,
    noise: str,
    level: float,
    seed: int,
) -> tuple[float, float]:
    """PSNR in dB over all samples, before and after: of images with noise, and of them cleaned."""
    noisy = noisy_images(images, noise, level, seed)
    return pooled_psnr_db(images, noisy), pooled_psnr_db(images, denoise(objective, noisy))


def pooled_psnr_db(images: Rows, others: Rows) -> float:
    """PSNR over all samples of all images."""
    if images.shape != others.shape:
        raise ValueError(f"images {images.shape} and {others.shape}, expected the same")
    pairs = (batches_of(rows, BATCH_IMAGES, NOISE_NUMBERS) for rows in (images, others))
    total = sum(int(squared_error(x, y).sum()) for x, y in zip(*pairs, strict=True))
    return psnr_db(total, images.size)


def _to_float(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255


def _to_gray(x: torch.Tensor) -> Images:
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    gray: Images = pixels.contiguous().numpy()
    return gray
