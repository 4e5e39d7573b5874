"""Targets that are whole commands: their status, their outputs and what they print."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

import aecodec
from aecodec.cli import main
from aecodec.errors import AezError
from aecodec.limits import Limits
from aecodec.models.file import pack_model
from fuzzing.common import LIMITS, MODEL, Finding
from fuzzing.files import opened
from fuzzing.sandbox import BOX

FOLDER_LIMITS = Limits(1 << 11, 2 << 20, 1 << 20, 4 << 20)  # of pictures: each is a file
DONE, STATUSES = (0, 6), (0, 3, 4, 5, 6)  # 5: the file names a model that is not here
TOO_FEW = 2  # a map and a sheet need some images of some size
SOUND = os.path.join(BOX.input, "sound.npy")
MODEL_PATH = os.path.join(BOX.input, "model.safetensors")
IN = os.path.join(BOX.input, "in.aez")
np.save(SOUND, np.zeros((4, 2, 2), np.uint8))
Path(MODEL_PATH).write_bytes(pack_model(MODEL))
OPTIONS = ["--max-memory", "2M", "--max-column", "4M", "--max-model", "1M", "--max-decoded", "2K"]
COMMANDS: tuple[Sequence[str], ...] = (
    ("info", IN),
    ("info", "--json", IN),
    ("verify", IN),
    ("verify", "--full", IN),
    ("repair", IN, "-o", BOX.path("out.aez")),
    ("decompress", IN, "-o", BOX.path("out.npy")),
    ("decompress", IN, "-o", BOX.path("out.npz")),
    ("decompress", IN, "-o", BOX.path("out-ubyte"), "--to", "idx"),
    ("decompress", IN, "-o", BOX.path("out"), "--to", "folder"),
    ("decompress", "--skip-damaged", IN, "-o", BOX.path("out.npy")),
    ("decompress", "--skip-damaged", "--json", IN, "-o", BOX.path("out"), "--to", "folder"),
)


def command(data: bytes) -> None:
    """One of the commands, chosen by the input's checksum."""
    words = [*COMMANDS[zlib.crc32(data) % len(COMMANDS)], *OPTIONS]
    if words[0] in ("verify", "decompress"):
        words += ["--model", MODEL_PATH]
    _run(data, words, STATUSES)


def view(data: bytes) -> None:
    """The page of a file, which is whole or not there."""
    _run(data, ["view", IN, "-o", BOX.path("out.html"), "--model", MODEL_PATH], STATUSES)


def sheet(data: bytes) -> None:
    """The sheet of a file beside originals, which mostly are not of its shape."""
    words = ["sheet", IN, "--against", SOUND, "-o", BOX.path("out.png"), "--model", MODEL_PATH]
    _run(data, words, (*STATUSES, TOO_FEW))


def draw_map(data: bytes) -> None:
    """The map of a file: by one step of training, as points or as a page."""
    ending = "html" if zlib.crc32(data) % 2 else "npy"
    words = ["map", IN, "-o", BOX.path(f"out.{ending}"), "--steps", "1", "-q"]
    _run(data, words, (*STATUSES, TOO_FEW))


def page_of_map(data: bytes) -> None:
    """The page of a map with a file's labels and title, its points made up."""
    from aecodec.uses.page import map_page

    with opened(data) as archive:
        labels, title = archive.labels, archive.info["title"]
        count = len(archive)
        archive.check_decoded(count)
    points = np.zeros((count, 2), np.float32)
    page = map_page(points, None if labels is None else np.asarray(labels), None, str(title), "")
    if page.count("<script") != page.count("</script") or "Infinity" in page.partition("<style")[0]:
        raise Finding("a script more or less than the page's own")


def folder(data: bytes) -> None:
    """Images as a folder of pictures, of damaged files too: all of them, or none."""
    done = _decompressed(data, "out", "folder", FOLDER_LIMITS)
    top = Path(BOX.path("out"))
    tables = {top / "metadata.csv", top / "metadata.json"}
    pictures = [p for p in top.rglob("*") if p.is_file() and p not in tables]
    if len(pictures) != done:
        raise Finding(f"{done} images reported, {len(pictures)} pictures written")


def arrays(data: bytes) -> None:
    """Images as one file of each kind, of damaged files too: all of them, or none."""
    kind = ("npy", "npz", "idx", "idx.gz")[zlib.crc32(data) // 2 % 4]
    done = _decompressed(data, f"out.{kind}", kind, LIMITS)
    if kind == "npy":
        found = len(np.load(BOX.path("out.npy")))
    elif kind == "npz":
        with np.load(BOX.path("out.npz")) as members:
            found = len(members["images"])
            for name in members.files:
                if members[name].ndim and len(members[name]) not in (found, 0) and name == "labels":
                    raise Finding("labels of another number")
    else:
        return
    if found != done:
        raise Finding(f"{done} images reported, {found} written")


def _decompressed(data: bytes, name: str, kind: str, limits: Limits) -> int:
    try:
        done = aecodec.decompress(
            data,
            BOX.path(name),
            kind=kind,
            model=MODEL,
            skip_damaged=bool(zlib.crc32(data) & 1),
            limits=limits,
        )
    except AezError:
        if BOX.has_output():
            raise Finding("refused, and there is an output") from None
        raise
    return done.images


def _run(data: bytes, words: Sequence[str], statuses: Sequence[int]) -> None:
    """Run a command; Finding for another status, or for an output that should not be there."""
    with open(IN, "wb") as file:
        file.write(data)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    out.flush()
    err.flush()
    told = out.buffer.getvalue()  # type: ignore[attr-defined]
    if status not in statuses:
        text = err.buffer.getvalue().decode(errors="replace")  # type: ignore[attr-defined]
        raise Finding(f"{words[0]}: status {status}: {text[-300:]}")
    if "--json" in words and status in DONE:
        json.loads(told, parse_constant=_refuse)
    keeps_some = "--skip-damaged" in words or words[0] == "repair"
    if "-o" in words and status not in DONE and not keeps_some and BOX.has_output():
        raise Finding(f"{words[0]}: status {status}, and there is an output")
    if "-o" in words and status in DONE and not BOX.has_output():
        raise Finding(f"{words[0]}: status {status}, and no output")
    if status not in DONE:
        raise AezError(f"status {status}")


def _refuse(constant: str) -> None:
    raise Finding(f"{constant} in JSON")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "folder": folder,
    "arrays": arrays,
    "command": command,
    "view": view,
    "sheet": sheet,
    "map": draw_map,
    "page": page_of_map,
}
