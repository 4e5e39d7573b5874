"""The sections of a repaired file: those of the damaged one that are sound, for the images kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from aecodec import container
from aecodec.annotations.annotations import ABOUT, class_fault, read_metadata
from aecodec.annotations.column import Column
from aecodec.annotations.payload import column_head, column_length, pack_column, unpack_column
from aecodec.annotations.texts import NAME_NBYTES, Texts
from aecodec.container.scan import Scan
from aecodec.errors import AezCorruptError, AezLimitError, AezUnsupportedError
from aecodec.io.strict_json import utf8_json
from aecodec.io.untrusted import inflated
from aecodec.io.untrusted_json import json_texts, parse_json

Range = list[int]  # [first, last + 1]
_ONE_OF = (container.META, container.NAME, container.MODL)  # kinds that a file has once
META_ENTRIES = (*ABOUT, "label", "classes")  # those that readers check
_COPIES_OF_COLUMN = 4
_ABOUT_IMAGES = (container.NAME, container.COLM)


class Rows:
    """The sections with a value for each image: NAME and COLM."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._limit = container.section_limit(container.NAME, scan.limits)

    def count(self) -> int | None:
        """The number of images by names and columns; None if none is whole, or they differ."""
        counts = set()
        for entry, _ in self._scan.sections:
            if entry.kind in _ABOUT_IMAGES:
                try:
                    counts.add(self._length(entry.kind, self._scan.section_payload(entry)))
                except (AezCorruptError, AezUnsupportedError):
                    continue
        return counts.pop() if len(counts) == 1 else None

    def _length(self, kind: str, payload: bytes) -> int:
        if kind == container.COLM:
            return column_length(payload, f"{self._scan.name}: section {kind}", self._limit)
        return sum(1 for _ in self._names(payload))

    def _names(self, payload: bytes) -> Iterator[str]:
        where = f"{self._scan.name}: section {container.NAME}"
        return json_texts(inflated(payload, where, self._limit), where)

    def column(self, payload: bytes, kept: list[Range], total: int) -> Column:
        """The column for the images kept; AezCorruptError unless it has a value for each image."""
        whole = kept in ([[0, total]], [])
        name, most = self._limit  # cutting a column copies it
        limit = (name, most if whole else most // _COPIES_OF_COLUMN)
        column = unpack_column(payload, total, self._scan.name, limit)
        return column if whole and kept else column.take_spans([(at, end) for at, end in kept])

    def names(self, payload: bytes, kept: list[Range], total: int) -> bytes:
        """The payload of the names of the images kept; AezCorruptError as for ``column``."""
        where = f"{self._scan.name}: section {container.NAME}"
        limit, most = self._limit
        found = islice(self._names(payload), total + 1)
        names = Texts(found) if total * NAME_NBYTES <= most else None
        count = sum(1 for _ in found) if names is None else len(names)
        if count != total:
            text = f"over {total}" if count > total else count
            raise AezCorruptError(f"{where}: {text} names, expected {total}")
        if names is None:
            raise AezLimitError(f"{where}: {total} names are too many, {limit} allows {most} bytes")
        if kept == [[0, total]] or (not kept and not total):
            return payload
        packer = zlib.compressobj(9)
        packed, before = bytearray(packer.compress(b"[")), b""
        for at, end in kept:
            for i in range(at, end):
                packed += packer.compress(before + json.dumps(names[i]).encode())
                before = b", "
        return bytes(packed + packer.compress(b"]") + packer.flush())


class RepairedSections:
    """The sections before the chunks, those after them, and the kinds that are dropped.

    ``total`` is the number of images that the damaged file had. What is whole but not sound is
    dropped: META that is no object, names of another number, a second column of one name. Of META,
    only the entries that are not sound are.
    """

    def __init__(
        self, scan: Scan, rows: Rows, kept: list[Range], lost: list[Range], total: int
    ) -> None:
        self._scan, self._rows = scan, rows
        self._kept, self._lost, self._total = kept, lost, total
        self.dropped = set(scan.damaged_kinds)
        self._columns: set[str] = set()
        self._columns_nbytes = 0
        found = self._sound_sections()
        kinds = {section.kind for section, _ in found}
        needed = scan.header.required_flags & container.FLAGS_NEEDING_PARTS
        if needed and container.PART not in kinds:
            raise AezCorruptError(f"{scan.name}: both {container.PART} sections are lost")
        found = [(self._corrected(section), late) for section, late in found]
        self.before = [section for section, late in found if not late]
        self.after = [section for section, late in found if late]
        self.dropped -= {container.HEAD, container.INDX} | (kinds & {container.PART})

    def _sound_sections(self) -> list[tuple[container.Section, bool]]:
        """Each section as it is kept, and whether it lies after the chunks."""
        found: list[tuple[container.Section, bool]] = []
        kinds: set[str] = set()
        for entry, late in self._scan.sections:
            if entry.kind in (container.HEAD, container.INDX):
                continue
            if entry.kind == container.PART and entry.kind in kinds:
                continue  # the copy
            try:
                if entry.kind in _ONE_OF and entry.kind in kinds:
                    raise AezCorruptError(f"{self._scan.name}: a second section {entry.kind}")
                payload = self._sound(entry.kind, self._scan.section_payload(entry))
            except (AezCorruptError, AezUnsupportedError):
                self.dropped.add(entry.kind)
                continue
            kinds.add(entry.kind)
            section = container.Section(entry.kind, entry.required, payload)
            found.append((section, late and entry.kind != container.PART))
        return found

    def _sound(self, kind: str, payload: bytes) -> bytes:
        """The payload for the images kept; AezCorruptError if it is not sound."""
        if kind == container.PART:
            container.unpack_parts(payload, self._scan.name)
        elif kind == container.NAME:
            return self._rows.names(payload, self._kept, self._total)
        elif kind == container.COLM:
            return self._column(payload)
        elif kind == container.META:
            where = f"{self._scan.name}: section {kind}"
            limit = ("max_memory_nbytes", self._scan.limits.max_memory_nbytes)
            if not isinstance(parse_json(payload, where, limit), dict):
                raise AezCorruptError(f"{where} is not a JSON object")
        return payload

    def _column(self, payload: bytes) -> bytes:
        column = self._rows.column(payload, self._kept, self._total)
        if column.name in self._columns:
            raise AezCorruptError(f"{self._scan.name}: two columns are called {column.name}")
        self._columns.add(column.name)
        self._columns_nbytes += column.nbytes
        if self._columns_nbytes > (most := self._scan.limits.max_column_nbytes):
            raise AezLimitError(
                f"{self._scan.name}: section COLM {column.name}: the columns take over {most} "
                "bytes, max_column_nbytes allows no more"
            )
        return pack_column(column) if self._lost else payload

    def _corrected(self, section: container.Section) -> container.Section:
        """META with the positions of lost images, and without what is not sound in it.

        Other sections, and a META that is right, stay as they are.
        """
        if section.kind != container.META:
            return section
        meta = parse_json(bytes(section.payload), f"{self._scan.name}: section {container.META}")
        sound = {name: value for name, value in meta.items() if self._is_sound(name, value)}
        if len(sound) < len(meta):
            self.dropped.add(container.META)
        self._drop_label_without_column(sound)
        if self._lost:
            sound["repaired"] = {"kept": self._kept, "lost": self._lost}
        elif sound == meta:
            return section
        return replace(section, payload=utf8_json(sound))

    def _drop_label_without_column(self, meta: dict[str, Any]) -> None:
        """Take the label, and the classes that it numbers, out of META where they do not fit."""
        if meta.get("label") is not None and meta["label"] not in self._columns:
            del meta["label"]
            meta.pop("classes", None)
            if container.COLM not in self.dropped and self._scan.lost_nbytes() == 0:
                self.dropped.add(container.META)  # there was never such a column
        if meta.get("classes") and self._class_fault(meta):
            del meta["classes"]
            self.dropped.add(container.META)

    def _is_sound(self, name: str, value: object) -> bool:
        try:
            read_metadata({name: value} if name in META_ENTRIES else {}, self._scan.name)
        except AezCorruptError:
            return False
        return True

    def _class_fault(self, meta: dict[str, Any]) -> str | None:
        """What keeps the labels from numbering the classes, or None."""
        wanted = meta.get("label")
        for entry, _ in self._scan.sections:
            if wanted is not None and entry.kind == container.COLM:
                try:
                    payload = self._scan.section_payload(entry)
                    if column_head(payload, self._scan.name).name != wanted:
                        continue
                    column = self._rows.column(payload, self._kept, self._total)
                except (AezCorruptError, AezUnsupportedError):
                    continue
                return class_fault(column, meta["classes"])
        return class_fault(None, meta["classes"])
