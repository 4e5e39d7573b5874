"""Endings of outputs: none may name another kind of file than the one that is written."""

from __future__ import annotations

from typing import Final

from aecodec.cli.files import STDIO

# Endings that other tools, or other commands, know.
KNOWN: Final = (
    *(".aez", ".npy", ".npz", ".idx", "-ubyte", ".gz", ".zip", ".tar", ".safetensors", ".ckpt"),
    *(".html", ".htm", ".csv", ".txt", ".json", ".pdf", ".svg"),
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"),
)


def refuse_foreign_ending(output: str | None, *own: str, option: str = "--output") -> None:
    """ValueError for a name that ends as files of another kind do; others may end as they like.

    ``own`` are the endings of what is written.
    """
    name = (output or STDIO).lower()
    foreign = next((end for end in KNOWN if name.endswith(end) and end not in own), None)
    if foreign is not None:
        raise ValueError(
            f"{option}: {output} ends as another kind of file does, expected {' or '.join(own)}"
        )
