"""``aecodec denoise``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import STDIO, name_of, output_path, refuse_existing, whole_source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import SETS_OR_AEZ, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.use_outputs import say, write_set
from aecodec.io.left_out import PassedOver, Skipped, Told, tell
from aecodec.io.special import is_special

if TYPE_CHECKING:
    from aecodec.held_rows import Rows
    from aecodec.uses.inputs import ImageSet

SHEET_IMAGES = 10


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN", help=SETS_OR_AEZ)
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="OUT",
        help="a set of the kind that the name tells",
    )
    sub.add_argument(
        "--model",
        type=ModelPath,
        metavar="NAME|FILE",
        required=True,
        help="mnist, fashion, or one of train",
    )
    sub.add_argument(
        "--against",
        type=InputPath,
        metavar="CLEAN",
        help="the originals: tell PSNR before and after",
    )
    sub.add_argument(
        "--add-noise",
        nargs=2,
        metavar=("KIND", "LEVEL"),
        help="IN is clean: add gaussian (clipped), salt-and-pepper or masking noise first",
    )
    sub.add_argument("--seed", type=int, default=0, help="of that noise (0)")
    sub.add_argument(
        "--sheet", type=OutputPath, metavar="PNG", help="draw noisy, denoised and original images"
    )
    add_force(sub)
    add_talk(sub)
    add_limit_options(sub)


def run(a: argparse.Namespace) -> int:
    """Take noise off images; returns the exit status."""
    from aecodec.uses.denoising import denoise, pooled_psnr_db
    from aecodec.uses.stored import DENOISE, load_use, restore

    for path in (a.output, a.sheet):
        refuse_existing(path, force=a.force)
    if not a.output and not a.sheet and not a.against and not a.add_noise:
        raise ValueError("nothing to do: name an output with -o, or originals with --against")
    refuse_foreign_ending(a.sheet, ".png", option="--sheet")
    if a.output:
        _kind_of(a.output)  # an ending that names none is told before the work
    if a.against and a.add_noise:
        raise ValueError("--add-noise: IN is then the original, --against has no place")
    model = load_use(a.model, DENOISE)
    objective = restore(model)
    noisy, clean, title = _read(a, model.name, model.the_shape()[2])
    cleaned = denoise(objective, noisy)
    facts: dict[str, Any] = {"output": a.output, "model": model.name, "images": len(noisy)}
    text = f"{a.output or a.input}: {len(noisy):,} images denoised by model {model.name}"
    if clean is not None:
        before, after = pooled_psnr_db(clean, noisy), pooled_psnr_db(clean, cleaned)
        facts |= {"psnr_before_db": before, "psnr_after_db": after}
        title += f": {before:.2f} dB before, {after:.2f} dB after"
        text += f"; {title}"
    if a.output:
        write_set(cleaned, _kind_of(a.output), Path(output_path(a.output)), force=a.force)
    if a.sheet:
        _draw(a, title, noisy, cleaned, clean)
    say(a, facts, text)
    return 0


def _read(a: argparse.Namespace, model: str, channels: int) -> tuple[Rows, Rows | None, str]:
    """Images with noise, the originals if they are known, and what to call them."""
    from aecodec.uses.denoising import PIXEL_NBYTES, noisy_images
    from aecodec.uses.inputs import is_aez, load_image_set, read_image_set, require_memory

    source, limits = whole_source_of(a.input), limits_of(a)
    found = load_image_set(source, limits, with_names=False)
    noisy = found.images
    if a.output:
        tell(a.output, _not_kept(found))
    if noisy.shape[3] != channels:
        raise ValueError(
            f"{a.input}: images have {noisy.shape[3]} channels, model {model!r} is for {channels}"
        )
    if is_aez(source):
        nbytes = noisy.shape[1] * noisy.shape[2] * PIXEL_NBYTES
        require_memory(limits, a.input, nbytes, "to clean an image")
    title = name_of(a.input)
    if a.add_noise:
        kind, level = a.add_noise
        title += f", {kind} noise {level}"
        return noisy_images(noisy, kind, _level(level), a.seed), noisy, title
    clean = read_image_set(whole_source_of(a.against), limits) if a.against else None
    if clean is not None and clean.shape != noisy.shape:
        raise ValueError(f"--against: found images {clean.shape}, expected {noisy.shape}")
    return noisy, clean, title


def _not_kept(found: ImageSet) -> Iterator[Told]:
    """What the denoised set lacks of the one that was read."""
    for name in found.columns:
        yield Skipped(name, "denoised images are written without labels and columns")
    if found.has_names:
        yield PassedOver("names of images", "denoised images are numbered")


def _level(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--add-noise: expected a level 0 to 1, got {text!r}") from None


def _kind_of(output: str) -> str:
    """The kind of set that a name asks for: a folder, if it has no ending; .npy for a pipe."""
    from aecodec.archive.outputs import kind_by_ending

    if output == STDIO or is_special(output):
        return "npy"
    return kind_by_ending(output) or "folder"


def _draw(
    a: argparse.Namespace, title: str, noisy: Rows, cleaned: Rows, clean: Rows | None
) -> None:
    """Draw some of the images: with noise, without, and the originals."""
    import numpy as np

    from aecodec.uses import drawing, sheets

    chosen = np.array(sheets.choose(len(noisy), SHEET_IMAGES))
    rows = [("noisy", noisy[chosen]), ("denoised", cleaned[chosen])]
    rows += [("original", clean[chosen])] if clean is not None else []
    drawing.write_figure(drawing.rows_figure(rows, title), Path(a.sheet), force=a.force)
