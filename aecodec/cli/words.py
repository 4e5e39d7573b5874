"""Words that several commands use for what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecodec.archive.repair import Repair


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
    spans = [f"{at}:{end}" for at, end in lost]
    if repair is not None and repair.unknown_from is not None:
        spans.append(f"all from {repair.unknown_from} on, and nothing left tells how many")
    parts = [f"images lost: {', '.join(spans) or 'none'}"]
    if repair is not None:
        if repair.dropped_sections:
            parts.append(f"sections lost: {', '.join(repair.dropped_sections)}")
        if repair.lost_nbytes is None:
            parts.append("nothing left tells whether labels or other sections are lost too")
        elif repair.lost_nbytes:
            parts.append(f"{repair.lost_nbytes:,} bytes of unreadable sections lost")
    return "; ".join(parts)
