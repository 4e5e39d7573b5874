"""``aecodec info``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from aecodec.cli.files import STDIO, name_of, source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath
from aecodec.cli.terminal import shown
from aecodec.cli.words import psnr_text
from aecodec.io.strict_json import strict_json

CLASSES_SHOWN = 10


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN.aez", help="- for standard input")
    sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_limit_options(sub)


def run(a: argparse.Namespace) -> int:
    """Print what a file holds; returns the exit status."""
    from aecodec.archive.array import Archive

    with Archive(source_of(a.input), limits=limits_of(a)) as archive:
        info = archive.info
    if a.json:
        print(strict_json(info))
    else:
        print("\n".join(_lines(name_of(a.input) if a.input == STDIO else a.input, info)))
    return 0


def _lines(name: str, info: Mapping[str, Any]) -> list[str]:
    modes = ", ".join(f"{count:,} {mode}" for mode, count in info["images_by_mode"].items())
    bpp = "-" if info["bpp"] is None else f"{info['bpp']:.4f}"
    lines = [
        f"{shown(name)}: .aez version {info['version']}",
        f"images      {info['images']:,} of {info['height']}x{info['width']}x{info['channels']}",
        f"size        {info['file_nbytes']:,} bytes, {bpp} bpp, raw {info['raw_nbytes']:,}",
        f"error       {psnr_text(info['psnr_db'])}, max error {info['max_error']}",
        f"modes       {modes or 'no images'}",
        f"chunks      {info['chunks']:,} of {info['chunk_images']:,} images",
    ]
    if info["model"]:
        lines.append(f"model       {info['model']}{', embedded' if info['model_embedded'] else ''}")
    lines += _annotation_lines(info)
    lines += [f"part        {part} {digest}" for part, digest in info["parts"].items()]
    return lines


def _annotation_lines(info: Mapping[str, Any]) -> list[str]:
    """Title, origin, licence, columns and labels, those that the file has."""
    lines = [f"{name:11} {info[name]}" for name in ("title", "origin", "licence") if info[name]]
    columns = ", ".join(f"{name} ({dtype})" for name, dtype in info["columns"].items())
    if columns:
        lines.append(f"columns     {columns}")
    if info["label"]:
        classes = info["classes"]
        more = ", ..." if len(classes) > CLASSES_SHOWN else ""
        some = ", ".join(classes[:CLASSES_SHOWN]) + more
        named = f", {len(classes)} classes: {some}" if classes else ""
        lines.append(f"labels      {info['label']}{named}")
    return lines
