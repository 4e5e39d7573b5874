"""``aecodec info`` and ``aecodec models``."""

from __future__ import annotations

import argparse
import json

from aecodec.cli.about_options import info_lines
from aecodec.cli.limits import limits_of
from aecodec.cli.standard import _psnr_text


def run_info(a: argparse.Namespace) -> int:
    """Tell what a file holds."""
    from aecodec.archive.array import Archive

    with Archive(a.input, limits=limits_of(a)) as archive:
        info = archive.info
    if a.json:
        print(json.dumps(info))
        return 0
    modes = ", ".join(f"{count:,} {mode}" for mode, count in info["images_by_mode"].items())
    bpp = "-" if info["bpp"] is None else f"{info['bpp']:.4f}"
    psnr = _psnr_text(info["psnr_db"])
    print(f"{a.input}: .aez version {info['version']}")
    print(f"images      {info['images']:,} of {info['height']}x{info['width']}x{info['channels']}")
    print(f"size        {info['file_nbytes']:,} bytes, {bpp} bpp, raw {info['raw_nbytes']:,}")
    print(f"error       {psnr}, max error {info['max_error']}")
    print(f"modes       {modes or 'no images'}")
    print(f"chunks      {info['chunks']:,} of {info['chunk_images']:,} images")
    if info["model"]:
        print(f"model       {info['model']}{', embedded' if info['model_embedded'] else ''}")
    print("".join(f"{line}\n" for line in info_lines(info)), end="")
    for name, fingerprint in info["parts"].items():
        print(f"part        {name} {fingerprint}")
    return 0


def run_models(a: argparse.Namespace) -> int:
    """List the models on this machine."""
    from aecodec.models.finding import installed_models
    from aecodec.models.model import shape_text

    rows = [
        {
            "name": model.name,
            "shape": list(model.the_shape()),
            "parts": {name: digest.hex() for name, digest in model.fingerprints().items()},
            "decoder_nbytes": sum(part.nbytes for part in model.parts.values()),
            "training": dict(model.training),
        }
        for model in installed_models()
    ]
    if a.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        parts = ", ".join(f"{name} {digest[:16]}" for name, digest in row["parts"].items())  # type: ignore[attr-defined]
        shape = shape_text(tuple(row["shape"]))  # type: ignore[arg-type]
        print(f"{row['name']:12} {shape:10} {row['decoder_nbytes']:>9,} bytes  {parts}")
    return 0
