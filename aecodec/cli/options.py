"""Options that several commands have."""

from __future__ import annotations

import argparse

IMAGE_SETS = "IDX (gzipped or not), .npy, .npz[:ARRAY], a folder of pictures, or - (standard input)"
SETS_OR_AEZ = "IDX (gzipped or not), .npy, .npz[:ARRAY], a folder of pictures, or an .aez"


def add_force(sub: argparse.ArgumentParser) -> None:
    """``-f``, for commands that write a file."""
    sub.add_argument("-f", "--force", action="store_true", help="replace an existing output")


def add_talk(sub: argparse.ArgumentParser) -> None:
    """``-q``, ``-v`` and ``--json``: what a command prints."""
    loud = sub.add_mutually_exclusive_group()
    loud.add_argument("-q", "--quiet", action="store_true", help="errors only")
    loud.add_argument("-v", "--verbose", action="store_true", help="say more")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
