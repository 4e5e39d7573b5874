"""What each command does: the package called, and what came of it told."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.cli.exits import EXIT_CORRUPT
from aecodec.limits import limits_of
from aecodec.set_options import info_lines, set_arguments, skipped_facts, skipped_text
from aecodec.terminal import images_text, progress_bar

if TYPE_CHECKING:
    from aecodec.repairing import Repair
    from aecodec.writing import Summary

STDIO = "-"


def run_compress(a: argparse.Namespace) -> int:
    """Pack a set; the exit status, as of every command here."""
    from aecodec.transfer import compress

    source = _standard_input() if a.input == STDIO else a.input
    output = a.output or (STDIO if a.input == STDIO else f"{a.input.rstrip(os.sep)}.aez")
    to_stdout = output == STDIO
    if a.chunk is not None and a.chunk < 1:
        raise ValueError(f"--chunk: expected 1 or more, got {a.chunk}")
    told = set_arguments(a)
    with progress_bar(a, "compress") as progress:
        summary = compress(
            source,
            _standard_output() if to_stdout else output,
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
            force=a.force,
            progress=progress,
            **told,
        )
    facts = {"output": None if to_stdout else output, **vars(summary)}
    facts |= {"skipped": skipped_facts(summary.skipped), "psnr_db": _psnr_fact(summary.psnr_db)}
    if a.json and not to_stdout:
        print(json.dumps(facts))
    elif not a.quiet:
        print(_summary_text(output, summary, verbose=a.verbose), file=sys.stderr)
    return 0


def _summary_text(output: str, s: Summary, *, verbose: bool) -> str:
    if not s.images:
        return f"{output}: no images, {s.nbytes} bytes"
    text = (
        f"{output}: {images_text(s.images)}, {s.raw_nbytes:,} -> {s.nbytes:,} bytes "
        f"({s.bpp:.4f} bpp, {_psnr_text(s.psnr_db)}), model {s.model}"
    )
    if verbose or len(s.images_by_mode) > 1:
        modes = ", ".join(f"{count:,} {mode}" for mode, count in s.images_by_mode.items())
        text += f"\n  images by mode: {modes}; max error {s.max_error}"
    return f"{text}\n{skipped_text(s.skipped)}" if s.skipped else text


def _psnr_text(psnr_db: float | None) -> str:
    return "lossless" if _psnr_fact(psnr_db) is None else f"{psnr_db:.2f} dB"


def _psnr_fact(psnr_db: float | None) -> float | None:
    """None without loss: JSON knows no infinity."""
    return None if psnr_db == float("inf") else psnr_db


def run_decompress(a: argparse.Namespace) -> int:
    """Unpack a file, or what is whole of one."""
    from aecodec.transfer import decompress

    limits = limits_of(a)
    source = _standard_input().read() if a.input == STDIO else a.input
    output = a.output or (STDIO if a.input == STDIO else None)
    to_stdout = output == STDIO
    with progress_bar(a, "decompress") as progress:
        done = decompress(
            source,
            _standard_output() if to_stdout else output,
            kind=a.to,
            images=_range(a.images),
            model=a.model,
            labels=a.labels,
            skip_damaged=a.skip_damaged,
            limits=limits,
            force=a.force,
            progress=progress,
        )
    told, left = str(done.output), done.left_out
    if a.json and not to_stdout:
        facts = {"output": told, "kind": done.kind, "images": done.images, "left_out": left}
        facts |= {"lost": done.lost, "repair": done.repair and done.repair.facts()}
        print(json.dumps(facts))
    elif not a.quiet:
        if not to_stdout:
            print(f"{told}: {images_text(done.images)} as {done.kind}", file=sys.stderr)
        if left and not to_stdout:
            print(f"  left out, which {done.kind} cannot hold: {', '.join(left)}", file=sys.stderr)
        if not done.whole:
            print(f"  damaged: {_losses(done.lost, done.repair)}", file=sys.stderr)
    return 0 if done.whole else EXIT_CORRUPT


def _losses(lost: list[list[int]], repair: Repair | None) -> str:
    """What a damaged file lost, for people."""
    told = [f"images lost: {', '.join(f'{at}:{end}' for at, end in lost) or 'none'}"]
    if repair is not None:
        if repair.images is None:
            told.append("how many there were is unknown")
        if repair.dropped_sections:
            told.append(f"sections lost: {', '.join(repair.dropped_sections)}")
        if repair.lost_nbytes:
            told.append(f"{repair.lost_nbytes:,} bytes of unreadable sections lost")
    return "; ".join(told)


def _range(text: str | None) -> slice:
    if text is None:
        return slice(None)
    first, colon, last = text.partition(":")
    try:
        return (
            slice(int(first) if first else None, int(last) if last else None) if colon else _bad()
        )
    except ValueError:
        raise ValueError(f"--images: expected A:B, got {text!r}") from None


def _bad() -> slice:
    raise ValueError


def run_info(a: argparse.Namespace) -> int:
    """Tell what a file holds."""
    from aecodec.archive import Archive

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


def run_verify(a: argparse.Namespace) -> int:
    """Check a file."""
    from aecodec.transfer import verify

    with progress_bar(a, "verify") as progress:
        against = sys.stdin.buffer if a.against == STDIO else a.against
        count = verify(
            a.input,
            full=a.full,
            against=against,
            model=a.model,
            limits=limits_of(a),
            progress=progress,
        )
    if a.json:
        facts = {"full": a.full or bool(a.against), "against": a.against, "ok": True}
        print(json.dumps({"input": a.input, "images": count, **facts}))
    elif not a.quiet:
        checked = "checksums and pixel hashes" if a.full else "checksums"
        checked = (
            f"checksums, pixel hashes and errors against {a.against}" if a.against else checked
        )
        print(f"{a.input}: {images_text(count)}, {checked} right")
    return 0


def run_repair(a: argparse.Namespace) -> int:
    """Write what is whole of a file."""
    from aecodec.repairing import repair

    done = repair(a.input, a.output, force=a.force, limits=limits_of(a))
    if a.json:
        print(json.dumps({"input": a.input, "output": a.output, **done.facts()}))
    elif not a.quiet:
        print(f"{a.output}: {images_text(done.images_kept)} kept; {_losses(done.lost, done)}")
    return 0 if done.whole else EXIT_CORRUPT


def run_train(a: argparse.Namespace) -> int:
    """Train a codec, or a network for another use."""
    if a.map or a.vae or a.denoise is not None:
        from aecodec.uses.fitting import fit_use

        return fit_use(a)
    from aecodec.fitting import fit_model

    return fit_model(a)


def run_use(a: argparse.Namespace) -> int:
    """Map, generate, denoise or draw a sheet."""
    from aecodec.uses.commands import run_use

    return run_use(a)


def run_models(a: argparse.Namespace) -> int:
    """List the models on this machine."""
    from aecodec.models import installed_models, shape_text

    rows = [
        {
            "name": model.name,
            "shape": list(model.shape),
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


def run_bench(a: argparse.Namespace) -> int:
    """Measure beside other codecs."""
    from aecodec.benchmark.command import bench

    return bench(a)


def run_demo(a: argparse.Namespace) -> int:
    """Show what the codec does."""
    from aecodec.demo import run_demo

    lines, rows = run_demo(a.quality, Path(a.output))
    if a.json:
        facts = [vars(row) | {"psnr_db": _psnr_fact(row.psnr_db)} for row in rows]
        print(json.dumps(facts))
    else:
        print("\n".join(lines))
    return 0


# ---------------------------------------------------------------- the terminal


def _standard_input() -> Any:  # noqa: ANN401
    if sys.stdin.isatty():
        raise ValueError("standard input is a terminal: name a file, or pipe one in")
    return sys.stdin.buffer


def _standard_output() -> Any:  # noqa: ANN401
    if sys.stdout.isatty():
        raise ValueError("standard output is a terminal: name an output with -o, or redirect it")
    if isinstance(sys.stdout.buffer, io.RawIOBase):  # python -u: a write may stop short
        sys.stdout = open(sys.stdout.fileno(), "w", closefd=False)  # noqa: SIM115
    return sys.stdout.buffer
