"""Are latents worth their bits under the pixel model? The pixel model alone, and given what the
latents rebuild, trained alike.

Both are trained from nothing for the same steps on the same images. The second also sees all
planes of the autoencoder's reconstruction, and pays for its latents (as zstd packs them). Sizes are
ideal code lengths on held-out images, at several error bounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import add_result_options, facts, format_table, load_images, write_result
from torch import Tensor

import aecodec
from aecodec.codec import Codec
from aecodec.images import Images
from aecodec.nets.pixel_model import PixelConfig, PixelTwin
from aecodec.nets.pixel_objective import PixelObjective
from aecodec.nets.planes import split_planes
from aecodec.pixel_training import FEATURES, PixelTrainConfig
from aecodec.training import Trainer, split_images

BOUNDS = (0, 8, 32)
QUALITIES = (2.0, 4.0)
HELD_OUT = 2000
BATCH = 250


class UnderLatents(PixelObjective):
    """The pixel model that sees a reconstruction too: its planes come before the image's own.

    Images have two channels, the reconstruction first. Of a network for 32 planes only the heads
    of the last 16 are used.
    """

    def __init__(self, c: PixelConfig) -> None:
        super().__init__(c)
        self.model = Shifted(PixelConfig(c.height, c.width, 2, c.features, c.mixtures))

    def prepare(self, images: np.ndarray) -> Tensor:
        c = PixelConfig(images.shape[1], images.shape[2], 1, 1)
        both = [split_planes(torch.from_numpy(images[..., [i]]), c) for i in (0, 1)]
        return torch.cat(both, 1)

    def image_bits(self, planes: Tensor, bounds: Tensor) -> Tensor:
        self.model.given = planes[:, :16].float() / 64
        return super().image_bits(planes[:, 16:], bounds)


class Shifted(PixelTwin):
    """Heads 16 to 31 of a network for 32 planes, the first 16 of which are given."""

    given: Tensor

    def predict(self, k: int, planes: Tensor, bounds: Tensor) -> Tensor:
        return super().predict(16 + k, torch.cat([self.given, planes], 1), bounds)


def train(objective: PixelObjective, images: Images, held_out: Images, steps: int) -> list[float]:
    """Bits a pixel on the held-out images at each bound."""
    trainer = Trainer(objective, PixelTrainConfig(steps=steps), torch.device("cpu"), "")
    trainer.run(images, None, lambda step, numbers: None)
    objective.load_state_dict(trainer.averaged)
    objective.eval()
    bpp = []
    with torch.no_grad():
        for bound in BOUNDS:
            bits = 0.0
            for start in range(0, len(held_out), BATCH):
                planes = objective.prepare(held_out[start : start + BATCH])
                bounds = torch.full((len(planes),), bound)
                bits += float(objective.image_bits(planes, bounds).sum())
            bpp.append(bits / (len(held_out) * held_out.shape[1] * held_out.shape[2]))
    return bpp


def rebuild(images: Images, codec: Codec, quality: float) -> tuple[Images, float]:
    """What the latents give back, and what they cost in bits a pixel."""
    blob = aecodec.encode(images, codec=codec, quality=quality)
    return aecodec.decode(blob, codec=codec), 8 * len(blob) / images.size


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="training images, gray")
    parser.add_argument("--model", default="mnist", help="name or file (%(default)s)")
    parser.add_argument("--steps", type=int, default=1500)
    add_result_options(parser, "latents-under-pixels")
    a = parser.parse_args(argv)
    every = load_images(a.input)
    height, width = every.shape[1:3]
    images, held_out = split_images(every, PixelTrainConfig())
    held_out = held_out[:HELD_OUT]
    codec = Codec(aecodec.load_model(a.model))
    c = PixelConfig(height, width, 1, FEATURES["pixel_fast"])
    torch.manual_seed(0)
    alone = train(PixelObjective(c), images, held_out, a.steps)
    rows: list[tuple[str, ...]] = [("alone", "", *(f"{bpp:.4f}" for bpp in alone))]
    results: list[dict[str, Any]] = [
        {"latents": None, "bpp": dict(zip(BOUNDS, alone, strict=True))}
    ]
    for quality in QUALITIES:
        rebuilt, cost = rebuild(images, codec, quality)
        seen = np.concatenate([rebuilt, images], axis=-1)
        tested = np.concatenate([rebuild(held_out, codec, quality)[0], held_out], axis=-1)
        torch.manual_seed(0)
        over = train(UnderLatents(c), seen, tested, a.steps)
        total = [bpp + cost for bpp in over]
        rows.append((f"over quality {quality:g}", f"{cost:.4f}", *(f"{bpp:.4f}" for bpp in total)))
        results.append(
            {
                "latents": quality,
                "latents_bpp": cost,
                "bpp": dict(zip(BOUNDS, total, strict=True)),
            }
        )
    print(format_table(("pixel model", "latents bpp", *(f"E = {e}" for e in BOUNDS)), rows))
    name = Path(a.input).name
    write_result(
        a.name,
        {**facts(name, every), "model": Path(a.model).stem, "steps": a.steps, "rows": results},
        a.results,
    )


if __name__ == "__main__":
    main()
