"""Words that several commands use for what came out."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from aecodec.archive.repair import Repair


# Controls, surrogates, ends of lines and paragraphs, and marks that no glyph shows, such as those
# that turn the direction of what follows; but for the joiners that some scripts are spelt with.
_HIDDEN = ("Cc", "Cs", "Zl", "Zp", "Cf")
_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(r"[^ -~]")  # a first look: anything but printable ASCII


def shown(text: object) -> str:
    """A text for one line of a terminal: characters that would not show there are escaped.

    For the names, titles and labels of strangers, which could else move the cursor, change colours
    or turn the direction of a line.
    """
    return _SUSPECT.sub(_shown_char, str(text))


def _shown_char(found: re.Match[str]) -> str:
    char = found[0]
    if unicodedata.category(char) not in _HIDDEN or char in _JOINERS:
        return char
    return char.encode("unicode_escape").decode("ascii")


def say(text: str, file: TextIO | None = None) -> None:
    """Print lines for people, on standard output or ``file``, each as :func:`shown`."""
    print("\n".join(map(shown, text.split("\n"))), file=file or sys.stdout)


def images_text(count: int) -> str:
    """``1 image``, ``10,000 images``."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def psnr_text(psnr_db: float | None) -> str:
    """``31.20 dB``, or ``lossless`` for infinity and None."""
    return "lossless" if psnr_fact(psnr_db) is None else f"{psnr_db:.2f} dB"


def psnr_fact(psnr_db: float | None) -> float | None:
    """The PSNR for JSON, which has no infinity: None without loss."""
    return None if psnr_db == float("inf") else psnr_db


def losses_text(lost: list[list[int]], repair: Repair | None) -> str:
    """What a damaged file lost: images, and sections where it had to be repaired to be read."""
    parts = [f"images lost: {', '.join(f'{at}:{end}' for at, end in lost) or 'none'}"]
    if repair is not None:
        if repair.images is None:
            parts.append("how many there were is unknown")
        if repair.dropped_sections:
            parts.append(f"sections lost: {', '.join(repair.dropped_sections)}")
        if repair.lost_nbytes:
            parts.append(f"{repair.lost_nbytes:,} bytes of unreadable sections lost")
    return "; ".join(parts)
