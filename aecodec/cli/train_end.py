"""How ``aecodec train`` names a model that is not finished, and how it ends when interrupted."""

from __future__ import annotations

import glob
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aecodec.cli.exits import status_of_signal

UNFINISHED: Final = " (unfinished)"  # ends the name of a model whose training has not ended


def model_name(given: str | None, output: Path, continued: str | None = None) -> str:
    """What files call the model: the name that was given, that of a model continued, or the file's.

    ValueError for a name that was given and is not UTF-8; in that of a file such bytes become "?".
    """
    if given is None and continued is not None:
        return continued.removesuffix(UNFINISHED)
    name = output.stem if given is None else given
    printable = name.encode("utf-8", "replace").decode()
    if given is not None and printable != given:
        raise ValueError(f"--name: expected text in UTF-8, got {given!r}")
    return printable


def end_interrupted(output: Path, about: Mapping[str, Any]) -> int:
    """Say that training was interrupted, and how to go on; returns the exit status.

    ``about`` is what the model file says about the training that was interrupted.
    """
    print(
        f"aecodec: interrupted after {about['steps_done']} of {about['recipe']['steps']} steps; "
        f"{output} is an unfinished model: the same command with --resume -f goes on",
        file=sys.stderr,
    )
    return status_of_signal(signal.Signals[about["interrupted_by"]])


def say_kept(output: Path) -> None:
    """Say how to go on from a checkpoint, if one lies beside the model to be."""
    for checkpoint in sorted(output.parent.glob(f"{glob.escape(output.name)}*.ckpt")):
        force = " -f" if output.exists() else ""
        text = f"{checkpoint} keeps what was trained: the same command with --resume{force} goes on"
        print(f"aecodec: {text}", file=sys.stderr)


def say_where_it_goes_on(checkpoint: Path, what: str, *, quiet: bool) -> None:
    """Say that a training which was to be resumed has nothing to go on from."""
    if not checkpoint.exists() and not quiet:
        text = f"there is no {checkpoint}: {what} is trained from the beginning"
        print(f"aecodec: {text}", file=sys.stderr)
