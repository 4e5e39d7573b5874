"""``aecodec demo``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import refuse_existing, refuse_pipe
from aecodec.cli.options import OutputPath, add_force
from aecodec.cli.words import psnr_fact
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST
from aecodec.io.strict_json import strict_json
from aecodec.targets import DEFAULT_QUALITY

if TYPE_CHECKING:
    from aecodec.arrays import Images
    from aecodec.benchmark.demo import Row
    from aecodec.codec.codec import Codec

PICTURE = "aecodec-demo.png"  # the demo's own: it is replaced without -f


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("-o", "--output", type=OutputPath, metavar="PNG", default=PICTURE)
    sub.add_argument("--quality", type=float, default=DEFAULT_QUALITY, metavar="Q")
    sub.add_argument("--json", action="store_true", help="a JSON list of the rows instead")
    add_force(sub)


def run(a: argparse.Namespace) -> int:
    """Measure the sample, write the picture and print the table; returns the exit status."""
    from aecodec import demo
    from aecodec.benchmark.demo import measure_sample
    from aecodec.codec.codec import Codec
    from aecodec.models.finding import load_model

    force = a.force or a.output == PICTURE
    refuse_pipe(a.output, "the table goes to standard output")
    refuse_foreign_ending(a.output, ".png")
    refuse_existing(a.output, force=force)
    images, codec = demo.load_sample(), Codec(load_model(demo.MODEL))
    rows, decoded = measure_sample(images, codec, a.quality)
    said = _write_picture(Path(a.output), images, decoded, force=force)
    if a.json:
        print(strict_json([vars(row) | {"psnr_db": psnr_fact(row.psnr_db)} for row in rows]))
        return 0
    print(f"{len(images)} Fashion-MNIST test images, 28x28, model {demo.MODEL}")
    print("\n".join([*_table(rows, images), *_notes(codec), said]))
    return 0


def _table(rows: list[Row], images: Images) -> list[str]:
    lines = [f"{'codec':32}{'bytes/image':>12}{'bpp':>8}{'PSNR dB':>10}{'images/s':>11}"]
    for row in rows:
        each = row.nbytes / len(images)
        psnr = "lossless" if math.isinf(row.psnr_db) else f"{row.psnr_db:.2f}"
        speed = "" if row.images_per_s is None else f"{row.images_per_s:,.0f}"
        bpp = 8 * row.nbytes / images.size
        lines.append(f"{row.name:32}{each:12.1f}{bpp:8.3f}{psnr:>10}{speed:>11}")
    return lines


def _notes(codec: Codec) -> list[str]:
    """What the sizes in the table leave out."""
    parts = codec.model.parts if codec.model else {}
    sizes = ", ".join(f"{parts[p].nbytes:,}" for p in (LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST))
    return [
        f"The decoders ({sizes} bytes, installed with aecodec) are not counted.",
        "PCA is fitted on these very images, and its basis is not counted.",
    ]


def _write_picture(output: Path, images: Images, decoded: Images, *, force: bool) -> str:
    """Write originals over reconstructions, if Pillow is here; returns what to say."""
    from aecodec.benchmark.demo import find_pillow, picture
    from aecodec.io.atomic import atomic_path

    pillow = find_pillow()
    if pillow is None:
        return "No picture: it needs Pillow (pip install 'aecodec[png]')."
    with atomic_path(output, force=force) as temporary:
        temporary.write_bytes(picture(pillow, images, decoded))
    return f"Originals over reconstructions: {output}"
