"""Where commands read and write: standard input and output, pipes, and files that exist already."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from aecodec.cli.options import InputPath, ModelPath, OutputPath, SecondPath
from aecodec.cli.terminal import shown
from aecodec.io.claims import claimed, refuse_input
from aecodec.io.special import is_special, seekable

STDIO = "-"  # standard input or output, in place of a file's name
_OUTPUTS = (STDIO, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
Source = str | BinaryIO


def run_claimed(run: Callable[[argparse.Namespace], int], a: argparse.Namespace) -> int:
    """Run a command, all of whose paths are claimed: no output replaces an input."""
    with claimed_paths(a):
        return run(a)


@contextlib.contextmanager
def claimed_paths(a: argparse.Namespace) -> Iterator[None]:
    """While it lasts, none of the paths that the options name as inputs is written to.

    ValueError if an output is an input, or another output.
    """
    values = list(_flat(vars(a).values()))
    outputs = [value for value in values if isinstance(value, OutputPath)]
    models = [value for value in values if isinstance(value, ModelPath)]
    with claimed(
        inputs=[_opened(value) for value in values if isinstance(value, InputPath)],
        models=_model_files(models) if outputs else (),
        outputs=[_opened_output(value) for value in outputs if not isinstance(value, SecondPath)],
        reads=_is_read,
    ):
        for value in outputs:
            if isinstance(value, SecondPath):
                refuse_input(value)
        yield


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _opened(path: str) -> object:
    return sys.stdin if path == STDIO else path


def _opened_output(path: str) -> object:
    return sys.stdout if is_stdout(path) else path


def _model_files(names: Iterable[str]) -> list[str | Path]:
    """The files of models that are named, by themselves or among those that are installed."""
    found: list[str | Path] = []
    for name in names:
        if os.path.isfile(name):
            found.append(name)
        else:
            from aecodec.models.finding import model_paths

            found += [path for path in model_paths() if path.stem == name]
    return found


def _is_read(name: str) -> bool:
    from aecodec.images.walking import is_read

    return is_read(name)


def standard_input() -> BinaryIO:
    """Standard input, in bytes; ValueError for a terminal."""
    if sys.stdin.isatty():
        raise ValueError("standard input is a terminal: name a file, or pipe one in")
    return sys.stdin.buffer


def source_of(path: str) -> Source:
    """What a command reads once, from front to back: a path, or standard input for -."""
    return standard_input() if path == STDIO else path


def whole_source_of(path: str) -> Source:
    """What a command may read again: a path, or all that comes through standard input or a pipe."""
    if path == STDIO:
        return _named(seekable(standard_input()), "standard input")
    if is_special(path):
        with open(path, "rb") as file:
            spooled = seekable(file)
            return _named(spooled, path) if spooled is not file else path
    return path


def _named(file: BinaryIO, name: str) -> BinaryIO:
    with contextlib.suppress(AttributeError):  # one on the disk keeps its number
        file.name = name  # type: ignore[misc]
    return file


def name_of(path: str) -> str:
    """What titles call an input."""
    return "standard input" if path == STDIO else shown(Path(path).name)


def is_stdout(path: str | os.PathLike[str] | None) -> bool:
    """Whether an output is standard output, by any of its names."""
    return path is not None and os.fspath(path) in _OUTPUTS


def output_path(path: str) -> str:
    """An output for what needs a path; - becomes the path of standard output."""
    return "/dev/stdout" if path == STDIO else path


def refuse_pipe(path: str, why: str) -> None:
    """ValueError for an output that is a pipe or standard output."""
    if path == STDIO or is_special(path):
        raise ValueError(f"--output: {path} is a pipe, expected a file's name: {why}")


def standard_output() -> BinaryIO:
    """Standard output, in bytes; ValueError for a terminal."""
    if sys.stdout.isatty():
        raise ValueError("standard output is a terminal: name an output with -o, or redirect it")
    if isinstance(sys.stdout.buffer, io.RawIOBase):  # python -u: a write may stop short
        sys.stdout = open(sys.stdout.fileno(), "w", closefd=False)  # noqa: SIM115
    return cast("BinaryIO", sys.stdout.buffer)


def refuse_existing(path: str | Path | None, *, force: bool) -> None:
    """FileExistsError for an output that exists, unless ``force`` is given.

    For commands that work for long: the output itself is checked again when it is written. What
    is not replaced, a pipe or an empty folder, may exist.
    """
    if not path or force or is_special(path):
        return
    found = Path(path)
    if found.exists() and not (found.is_dir() and not os.listdir(found)):
        raise FileExistsError(errno.EEXIST, "exists", str(path))
