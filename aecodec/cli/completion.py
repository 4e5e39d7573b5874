"""``aecodec completion``."""

from __future__ import annotations

import argparse

from aecodec.cli.options import InputPath, ModelPath, OutputPath, SecondPath

SHELLS = ("bash", "zsh", "tcsh")
FILES = (InputPath, ModelPath, OutputPath, SecondPath)  # what takes one


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("shell", choices=SHELLS)


def run(a: argparse.Namespace) -> int:
    """Print the script by which a shell completes commands; returns the exit status."""
    try:
        import shtab
    except ImportError as error:
        raise ImportError("completion needs shtab: pip install 'aecodec[completion]'") from error
    parser = a.build_parser()
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, shell=a.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Let every option and argument that takes a file be completed by names of files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub, files)
        elif action.type in FILES:
            action.complete = files  # type: ignore[attr-defined]
