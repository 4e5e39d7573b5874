"""Write the vectors that are missing, and the manifest that describes all of them.

    python formats/make_vectors.py

The script never writes over a vector, because readers are tested against the files as they are.
The package ``making`` holds the code and the reason of each vector. The models ``pixels-8x8`` and
``dequantizer-8x8`` came of a short training, and so did the files in TRAINED, which are coded with
them; the script takes these from the folder as they are. Everything else is made of integers alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from making import good, refused
from making.tiny_models import LATENT_MODEL
from making.vector import Refusal, Vector

import aecodec
from aecodec.archive.array import Archive
from aecodec.models.file import pack_model
from aecodec.models.finding import find_parts
from aecodec.models.model import Model

VECTORS = Path(__file__).parent / "vectors"
MODELS = VECTORS / "models"
TRAINED = {
    "pixels-chunks": ("5.1", "layer R, maximum error 3, three chunks"),
    "pixels-dequantized": ("13", "a PSNR of 28 dB: mode 4 under two bounds"),
    "pixels-e0": ("11.3", "lossless"),
    "pixels-e32": ("11.3", "maximum error 32"),
    "pixels-e8": ("11.3", "maximum error 8"),
    "pixels-mixed": ("5.3", "lossless, images that layer R makes larger stored"),
    "pixels-one": ("12.4", "layer R, one image"),
    "pixels-psnr": ("5.2", "a PSNR of 40 dB: mode 3 under two bounds"),
}


def write_once(path: Path, data: bytes) -> None:
    """Write a file that is not there; ValueError if it is there with other bytes."""
    if path.exists():
        if path.read_bytes() != data:
            raise ValueError(f"{path} is there, with other bytes")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def load_models() -> dict[str, Model]:
    """The models in vectors/models by name; writes the one that was not trained."""
    write_once(MODELS / f"{LATENT_MODEL.name}.safetensors", pack_model(LATENT_MODEL))
    return {path.stem: aecodec.load_model(path) for path in sorted(MODELS.glob("*.safetensors"))}


def good_entry(vector: Vector, models: dict[str, Model]) -> dict[str, Any]:
    """The manifest's entry of a good file: what our reader finds in it."""
    with Archive(vector.data) as archive:
        wanted = {part.name: part.fingerprint for part in archive.reader.parts}
        info = archive.info
    needed = [models[name] for name in vector.models]
    model = find_parts(wanted, needed, "vector") if needed else None
    with Archive(vector.data, model=model) as archive:
        images = archive[:]
    return {
        "clause": vector.clause,
        "about": vector.about,
        "models": [f"models/{name}.safetensors" for name in vector.models],
        "file_sha256": hashlib.sha256(vector.data).hexdigest(),
        "shape": list(images.shape),
        "max_error": info["max_error"],
        "images_by_mode": info["images_by_mode"],
        "pixels_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
    }


def refused_entry(refusal: Refusal) -> dict[str, Any]:
    """The manifest's entry of a file that readers must refuse."""
    return {
        "clause": refusal.clause,
        "about": refusal.about,
        "models": [f"models/{name}.safetensors" for name in refusal.models],
        "file_sha256": hashlib.sha256(refusal.data).hexdigest(),
        "refused": refusal.refused,
        "error": refusal.error,
        "match": refusal.match,
    }


def good_vectors(models: dict[str, Model]) -> dict[str, Vector]:
    """All good vectors by name; those in TRAINED are read from the folder."""
    vectors = dict(good.vectors(models["pixels-8x8"], models["dequantizer-8x8"]))
    for name, (clause, about) in TRAINED.items():
        data = (VECTORS / "good" / f"{name}.aez").read_bytes()
        needs: tuple[str, ...] = ("pixels-8x8",)
        if name == "pixels-dequantized":
            needs += ("dequantizer-8x8",)
        vectors[name] = Vector(data, clause, about, needs)
    return vectors


def main() -> None:
    """Write the vectors that are missing, and the manifest."""
    models = load_models()
    manifest = {}
    for name, vector in good_vectors(models).items():
        write_once(VECTORS / "good" / f"{name}.aez", vector.data)
        manifest[f"good/{name}.aez"] = good_entry(vector, models)
    for name, refusal in refused.vectors():
        write_once(VECTORS / f"{name}.aez", refusal.data)
        manifest[f"{name}.aez"] = refused_entry(refusal)
    text = json.dumps(dict(sorted(manifest.items())), indent=1)
    (VECTORS / "manifest.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
