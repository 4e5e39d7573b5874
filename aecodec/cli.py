"""The command line. Each command imports what it needs inside itself, so ``info`` starts bare."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec._version import __version__
from aecodec.completion import add_completion_options, print_completion
from aecodec.errors import (
    AezCorruptError,
    AezError,
    AezLimitError,
    AezUnsupportedError,
    ModelCorruptError,
    ModelMismatchError,
    ModelMissingError,
)
from aecodec.help_texts import examples_of
from aecodec.limits import add_limit_options, limits_of
from aecodec.set_options import (
    add_set_options,
    info_lines,
    set_arguments,
    skipped_facts,
    skipped_text,
)
from aecodec.terminal import images_text, progress_bar
from aecodec.uses.options import (
    add_denoise_options,
    add_generate_options,
    add_map_options,
    add_sheet_options,
    add_train_options,
)
from aecodec.view.command import add_view_options, view

if TYPE_CHECKING:
    from aecodec.repairing import Repair
    from aecodec.writing import Summary

EXIT_IO, EXIT_USAGE, EXIT_CORRUPT, EXIT_UNSUPPORTED, EXIT_MODEL = 1, 2, 3, 4, 5
STDIO = "-"
DESCRIPTION = "Pack sets of small, alike 8-bit images into one .aez file, and back."
EPILOG = """\
examples:
  aecodec compress t10k-images-idx3-ubyte.gz            # -> t10k-images-idx3-ubyte.gz.aez
  aecodec compress digits/ -o digits.aez --quality 7    # a folder of pictures
  aecodec compress digits/ -o exact.aez --lossless      # or --max-error 4, or --psnr 35
  aecodec decompress digits.aez -o digits.npy --images 100:200
  aecodec train glyphs.npy -o glyphs.safetensors
  aecodec info digits.aez --json

exit status: 0 done, 1 input or output failed, 2 wrong usage or not an image set,
3 not an .aez or a damaged one, 4 too new or over a limit, 5 a model is missing, wrong or damaged,
130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = int(arguments.run(arguments) or 0)
        sys.stdout.flush()  # here, where a full disk still has a status and a message
        return status
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        _drop_unwritten()  # nobody reads on, and nobody wants to be told
        return EXIT_IO
    except AezError as error:
        return _fail(str(error), _status(error))
    except OSError as error:
        _drop_unwritten()
        return _fail(_os_error_text(error), EXIT_IO)
    except (ValueError, ImportError) as error:
        return _fail(str(error), EXIT_USAGE)


def _drop_unwritten() -> None:
    """Send what standard output refuses to nowhere: Python would retry at exit, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _status(error: AezError) -> int:
    if isinstance(error, AezCorruptError):
        return EXIT_CORRUPT
    if isinstance(error, AezUnsupportedError | AezLimitError):
        return EXIT_UNSUPPORTED
    if isinstance(error, ModelMismatchError | ModelMissingError | ModelCorruptError):
        return EXIT_MODEL
    return EXIT_USAGE


def _os_error_text(error: OSError) -> str:
    if error.errno == errno.EEXIST and error.filename:
        return f"{error.filename} exists; -f replaces it"
    if error.errno and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _fail(message: str, status: int) -> int:
    print(f"aecodec: {message}", file=sys.stderr)
    return status


# ---------------------------------------------------------------- options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "aecodec",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aecodec {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:  # noqa: ANN401
        sub = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    inputs = "IDX (gzipped or not), .npy, .npz, a folder of pictures, or - for standard input"
    sub = command("compress", _compress, "pack an image set into an .aez")
    sub.add_argument("input", metavar="IN", help=inputs)
    sub.add_argument("-o", "--output", metavar="OUT.aez", help="default: IN.aez; - is stdout")
    sub.add_argument(
        "--model", metavar="NAME|FILE", help="default: the best installed one; none: zstd alone"
    )
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
    sub.add_argument(
        "--variant", choices=["fast", "small"], help="the pixel model of bounded errors (fast)"
    )
    sub.add_argument(
        "--coder",
        choices=["zstd", "ans"],
        default="zstd",
        help="what packs latents; ans is smaller",
    )
    sub.add_argument(
        "--effort",
        type=int,
        default=3,
        metavar="1..9",
        help="how long better latents are searched for: from 4 on, each level twice as long (3)",
    )
    sub.add_argument(
        "--chunk",
        type=int,
        metavar="N",
        help="images per chunk (16384; 2048 with ans; 256 by pixels)",
    )
    sub.add_argument("--embed-model", action="store_true", help="make the file self-contained")
    add_set_options(sub)
    _common(sub, force=True)

    sub = command("decompress", _decompress, "unpack an .aez, whole or a range of it")
    sub.add_argument("input", metavar="IN.aez", help="- for standard input")
    sub.add_argument("-o", "--output", metavar="OUT", help="default: IN without .aez; - is stdout")
    sub.add_argument("--to", choices=["idx", "idx.gz", "npy", "npz", "folder"], help="kind of OUT")
    sub.add_argument("--images", metavar="A:B", help="only images A to B-1")
    sub.add_argument(
        "--labels",
        metavar="FILE",
        help="an IDX file for the labels (beside an IDX file by default)",
    )
    sub.add_argument(
        "--skip-damaged",
        action="store_true",
        help="write what is whole of a damaged file, tell the rest, exit 3 if there is any",
    )
    sub.add_argument("--model", metavar="NAME|FILE", help="where the file's model is")
    add_limit_options(sub)
    _common(sub, force=True)

    sub = command("info", _info, "tell what an .aez holds")
    sub.add_argument("input", metavar="IN.aez")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_limit_options(sub)

    sub = command("verify", _verify, "check every checksum of an .aez")
    sub.add_argument("input", metavar="IN.aez")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="decode everything too, compare hashes")
    how.add_argument("--against", metavar="IN", help="the originals: compute all errors again")
    sub.add_argument("--model", metavar="NAME|FILE", help="where the file's model is")
    add_limit_options(sub)
    _common(sub)

    sub = command("repair", _repair, "write what is whole in a cut or damaged .aez")
    sub.add_argument("input", metavar="IN.aez")
    sub.add_argument("-o", "--output", metavar="OUT.aez", required=True)
    add_limit_options(sub)
    _common(sub, force=True)

    add_view_options(command("view", view, "show an .aez as one HTML page"))

    _add_train(command("train", _train, "train a model on an image set"), inputs)

    _add_uses(command)

    sub = command("models", _models, "list the models on this machine")
    sub.add_argument("--json", action="store_true", help="a JSON list on standard output")

    sub = command("bench", _bench, "measure aecodec beside other codecs on an image set")
    sub.add_argument("input", metavar="IN", help=inputs)
    sub.add_argument("-o", "--output", metavar="REPORT.html", help="write a page with figures too")
    sub.add_argument("--model", metavar="NAME|FILE", help="default: the best installed one")
    sub.add_argument("--labels", metavar="FILE", help="IDX, .npy or text: a classifier reads too")
    sub.add_argument(
        "--limit", type=int, metavar="N", help="images measured (3000, fewer if large)"
    )
    _common(sub, force=True)

    sub = command("demo", _demo, "compress real images with a bundled model, show a table")
    sub.add_argument("-o", "--output", metavar="PNG", default="aecodec-demo.png")
    sub.add_argument("--quality", type=float, default=5.0, metavar="Q")
    sub.add_argument("--json", action="store_true", help="a JSON list of the rows instead")

    sub = command("completion", print_completion, "print a script for a shell to complete by")
    add_completion_options(sub, _parser)
    return parser


def _add_uses(command: Callable[..., Any]) -> None:
    """Commands of the other uses: their options are told where they are bare, their work is not."""
    for name, add, text in (
        ("map", add_map_options, "draw a table or an image set in 2 or 3 dimensions"),
        ("generate", add_generate_options, "make images with a variational autoencoder"),
        ("denoise", add_denoise_options, "take noise off images"),
        ("sheet", add_sheet_options, "draw originals over what an .aez makes of them"),
    ):
        sub = command(name, _use, text)
        add(sub)
        sub.set_defaults(use=name)
        _common(sub, force=True)


def _common(sub: Any, *, force: bool = False) -> None:  # noqa: ANN401
    if force:
        sub.add_argument("-f", "--force", action="store_true", help="replace an existing output")
    loud = sub.add_mutually_exclusive_group()
    loud.add_argument("-q", "--quiet", action="store_true", help="errors only")
    loud.add_argument("-v", "--verbose", action="store_true", help="say more")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _add_train(sub: Any, inputs: str) -> None:  # noqa: ANN401
    sub.add_argument("input", metavar="IN", help=inputs)
    sub.add_argument("-o", "--output", metavar="MODEL", required=True, help="a .safetensors file")
    sub.add_argument("--name", help="what files call the model (default: MODEL's name)")
    sub.add_argument(
        "--layers",
        default="l,p,r,d",
        help="l (latents), p (their prior), r (pixel model), d (dequantizer); all",
    )
    sub.add_argument("--variant", choices=["fast", "small"], default="fast", help="of r (fast)")
    sub.add_argument("--base", metavar="MODEL", help="go on from this model")
    sub.add_argument(
        "--steps", type=int, help="optimizer steps of each layer (32000, 6000, 6000, 5000)"
    )
    sub.add_argument(
        "--batch", type=int, help="images a step (144 l, a multiple of nine; 288 p, 128)"
    )
    add_train_options(sub)
    sub.add_argument("--exact", metavar="NPY", help="indices of the images that r ends on")
    sub.add_argument("--flip", type=float, help="share of images mirrored in training (0)")
    sub.add_argument("--weight-decay", type=float, metavar="W", help="0.1 for l, 0.3 for r")
    sub.add_argument("--lr-scale", type=float, metavar="F", help="times the learning rates (1)")
    sub.add_argument("--seed", type=int, help="of weights, batches and noise (0)")
    sub.add_argument("--validation", type=float, help="share of images held out (1/12, <= 5000)")
    sub.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    sub.add_argument("--resume", action="store_true", help="continue from MODEL.ckpt")
    _common(sub, force=True)


# ---------------------------------------------------------------- commands


def _compress(a: argparse.Namespace) -> int:
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
    facts["skipped"] = skipped_facts(summary.skipped)
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
    return "lossless" if psnr_db is None or psnr_db == float("inf") else f"{psnr_db:.2f} dB"


def _decompress(a: argparse.Namespace) -> int:
    from aecodec.transfer import decompress, left_out

    limits = limits_of(a)
    source = _standard_input().read() if a.input == STDIO else a.input
    kind, output = _decompressed_as(a, source)
    to_stdout = output == STDIO
    with progress_bar(a, "decompress") as progress:
        done = decompress(
            source,
            _standard_output() if to_stdout else output,
            kind=kind,
            images=_range(a.images),
            model=a.model,
            labels=a.labels,
            skip_damaged=a.skip_damaged,
            limits=limits,
            force=a.force,
            progress=progress,
        )
    left = [] if done.repair else left_out(source, kind, with_labels=bool(a.labels))
    if a.json and not to_stdout:
        facts = {"output": output, "kind": kind, "images": done.images, "left_out": left}
        facts |= {"lost": done.lost, "repair": done.repair and done.repair.facts()}
        print(json.dumps(facts))
    elif not a.quiet:
        if not to_stdout:
            print(f"{output}: {images_text(done.images)} as {kind}", file=sys.stderr)
        if left and not to_stdout:
            print(f"  left out, which {kind} cannot hold: {', '.join(left)}", file=sys.stderr)
        if not done.whole:
            print(f"  damaged: {_losses(done.lost, done.repair)}", file=sys.stderr)
    return 0 if done.whole else EXIT_CORRUPT


def _decompressed_as(a: argparse.Namespace, source: str | bytes) -> tuple[str, str]:
    """The kind of the output, and its name."""
    from aecodec.archive import Archive
    from aecodec.transfer import default_kind, default_output

    kind = a.to
    if kind is None:
        try:
            with Archive(source) as archive:
                kind = default_kind(archive)
        except AezCorruptError:
            if not a.skip_damaged:
                raise
            kind = "npy"
    output = a.output or (STDIO if a.input == STDIO else str(default_output(a.input, kind)))
    if a.to is None and a.output and a.output != STDIO:
        kind = _kind_by_name(output) or kind
    return ("npy" if output == STDIO and kind == "folder" else kind), output


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


def _kind_by_name(output: str) -> str | None:
    """The kind that an output's suffix asks for, if any."""
    if output.endswith((".npy", ".npz")):
        return output[-3:]
    if output.endswith(".gz"):
        return "idx.gz"
    return "idx" if output.endswith(("-ubyte", ".idx")) else None


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


def _info(a: argparse.Namespace) -> int:
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


def _verify(a: argparse.Namespace) -> int:
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


def _repair(a: argparse.Namespace) -> int:
    from aecodec.repairing import repair

    done = repair(a.input, a.output, force=a.force, limits=limits_of(a))
    if a.json:
        print(json.dumps({"input": a.input, "output": a.output, **done.facts()}))
    elif not a.quiet:
        print(f"{a.output}: {images_text(done.images_kept)} kept; {_losses(done.lost, done)}")
    return 0 if done.whole else EXIT_CORRUPT


def _train(a: argparse.Namespace) -> int:
    if a.map or a.vae or a.denoise is not None:
        from aecodec.uses.fitting import fit_use

        return fit_use(a)
    from aecodec.fitting import fit_model

    return fit_model(a)


def _use(a: argparse.Namespace) -> int:
    from aecodec.uses.commands import run_use

    return run_use(a)


def _models(a: argparse.Namespace) -> int:
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


def _bench(a: argparse.Namespace) -> int:
    from aecodec.benchmark.command import bench

    return bench(a)


def _demo(a: argparse.Namespace) -> int:
    from aecodec.demo import run_demo

    lines, rows = run_demo(a.quality, Path(a.output))
    if a.json:
        facts = [
            vars(row) | {"psnr_db": row.psnr_db if row.psnr_db < 1e9 else None} for row in rows
        ]
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
    return sys.stdout.buffer
