"""Options that several commands have."""

from __future__ import annotations

import argparse


class InputPath(str):
    """The value of an option that names what the command reads; - is standard input.

    Every option that takes a path has one of these classes as its ``type``: so the command line
    knows all that a command reads and writes before it runs.
    """

    __slots__ = ()


class ModelPath(str):
    """The value of an option that names a model, or its file."""

    __slots__ = ()


class OutputPath(str):
    """The value of an option that names what the command writes; - is standard output."""

    __slots__ = ()


class SecondPath(OutputPath):
    """An output that the command itself tells from its other outputs."""

    __slots__ = ()


IMAGE_SETS = "IDX (gzipped or not), .npy, .npz[:ARRAY], a folder of pictures, or - (standard input)"
SETS_OR_AEZ = "IDX (gzipped or not), .npy, .npz[:ARRAY], a folder of pictures, or an .aez"


def add_force(sub: argparse.ArgumentParser) -> None:
    """``-f``, for commands that write a file."""
    sub.add_argument("-f", "--force", action="store_true", help="replace an existing output")


def add_talk(sub: argparse.ArgumentParser) -> None:
    """``-q``, ``-v`` and ``--json``: what a command prints."""
    loud = sub.add_mutually_exclusive_group()
    loud.add_argument("-q", "--quiet", action="store_true", help="errors and losses only")
    loud.add_argument("-v", "--verbose", action="store_true", help="say more")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
