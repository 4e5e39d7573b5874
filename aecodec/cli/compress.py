"""``aecodec compress``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import STDIO, is_stdout, source_of, standard_output
from aecodec.cli.options import IMAGE_SETS, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.progress import progress_bar
from aecodec.cli.terminal import shown
from aecodec.cli.words import images_text, psnr_fact, psnr_text
from aecodec.container.modes import CODERS, DEFAULT_CODER
from aecodec.container.parts import VARIANTS
from aecodec.io.special import is_special
from aecodec.io.strict_json import strict_json
from aecodec.targets import DEFAULT_EFFORT

if TYPE_CHECKING:
    from aecodec.archive.options import Options, Summary


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN", help=IMAGE_SETS)
    sub.add_argument(
        "-o", "--output", type=OutputPath, metavar="OUT.aez", help="default: IN.aez; - is stdout"
    )
    sub.add_argument(
        "--model",
        type=ModelPath,
        metavar="NAME|FILE",
        help="default: the best installed one that fits; none: zstd alone, without loss unless "
        "another target is named",
    )
    _add_targets(sub)
    sub.add_argument(
        "--variant", choices=list(VARIANTS), help="the pixel model of bounded errors (fast)"
    )
    sub.add_argument(
        "--coder",
        choices=list(CODERS),
        help=f"what packs latents ({DEFAULT_CODER}); ans is smaller",
    )
    sub.add_argument(
        "--effort",
        type=int,
        metavar="1..9",
        help="how long better latents are searched for: from 4 on, each level twice as long "
        f"({DEFAULT_EFFORT})",
    )
    sub.add_argument(
        "--chunk",
        type=int,
        metavar="N",
        help="images per chunk (16384; 2048 with ans; 256 by pixels)",
    )
    sub.add_argument("--embed-model", action="store_true", help="make the file self-contained")
    sub.add_argument(
        "--strict",
        action="store_true",
        help="skip nothing: an entry that cannot be taken is an error",
    )
    _add_annotations(sub)
    add_force(sub)
    add_talk(sub)


def _add_targets(sub: argparse.ArgumentParser) -> None:
    target = sub.add_mutually_exclusive_group()
    target.add_argument(
        "--quality", type=float, metavar="Q", help="1 to 9, fractions allowed (default: 5)"
    )
    target.add_argument(
        "--psnr", type=float, metavar="DB", help="at least this PSNR, by whatever is smallest"
    )
    target.add_argument(
        "--max-error", type=int, metavar="E", help="no pixel off by more, in gray levels 0 to 127"
    )
    target.add_argument(
        "--target-bytes-per-image",
        type=float,
        metavar="B",
        help="at most B bytes an image, of the whole file, and the least error for them",
    )
    target.add_argument("--lossless", action="store_true", help="the same as --max-error 0")


def _add_annotations(sub: argparse.ArgumentParser) -> None:
    about = sub.add_argument_group("about the images")
    about.add_argument(
        "--labels",
        type=InputPath,
        metavar="FILE",
        help="IDX (gzipped or not), .npy, .npz, CSV, or text lines",
    )
    about.add_argument(
        "--columns",
        type=InputPath,
        metavar="CSV",
        help="a table with a row for each image; file_name pairs rows with pictures",
    )
    about.add_argument("--title", metavar="TEXT", help="what the set is called")
    about.add_argument("--origin", metavar="TEXT", help="where the images are from")
    about.add_argument("--licence", metavar="TEXT", help="on what terms they may be used")


def run(a: argparse.Namespace) -> int:
    """Pack a set; returns the exit status."""
    from aecodec.archive.compress import compress_with

    is_piped = a.input == STDIO or is_special(a.input)
    output = a.output or (STDIO if is_piped else _default_output(a.input))
    to_stdout = is_stdout(output)
    if a.chunk is not None and a.chunk < 1:
        raise ValueError(f"--chunk: expected 1 or more, got {a.chunk}")
    refuse_foreign_ending(a.output, ".aez")
    options = _options(a)
    source, target = source_of(a.input), standard_output() if to_stdout else output
    with progress_bar(a, "compress") as progress:
        summary = compress_with(
            options, source, target, strict=a.strict, force=a.force, progress=progress
        )
    facts = {"output": None if to_stdout else output, **vars(summary)}
    facts |= {"skipped": _skipped_facts(summary.skipped), "psnr_db": psnr_fact(summary.psnr_db)}
    if a.json and not to_stdout:
        print(strict_json(facts))
    elif not a.quiet:
        text = _summary_text(output, summary, verbose=a.verbose, embedded=a.embed_model)
        print(text, file=sys.stderr)
    return 0


def _default_output(path: str) -> str:
    """IN.aez; for an array of FILE.npz a name of its own, that of a file beside it."""
    from aecodec.images import split_member

    file, member = split_member(path)
    if member is None:
        return f"{path.rstrip(os.sep)}.aez"
    stem, suffix = os.path.splitext(file)
    return f"{stem}-{member.removesuffix('.npy').replace('/', '-')}{suffix}.aez"


def _options(a: argparse.Namespace) -> Options:
    """The encoding options, with labels and columns read from their files."""
    from aecodec.archive.options import Options
    from aecodec.images import read_label_rows, read_rows

    tables = [read_rows(a.columns)] if a.columns else []
    tables += [read_label_rows(a.labels)] if a.labels else []
    for table in tables if not a.quiet else ():
        for name, reason in table.passed_over:
            print(f"{shown(table.where)}: passed over {shown(name)}: {reason}", file=sys.stderr)
    about = {"title": a.title, "origin": a.origin, "licence": a.licence}
    return Options(
        model=a.model,
        quality=a.quality,
        max_error=a.max_error,
        lossless=a.lossless,
        psnr=a.psnr,
        target_bytes_per_image=a.target_bytes_per_image,
        variant=a.variant,
        coder=a.coder,
        effort=a.effort,
        chunk_images=a.chunk,
        embed_model=a.embed_model,
        tables=tuple(tables),
        about={name: text for name, text in about.items() if text is not None},
    )


def _summary_text(output: str, s: Summary, *, verbose: bool, embedded: bool) -> str:
    if not s.images:
        return f"{output}: no images, {s.nbytes} bytes"
    text = (
        f"{output}: {images_text(s.images)}, {s.raw_nbytes:,} -> {s.nbytes:,} bytes "
        f"({s.bpp:.4f} bpp), model {s.model}, {_loss_text(s)}"
    )
    if verbose or len(s.images_by_mode) > 1:
        modes = ", ".join(f"{count:,} {mode}" for mode, count in s.images_by_mode.items())
        text += f"\n  images by mode: {modes}; max error {s.max_error}"
    lines = [text, *_advice(s, embedded=embedded)]
    return "\n".join(lines)


def _loss_text(s: Summary) -> str:
    if s.max_error == 0:
        return "lossless"
    return f"lossy, {psnr_text(s.psnr_db)}; --lossless keeps every pixel"


def _advice(s: Summary, *, embedded: bool) -> Iterator[str]:
    """What the user should know of a file that is larger than it need be."""
    if 2 * s.unlike_images > s.images:
        yield (
            f"  {s.unlike_images:,} of {s.images:,} images are unlike those that model "
            f"{s.tried_model!r} knows, and take more bytes than those; a model of your own is "
            "smaller: 'aecodec train'"
        )
    if embedded and s.nbytes > s.raw_nbytes:
        yield (
            "  with the model inside, the file is larger than the raw images; without "
            "--embed-model it is smaller, and needs the model to be read"
        )


def _skipped_facts(skipped: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """What was skipped, for JSON, in the order of the set."""
    return [{"name": name, "reason": reason} for name, reason in skipped]
