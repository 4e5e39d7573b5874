"""``aecodec completion``: what a shell needs to complete commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Callable

SHELLS = ("bash", "zsh", "tcsh")


def add_completion_options(
    sub: argparse.ArgumentParser, build_parser: Callable[[], argparse.ArgumentParser]
) -> None:
    """The options of the command; ``build_parser`` makes the whole command line's parser."""
    sub.add_argument("shell", choices=SHELLS)
    sub.set_defaults(build_parser=build_parser)


def print_completion(a: argparse.Namespace) -> int:
    """Print the script of a shell; returns the exit status."""
    try:
        import shtab
    except ImportError as error:
        raise ImportError("completion needs shtab: pip install 'aecodec[completion]'") from error
    parser = a.build_parser()
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, shell=a.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Files for every option and argument that takes one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub, files)
        elif action.dest in ("input", "output", "against", "labels", "columns", "model", "base"):
            action.complete = files  # type: ignore[attr-defined]
