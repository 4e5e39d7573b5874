"""A cut or damaged file made whole again: what its checksums prove is kept, the rest is named."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from aecodec import container
from aecodec.archive import MAX_TEXT_NBYTES, META, NAME, _inflate, _parse_json
from aecodec.container.checks import check_crc32
from aecodec.container.chunks import (
    CHUNK_HEAD_NBYTES,
    Chunk,
    ChunkHead,
    SubPayload,
    expand_runs,
    unpack_chunk_head,
    unpack_chunk_table,
)
from aecodec.container.reader import MAX_CHUNK_NBYTES, MAX_SECTION_NBYTES
from aecodec.container.records import HEADER_NBYTES, Header, unpack_index
from aecodec.container.sections import (
    MAX_SECTIONS,
    SECTION_FRAME_NBYTES,
    SectionEntry,
    unpack_section_frame,
)
from aecodec.errors import AezCorruptError, AezError, AezLimitError, AezUnsupportedError
from aecodec.files import atomic_path

CHUNK_MARKER: Final = b"\x89CHK"
SECTION_MARKER: Final = b"\x89SEC"
COLM: Final = "COLM"  # one value for each image, in a form that is not ours to cut
_BLOCK_NBYTES: Final = 1 << 20


@dataclass(frozen=True)
class Repair:
    """What was kept; ranges are [first, last + 1] positions in the damaged file's images.

    ``images`` is None when nothing left in the file tells how many there were: then images may
    be lost after the last one known, too. ``dropped_sections`` are kinds left out of the output.
    """

    images: int | None
    images_kept: int
    kept: list[list[int]]
    lost: list[list[int]]
    dropped_sections: list[str]

    @property
    def whole(self) -> bool:
        return self.images is not None and not self.lost and not self.dropped_sections

    def facts(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**asdict(self), "whole": self.whole}


def repair(
    source: str | os.PathLike[str], output: str | os.PathLike[str], *, force: bool = False
) -> Repair:
    """Write all that is whole in ``source`` to ``output``; ``source`` is never changed.

    Images keep their order and are numbered anew from 0; names go with their images. Where
    images were lost, META's ``repaired`` holds their old positions. AezCorruptError if neither
    header nor its copy is whole, or PART is needed and lost.
    """
    if Path(output).exists() and Path(output).samefile(source):
        raise ValueError(f"{output}: is the damaged file itself; write beside it")
    with open(source, "rb") as file:
        scan = _Scan(file, os.fspath(source))
        with atomic_path(output, force=force) as temporary, open(temporary, "wb") as out:
            return scan.write(out)


class _Scan:
    """Where the whole chunks and sections of ``file`` lie."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, str(name)
        self.nbytes = file.seek(0, os.SEEK_END)
        self.header = self._find_header()
        self.chunks: list[tuple[int, ChunkHead]] = []
        self.sections: list[tuple[SectionEntry, bool]] = []  # and whether after a chunk
        self.damaged: list[str] = []
        at = HEADER_NBYTES
        while (found := self._next_marker(at)) is not None:
            at = self._take(*found)

    def _at(self, offset: int, nbytes: int) -> bytes:
        self.file.seek(offset)
        data = self.file.read(min(nbytes, max(0, self.nbytes - offset)))
        if len(data) < nbytes:
            raise AezCorruptError(
                f"{self.name}: byte {offset}: {nbytes} bytes needed, found {len(data)}"
            )
        return data

    def _next_marker(self, at: int) -> tuple[int, bytes] | None:
        while at < self.nbytes:
            self.file.seek(at)
            block = self.file.read(_BLOCK_NBYTES)
            found = [(block.find(m), m) for m in (CHUNK_MARKER, SECTION_MARKER) if m in block]
            if found:
                place, marker = min(found)
                return at + place, marker
            if len(block) < len(CHUNK_MARKER):
                return None
            at += len(block) - len(CHUNK_MARKER) + 1
        return None

    def _take(self, at: int, marker: bytes) -> int:
        """Note what begins at ``at`` if it is whole; where to look on."""
        try:
            return self._take_chunk(at) if marker == CHUNK_MARKER else self._take_section(at)
        except AezCorruptError:
            return at + 1

    def _take_chunk(self, at: int) -> int:
        head = self._head(at)
        last = self.chunks[-1][1] if self.chunks else None
        if last and (head.ordinal <= last.ordinal or last.image_count < self.header.chunk_images):
            return at + 1  # a file inside a damaged payload, perhaps
        self.read_chunk(at, head)
        self.chunks.append((at, head))
        return at + CHUNK_HEAD_NBYTES + head.table_nbytes + head.payload_nbytes

    def _head(self, at: int) -> ChunkHead:
        where = f"{self.name}: chunk at byte {at}"
        head = unpack_chunk_head(self._at(at, CHUNK_HEAD_NBYTES), self.header, where)
        table = self._at(at + CHUNK_HEAD_NBYTES, head.table_nbytes)
        return unpack_chunk_table(head, table, self.header, where)

    def read_chunk(self, at: int, head: ChunkHead) -> Chunk:
        where = f"{self.name}: chunk {head.ordinal} at byte {at}"
        if MAX_CHUNK_NBYTES < head.payload_nbytes <= self.nbytes:
            raise AezLimitError(
                f"{where}: payload_nbytes is {head.payload_nbytes}, "
                f"max_chunk_nbytes allows {MAX_CHUNK_NBYTES}"
            )
        payload = self._at(at + CHUNK_HEAD_NBYTES + head.table_nbytes, head.payload_nbytes)
        check_crc32("payload_crc32", head.payload_crc32, zlib.crc32(payload), where)
        subs, begin = [], 0
        for mode, parameter, nbytes in head.modes:
            subs.append(SubPayload(mode, parameter, payload[begin : begin + nbytes]))
            begin += nbytes
        return Chunk(
            head.image_count,
            tuple(subs),
            expand_runs(head.runs),
            head.max_error,
            head.sum_squared_error,
            head.pixels_sha256,
        )

    def _take_section(self, at: int) -> int:
        entry = unpack_section_frame(self._at(at, SECTION_FRAME_NBYTES), at, self.name)
        try:
            self.section_payload(entry)
        except AezCorruptError:
            self.damaged.append(entry.kind)
            raise
        if len(self.sections) >= MAX_SECTIONS:
            raise AezLimitError(f"{self.name}: more than {MAX_SECTIONS} sections")
        self.sections.append((entry, bool(self.chunks)))
        return entry.end_offset

    def section_payload(self, entry: SectionEntry) -> bytes:
        where = f"{self.name}: section {entry.kind} at byte {entry.offset}"
        if MAX_SECTION_NBYTES < entry.payload_nbytes <= self.nbytes:
            raise AezLimitError(
                f"{where}: payload_nbytes is {entry.payload_nbytes}, "
                f"max_section_nbytes allows {MAX_SECTION_NBYTES}"
            )
        payload = self._at(entry.payload_offset, entry.payload_nbytes)
        check_crc32("payload_crc32", entry.payload_crc32, zlib.crc32(payload), where)
        return payload

    def _find_header(self) -> Header:
        """The header, or its copy in HEAD."""
        fault: AezError
        try:
            return Header.unpack(self._at(0, min(HEADER_NBYTES, self.nbytes)), self.name)
        except (AezCorruptError, AezUnsupportedError) as error:
            fault = error
        for at in self._markers(SECTION_MARKER):
            try:
                entry = unpack_section_frame(self._at(at, SECTION_FRAME_NBYTES), at, self.name)
                if entry.kind == container.HEAD and entry.payload_nbytes == HEADER_NBYTES:
                    return Header.unpack(self.section_payload(entry), self.name)
            except (AezCorruptError, AezUnsupportedError):  # noqa: PERF203
                continue
        raise fault

    def _markers(self, wanted: bytes) -> Iterator[int]:
        at = 0
        while (found := self._next_marker(at)) is not None:
            if found[1] == wanted:
                yield found[0]
            at = found[0] + 1

    def _total(self) -> int | None:
        """How many images there were, if an index is left to tell."""
        for entry, _ in reversed(self.sections):
            if entry.kind == container.INDX:
                entries = unpack_index(self.section_payload(entry), self.name)
                return sum(e.image_count for e in entries)
        return None

    def write(self, out: BinaryIO) -> Repair:
        full, total = self.header.chunk_images, self._total()
        spans = [(h.ordinal * full, h.ordinal * full + h.image_count) for _, h in self.chunks]
        known = max([total or 0, *(end for _, end in spans)])
        kept, lost = _ranges(spans, known)
        before, after, dropped = self._rewritten(kept, lost)
        writer = container.Writer(out, self.header, before)
        for at, head in self.chunks:
            writer.write_chunk(self.read_chunk(at, head))
        for section in after:
            writer.write_section(section)
        writer.close()
        return Repair(total, sum(end - at for at, end in spans), kept, lost, sorted(dropped))

    def _rewritten(
        self, kept: list[list[int]], lost: list[list[int]]
    ) -> tuple[list[container.Section], list[container.Section], set[str]]:
        before: list[container.Section] = []
        after: list[container.Section] = []
        seen: set[str] = set()
        copies = {container.HEAD, container.INDX}
        for entry, late in self.sections:
            if entry.kind in copies or (entry.kind == container.PART and entry.kind in seen):
                continue
            section = container.Section(entry.kind, entry.required, self.section_payload(entry))
            if lost and entry.kind == COLM:
                continue
            if lost and entry.kind == NAME:
                section = replace(section, payload=self._cut_names(section.payload, kept))
            if lost and entry.kind == META:
                meta = _parse_json(section.payload, f"{self.name}: section {META}")
                if isinstance(meta, dict):
                    meta["repaired"] = {"kept": kept, "lost": lost}
                    packed = json.dumps(meta, ensure_ascii=False).encode()
                    section = replace(section, payload=packed)
            seen.add(entry.kind)
            (after if late and entry.kind != container.PART else before).append(section)
        if self.header.required_flags & 3 and container.PART not in seen:
            raise AezCorruptError(f"{self.name}: both {container.PART} sections are lost")
        present = {e.kind for e, _ in self.sections} | set(self.damaged)
        return before, after, present - seen - copies

    def _cut_names(self, payload: bytes, kept: list[list[int]]) -> bytes:
        where = f"{self.name}: section {NAME}"
        names = _parse_json(_inflate(payload, MAX_TEXT_NBYTES, where), where)
        if not isinstance(names, list) or (kept and len(names) < kept[-1][1]):
            raise AezCorruptError(f"{where}: is not a list of a text for each image")
        chosen = [name for at, end in kept for name in names[at:end]]
        return zlib.compress(json.dumps(chosen, ensure_ascii=False).encode(), 9)


def _ranges(spans: list[tuple[int, int]], total: int) -> tuple[list[list[int]], list[list[int]]]:
    """Kept ranges, neighbours joined, and the gaps between them up to ``total``."""
    kept: list[list[int]] = []
    lost: list[list[int]] = []
    at = 0
    for begin, end in spans:
        if begin > at:
            lost.append([at, begin])
        if kept and begin == at:
            kept[-1][1] = end
        else:
            kept.append([begin, end])
        at = end
    return kept, [*lost, [at, total]] if at < total else lost
