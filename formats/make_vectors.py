"""Make the golden vectors anew: a tiny model, files of it, and the manifest of what they hold.

Only for a change of the format. Readers are tested against the files as they lie here, and a
released vector never changes.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import aecodec
from aecodec import encoding, pixel_training
from aecodec.models import PIXEL_FAST, Model, pack_model

VECTORS = Path(__file__).parent / "vectors"
MODEL = "pixels-8x8"
DEQUANTIZER = "dequantizer-8x8"  # apart, so that both files stay tiny
FEATURES, MIXTURES = 2, 1
CONFIG = pixel_training.PixelTrainConfig(steps=400, batch_images=64, warmup=20, average=0.95)


def slopes(count: int, seed: int) -> np.ndarray:
    """uint8 (count, 8, 8): slopes in all directions with a little texture, no two alike."""
    rng = np.random.default_rng(seed)
    across, down, level = rng.integers(-20, 21, (3, count, 1, 1))
    _, row, column = np.indices((count, 8, 8)) * 2 - 7
    texture = rng.integers(-6, 7, (count, 8, 8))
    return np.clip(
        128 + 3 * level + across * column // 2 + down * row // 2 + texture, 0, 255
    ).astype(np.uint8)


def noise(count: int) -> np.ndarray:
    """uint8 (count, 8, 8) that nothing makes smaller: bytes of SHA-256."""
    digests = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(2 * count))
    return np.frombuffer(digests, np.uint8).reshape(count, 8, 8)


def make_model() -> Model:
    pixel_training.FEATURES[PIXEL_FAST] = FEATURES
    part, _ = pixel_training.train_pixel_model(
        slopes(4000, seed=1)[..., None], CONFIG, PIXEL_FAST, provenance={}, mixtures=MIXTURES
    )
    return Model(MODEL, (8, 8, 1), {part.name: part})


def make_dequantizer() -> Model:
    part, _ = pixel_training.train_dequantizer(
        slopes(4000, seed=1)[..., None], CONFIG, provenance={}, features=FEATURES
    )
    return Model(DEQUANTIZER, (8, 8, 1), {part.name: part})


def main() -> None:
    model = make_model()
    dequantizer = make_dequantizer()
    (VECTORS / "models").mkdir(parents=True, exist_ok=True)
    for each in (model, dequantizer):
        packed = pack_model(replace(each, training={}))
        (VECTORS / "models" / f"{each.name}.safetensors").write_bytes(packed)
    both = replace(model, parts={**model.parts, **dequantizer.parts})
    smooth = slopes(40, seed=0)
    mixed = np.concatenate([smooth, noise(10), slopes(80, seed=2)])
    files: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "pixels-e0": (smooth, {"max_error": 0}),
        "pixels-e8": (smooth, {"max_error": 8}),
        "pixels-e32": (smooth, {"max_error": 32}),
        "pixels-mixed": (mixed, {"max_error": 0}),
        "pixels-chunks": (smooth, {"max_error": 3, "chunk_images": 16}),
        "pixels-one": (smooth[:1], {"max_error": 2}),
        "pixels-psnr": (smooth, {"psnr": 40}),
        "pixels-dequantized": (slopes(40, seed=3), {"psnr": 28}),
    }
    manifest = {}
    (VECTORS / "good").mkdir(exist_ok=True)
    for name, (images, asked) in files.items():
        # layer R also where zstd is a little smaller, but in the file that is to be mixed
        encoding.CLEARLY_SMALLER = 0.8 if name == "pixels-mixed" else math.inf
        needed = both if name == "pixels-dequantized" else model
        blob = aecodec.encode(images, model=needed, **asked)
        (VECTORS / "good" / f"{name}.aez").write_bytes(blob)
        with aecodec.open(blob, model=needed) as archive:
            decoded, info = archive[:], archive.info
        manifest[f"good/{name}.aez"] = {
            "models": [
                f"models/{each.name}.safetensors"
                for each in (model, dequantizer)
                if set(each.parts) <= set(needed.parts)
            ],
            "shape": list(decoded.shape),
            "max_error": info["max_error"],
            "images_by_mode": info["images_by_mode"],
            "file_sha256": hashlib.sha256(blob).hexdigest(),
            "pixels_sha256": hashlib.sha256(decoded.tobytes()).hexdigest(),
        }
    (VECTORS / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
