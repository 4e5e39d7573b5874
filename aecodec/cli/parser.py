"""The commands, and the parser of the command line. No command's work is imported here."""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from typing import Final, Protocol

from aecodec._version import __version__
from aecodec.cli import (
    bench,
    completion,
    compress,
    decompress,
    demo,
    denoise,
    generate,
    info,
    models,
    repair,
    sheet,
    train,
    verify,
    view,
)
from aecodec.cli import map as map_command
from aecodec.cli.files import run_claimed
from aecodec.cli.telling import run_telling
from aecodec.cli.texts import description_of, examples_of

DESCRIPTION = "Pack sets of small, alike 8-bit images into one .aez file, and back."
EPILOG = """\
examples:
  aecodec compress t10k-images-idx3-ubyte.gz            # -> t10k-images-idx3-ubyte.gz.aez
  aecodec compress digits/ -o digits.aez --quality 7    # a folder of pictures
  aecodec compress digits/ -o exact.aez --lossless      # or --max-error 4, or --psnr 35
  aecodec decompress digits.aez -o digits.npy --images 100:200
  aecodec train glyphs.npy -o glyphs.safetensors
  aecodec info digits.aez --json

exit status: 0 done, 1 input or output failed or memory is short, 2 wrong usage or no image set,
3 not an .aez or a damaged one, 4 too new or over a limit, 5 a model is missing, wrong or damaged,
6 done, but pictures, labels or columns were left out (standard error names them),
130 interrupted, 143 terminated, 129 the terminal was closed
"""


class Module(Protocol):
    """The module of a command."""

    def add_options(self, sub: argparse.ArgumentParser) -> None:
        """Add the command's arguments and options to its parser."""

    def run(self, a: argparse.Namespace) -> int:
        """Run the command with its parsed options; returns the exit status."""


@dataclass(frozen=True)
class Command:
    """A command: its name, its line in the list of commands, and its module."""

    name: str
    help: str
    module: Module


COMMANDS: Final = (
    Command("compress", "pack an image set into an .aez", compress),
    Command("decompress", "unpack an .aez, whole or a range of it", decompress),
    Command("info", "tell what an .aez holds", info),
    Command("verify", "check every checksum of an .aez", verify),
    Command("repair", "write what is whole in a cut or damaged .aez", repair),
    Command("view", "show an .aez as one HTML page", view),
    Command("train", "train a model on an image set", train),
    Command("map", "draw a table or an image set in 2 or 3 dimensions", map_command),
    Command("generate", "make images with a variational autoencoder", generate),
    Command("denoise", "take noise off images", denoise),
    Command("sheet", "draw originals over what an .aez makes of them", sheet),
    Command("models", "list the models on this machine", models),
    Command("bench", "measure aecodec beside other codecs on an image set", bench),
    Command("demo", "compress real images with a bundled model, show a table", demo),
    Command("completion", "print a script for a shell to complete by", completion),
)


def _run(module: Module, a: argparse.Namespace) -> int:
    """Run a command: its paths are claimed first, and what its sets left out is told at the end."""
    return run_telling(functools.partial(run_claimed, module.run), a)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line.

    ``run`` of what it parses is the command's function, which claims all paths first;
    ``build_parser`` is this function, which the command ``completion`` needs.
    """
    parser = argparse.ArgumentParser(
        "aecodec",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"aecodec {__version__}")
    parser.set_defaults(build_parser=build_parser)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.name
        sub = subparsers.add_parser(
            name,
            help=command.help,
            description=description_of(name),
            epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.module.add_options(sub)
        sub.set_defaults(run=functools.partial(_run, command.module))
    return parser
