"""Make a cut or damaged file whole again: keep what its checksums prove, and name the rest."""

from __future__ import annotations

import json
import os
import zlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from aecodec import container
from aecodec.annotations.payload import column_length, pack_column, unpack_column
from aecodec.archive.source import Source, open_source
from aecodec.arguments import LIMITS, PATH, SOURCE, checked
from aecodec.container.scan import Scan, ranges
from aecodec.errors import AezCorruptError, AezUnsupportedError
from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed
from aecodec.io.untrusted import inflate, parse_json
from aecodec.limits import DEFAULT_LIMITS, Limits

Range = list[int]  # [first, last + 1]


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
        file, name, is_ours = open_source(source)
        if is_ours:
            stack.enter_context(file)
        scan = Scan(file, name, limits)
        temporary = stack.enter_context(atomic_path(output, force=force, like=like))
        with open(temporary, "wb") as out:
            return rewrite(scan, out)


def rewrite(scan: Scan, out: BinaryIO) -> Repair:
    """Write what a scan found as a new file."""
    full = scan.header.chunk_images
    spans = [
        (c.head.ordinal * full, c.head.ordinal * full + c.head.image_count) for c in scan.chunks
    ]
    rows = _Rows(scan)
    total = scan.image_count()
    if total is None:
        total = rows.count()
    known = max([total or 0, scan.least_image_count(), *(end for _, end in spans)])
    kept, lost = ranges(spans, known)
    before, after, dropped = _sections(scan, rows, kept, lost, known)
    writer = container.Writer(out, scan.header, before)
    for found in scan.chunks:
        writer.write_chunk(scan.read_chunk(found))
    for section in after:
        writer.write_section(section)
    writer.close()
    images_kept = sum(end - at for at, end in spans)
    return Repair(total, images_kept, kept, lost, sorted(dropped), scan.lost_nbytes())


class _Rows:
    """The sections with a value for each image: NAME and COLM."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._limit = ("max_column_nbytes", scan.limits.max_column_nbytes)

    def count(self) -> int | None:
        """The number of images by names and columns; None if none is whole, or they differ."""
        counts = set()
        for entry, _ in self._scan.sections:
            if entry.kind in (container.NAME, container.COLM):
                try:
                    counts.add(self._length(entry.kind, self._scan.section_payload(entry)))
                except (AezCorruptError, AezUnsupportedError):
                    continue
        return counts.pop() if len(counts) == 1 else None

    def _length(self, kind: str, payload: bytes) -> int:
        where = f"{self._scan.name}: section {kind}"
        if kind == container.COLM:
            return column_length(payload, where, self._limit[1])
        return len(self._names(payload))

    def _names(self, payload: bytes) -> list[Any]:
        where = f"{self._scan.name}: section {container.NAME}"
        names = parse_json(inflate(payload, where, self._limit), where)
        if not isinstance(names, list):
            raise AezCorruptError(f"{where}: is not a list of a text for each image")
        return names

    def cut(self, kind: str, payload: bytes, kept: list[Range], total: int) -> bytes:
        """The payload for the images kept; AezCorruptError unless it has a value for each image."""
        chosen = [i for at, end in kept for i in range(at, end)]
        if kind == container.COLM:
            column = unpack_column(payload, total, self._scan.name, self._limit[1])
            return pack_column(column.take(chosen))
        names = self._names(payload)
        if len(names) != total:
            raise AezCorruptError(f"{self._scan.name}: {len(names)} names, expected {total}")
        return zlib.compress(json.dumps([names[i] for i in chosen]).encode(), 9)


def _sections(
    scan: Scan, rows: _Rows, kept: list[Range], lost: list[Range], total: int
) -> tuple[list[container.Section], list[container.Section], set[str]]:
    """The sections before the chunks, those after them, and the kinds that are dropped."""
    found: list[tuple[container.Section, bool]] = []
    dropped = {entry.kind for entry in scan.damaged}
    column_names: set[str] = set()
    for entry, late in scan.sections:
        kinds = {section.kind for section, _ in found}
        if entry.kind in (container.HEAD, container.INDX):
            continue
        if entry.kind == container.PART and entry.kind in kinds:
            continue  # the copy
        payload = scan.section_payload(entry)
        try:
            if entry.kind == container.PART:
                container.unpack_parts(payload, scan.name)
            if lost and entry.kind in (container.NAME, container.COLM):
                payload = rows.cut(entry.kind, payload, kept, total)
            if entry.kind == container.COLM:
                count = sum(end - at for at, end in kept)
                limit = scan.limits.max_column_nbytes
                column_names.add(unpack_column(payload, count, scan.name, limit).name)
        except (AezCorruptError, AezUnsupportedError):
            dropped.add(entry.kind)
            continue
        section = container.Section(entry.kind, entry.required, payload)
        found.append((section, late and entry.kind != container.PART))
    kinds = {section.kind for section, _ in found}
    if scan.header.required_flags & container.FLAGS_NEEDING_PARTS and container.PART not in kinds:
        raise AezCorruptError(f"{scan.name}: both {container.PART} sections are lost")
    positions = {"kept": kept, "lost": lost} if lost else None
    found = [(_corrected(section, scan, positions, column_names), late) for section, late in found]
    before = [section for section, late in found if not late]
    copies = {container.HEAD, container.INDX} | (kinds & {container.PART})
    return before, [section for section, late in found if late], dropped - copies


def _corrected(
    section: container.Section,
    scan: Scan,
    positions: dict[str, list[Range]] | None,
    column_names: set[str],
) -> container.Section:
    """META with the positions of lost images, and without a label whose column is lost.

    Other sections stay as they are.
    """
    if section.kind != container.META:
        return section
    meta = parse_json(section.payload, f"{scan.name}: section {container.META}")
    if not isinstance(meta, dict):
        return section
    label_is_lost = "label" in meta and meta["label"] not in column_names
    if positions is None and not label_is_lost:
        return section
    if label_is_lost:
        meta = {key: value for key, value in meta.items() if key not in ("label", "classes")}
    if positions is not None:
        meta["repaired"] = positions
    return replace(section, payload=json.dumps(meta, ensure_ascii=False).encode())
