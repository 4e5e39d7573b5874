"""The commands and their options, told without importing what does the work."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from aecodec._version import __version__
from aecodec.cli.about_options import add_set_options
from aecodec.cli.completion import add_completion_options, print_completion
from aecodec.cli.compress import run_compress
from aecodec.cli.decompress import run_decompress
from aecodec.cli.info import run_info, run_models
from aecodec.cli.limits import add_limit_options
from aecodec.cli.standard import run_bench, run_demo, run_train, run_use
from aecodec.cli.texts import description_of, examples_of
from aecodec.cli.use_options import (
    add_denoise_options,
    add_generate_options,
    add_map_options,
    add_sheet_options,
    add_train_options,
)
from aecodec.cli.verify import run_repair, run_verify
from aecodec.cli.view import add_view_options, view

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


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "aecodec",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aecodec {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:  # noqa: ANN401
        sub = subparsers.add_parser(
            name,
            help=text,
            description=description_of(name),
            epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    inputs = "IDX (gzipped or not), .npy, .npz, a folder of pictures, or - for standard input"
    sub = command("compress", run_compress, "pack an image set into an .aez")
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

    sub = command("decompress", run_decompress, "unpack an .aez, whole or a range of it")
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

    sub = command("info", run_info, "tell what an .aez holds")
    sub.add_argument("input", metavar="IN.aez")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_limit_options(sub)

    sub = command("verify", run_verify, "check every checksum of an .aez")
    sub.add_argument("input", metavar="IN.aez")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="decode everything too, compare hashes")
    how.add_argument("--against", metavar="IN", help="the originals: compute all errors again")
    sub.add_argument("--model", metavar="NAME|FILE", help="where the file's model is")
    add_limit_options(sub)
    _common(sub)

    sub = command("repair", run_repair, "write what is whole in a cut or damaged .aez")
    sub.add_argument("input", metavar="IN.aez")
    sub.add_argument("-o", "--output", metavar="OUT.aez", required=True)
    add_limit_options(sub)
    _common(sub, force=True)

    add_view_options(command("view", view, "show an .aez as one HTML page"))

    _add_train(command("train", run_train, "train a model on an image set"), inputs)

    _add_uses(command)

    sub = command("models", run_models, "list the models on this machine")
    sub.add_argument("--json", action="store_true", help="a JSON list on standard output")

    sub = command("bench", run_bench, "measure aecodec beside other codecs on an image set")
    sub.add_argument("input", metavar="IN", help=inputs)
    sub.add_argument("-o", "--output", metavar="REPORT.html", help="write a page with figures too")
    sub.add_argument("--model", metavar="NAME|FILE", help="default: the best installed one")
    sub.add_argument("--labels", metavar="FILE", help="IDX, .npy or text: a classifier reads too")
    sub.add_argument(
        "--limit", type=int, metavar="N", help="images measured (3000, fewer if large)"
    )
    _common(sub, force=True)

    sub = command("demo", run_demo, "compress real images with a bundled model, show a table")
    sub.add_argument("-o", "--output", metavar="PNG", default="aecodec-demo.png")
    sub.add_argument("--quality", type=float, default=5.0, metavar="Q")
    sub.add_argument("--json", action="store_true", help="a JSON list of the rows instead")

    sub = command("completion", print_completion, "print a script for a shell to complete by")
    add_completion_options(sub, build_parser)
    return parser


def _add_uses(command: Callable[..., Any]) -> None:
    """Commands of the other uses: their options are told where they are bare, their work is not."""
    for name, add, text in (
        ("map", add_map_options, "draw a table or an image set in 2 or 3 dimensions"),
        ("generate", add_generate_options, "make images with a variational autoencoder"),
        ("denoise", add_denoise_options, "take noise off images"),
        ("sheet", add_sheet_options, "draw originals over what an .aez makes of them"),
    ):
        sub = command(name, run_use, text)
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
    sub.add_argument("--shift", type=float, help="share moved by up to a pixel, but at the end (0)")
    sub.add_argument("--tones", action="store_true", help="r learns a table of gray levels, too")
    sub.add_argument(
        "--underlay",
        type=float,
        metavar="Q",
        help="r stands on what latents of this quality rebuild; it needs l and p",
    )
    sub.add_argument("--weight-decay", type=float, metavar="W", help="0.1 for l, 0.3 for r")
    sub.add_argument("--lr-scale", type=float, metavar="F", help="times the learning rates (1)")
    sub.add_argument("--seed", type=int, help="of weights, batches and noise (0)")
    sub.add_argument("--validation", type=float, help="share of images held out (1/12, <= 5000)")
    sub.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    sub.add_argument("--resume", action="store_true", help="continue from MODEL.ckpt")
    _common(sub, force=True)
