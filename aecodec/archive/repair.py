"""Make a cut or damaged file whole again: keep what its checksums prove, and name the rest."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, BinaryIO, Final

from aecodec import container
from aecodec.archive.repaired_sections import RepairedSections, Rows
from aecodec.archive.source import Source, open_source
from aecodec.arguments import LIMITS, PATH, SOURCE, checked
from aecodec.container.scan import Scan
from aecodec.errors import AezLimitError
from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed
from aecodec.limits import DEFAULT_LIMITS, Limits

Range = list[int]  # [first, last + 1]
_GAP_NBYTES: Final = 1024  # of memory that a piece takes, with the gap after it


@dataclass(frozen=True)
class Repair:
    """What was kept; ranges are [first, last + 1] positions in the damaged file's images.

    ``images`` is how many there were, None if nothing left in the file says so: then images from
    ``unknown_from`` on are lost too, if there were any. ``dropped_sections`` are kinds left out of
    the output; ``lost_nbytes`` counts the bytes of sections whose kind is lost as well, None if
    unknown.
    """

    images: int | None
    images_kept: int
    kept: list[Range]
    lost: list[Range]
    dropped_sections: list[str]
    lost_nbytes: int | None = 0

    @property
    def whole(self) -> bool:
        """Whether all that was written is in the output."""
        nothing_lost = not self.lost and not self.dropped_sections and self.lost_nbytes == 0
        return self.images is not None and nothing_lost

    @property
    def unknown_from(self) -> int | None:
        """Position of the first image that nothing is known of; None if all are accounted for."""
        if self.images is not None:
            return None
        return max((end for _, end in [*self.kept, *self.lost]), default=0)

    def facts(self) -> dict[str, Any]:
        """The fields, ``unknown_from`` and ``whole``, as plain values for JSON."""
        return {**asdict(self), "unknown_from": self.unknown_from, "whole": self.whole}


@checked(source=SOURCE, output=PATH, limits=LIMITS)
def repair(
    source: Source,
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Repair:
    """Write all that is whole in ``source`` to ``output``; ``source`` is never changed.

    ``source`` is a path, a URL, bytes, or an open file, from which a pipe is read whole.
    Images keep their order and are numbered anew from 0; names and columns go with their images.
    Where images were lost, META's ``repaired`` holds their old positions. AezCorruptError if
    neither header nor its copy is whole, or PART is needed and lost.
    """
    like = source if isinstance(source, str | os.PathLike) else None
    with ExitStack() as stack:
        stack.enter_context(claimed(inputs=[source], outputs=[output]))
        file, name, is_ours = open_source(source, limits)
        if is_ours:
            stack.enter_context(file)
        scan = Scan(file, name, limits)
        temporary = stack.enter_context(atomic_path(output, force=force, like=like))
        with open(temporary, "wb") as out:
            return rewrite(scan, out)


def rewrite(scan: Scan, out: BinaryIO) -> Repair:
    """Write what a scan found as a new file."""
    spans = scan.spans()
    if len(spans) * _GAP_NBYTES > scan.limits.max_memory_nbytes:
        raise AezLimitError(
            f"{scan.name}: what is whole lies in {len(spans)} pieces, max_memory_nbytes allows "
            f"{scan.limits.max_memory_nbytes // _GAP_NBYTES}"
        )
    rows = Rows(scan)
    total = scan.image_count()
    if total is None:
        total = rows.count()
    known = max([total or 0, scan.least_image_count(), *(end for _, end in spans)])
    kept, lost = ranges(spans, known)
    sections = RepairedSections(scan, rows, kept, lost, known)
    writer = container.Writer(out, scan.header, sections.before)
    for found in scan.chunks():
        writer.write_chunk(scan.read_chunk(found))
    for section in sections.after:
        writer.write_section(section)
    writer.close()
    images_kept = sum(end - at for at, end in spans)
    return Repair(total, images_kept, kept, lost, sorted(sections.dropped), scan.lost_nbytes())


def ranges(spans: list[tuple[int, int]], total: int) -> tuple[list[Range], list[Range]]:
    """Kept ranges [first, last + 1], neighbours joined, and the gaps between them in 0..total."""
    kept: list[Range] = []
    for begin, end in spans:
        if kept and begin == kept[-1][1]:
            kept[-1][1] = end
        elif end > begin:
            kept.append([begin, end])
    edges = [0, *(edge for span in kept for edge in span), total]
    lost = [[at, end] for at, end in list(pairwise(edges))[::2] if end > at]
    return kept, lost
