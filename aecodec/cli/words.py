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
    parts = [f"images lost: {', '.join(f'{at}:{end}' for at, end in lost) or 'none'}"]
    if repair is not None:
        if repair.images is None:
            parts.append("how many there were is unknown")
        if repair.dropped_sections:
            parts.append(f"sections lost: {', '.join(repair.dropped_sections)}")
        if repair.lost_nbytes:
            parts.append(f"{repair.lost_nbytes:,} bytes of unreadable sections lost")
    return "; ".join(parts)
