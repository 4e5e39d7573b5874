"""Make the vectors that are not there yet, and the manifest of what all of them hold.

    python formats/make_vectors.py

A vector that is there is never written again: readers are tested against the files as they lie
here. What each is for, and how it came to be, is in the package ``making``. The models ``pixels-8x8``
and ``dequantizer-8x8``, and the files in TRAINED that were coded with them, came of a short training
and are taken as they are; everything else is made of integers alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from making import good, refused

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
    """Only where nothing is; ValueError where other bytes are."""
    if path.exists():
        if path.read_bytes() != data:
            raise ValueError(f"{path} is there, with other bytes")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def load_models() -> dict[str, Model]:
    write_once(MODELS / f"{good.LATENT_MODEL.name}.safetensors", pack_model(good.LATENT_MODEL))
    return {path.stem: aecodec.load_model(path) for path in sorted(MODELS.glob("*.safetensors"))}


def good_entry(vector: good.Vector, models: dict[str, Model]) -> dict[str, Any]:
    """What our reader finds in it; the tests hold the second reader against that."""
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


def refused_entry(refusal: refused.Refusal) -> dict[str, Any]:
    return {
        "clause": refusal.clause,
        "about": refusal.about,
        "models": [f"models/{name}.safetensors" for name in refusal.models],
        "file_sha256": hashlib.sha256(refusal.data).hexdigest(),
        "refused": refusal.refused,
        "error": refusal.error,
        "match": refusal.match,
    }


def main() -> None:
    models = load_models()
    vectors = dict(good.vectors(models["pixels-8x8"], models["dequantizer-8x8"]))
    for name, (clause, about) in TRAINED.items():
        data = (VECTORS / "good" / f"{name}.aez").read_bytes()
        needs = (
            ("pixels-8x8", "dequantizer-8x8") if name == "pixels-dequantized" else ("pixels-8x8",)
        )
        vectors[name] = good.Vector(data, clause, about, needs)
    manifest = {}
    for name, vector in vectors.items():
        write_once(VECTORS / "good" / f"{name}.aez", vector.data)
        manifest[f"good/{name}.aez"] = good_entry(vector, models)
    for name, refusal in refused.vectors():
        write_once(VECTORS / f"{name}.aez", refusal.data)
        manifest[f"{name}.aez"] = refused_entry(refusal)
    text = json.dumps(dict(sorted(manifest.items())), indent=1)
    (VECTORS / "manifest.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
