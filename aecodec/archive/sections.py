"""The sections of an open file about its images: metadata, names and columns."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from aecodec.annotations.annotations import Annotations, class_fault, read_metadata
from aecodec.annotations.payload import unpack_column
from aecodec.container import COLM, META, NAME, Reader, SectionEntry, section_limit
from aecodec.errors import AezCorruptError
from aecodec.io.untrusted import inflate, parse_json
from aecodec.limits import Limits


class Sections:
    """The sections of an open file; each is read when it is asked for, and once.

    All of them raise AezCorruptError for damage, and AezLimitError for what is over ``limits``.
    """

    def __init__(self, reader: Reader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The object in section META; empty without that section."""
        entry = self._only(META)
        if entry is None:
            return {}
        metadata = parse_json(self._read(entry), f"{self._reader.name}: section {META}")
        if not isinstance(metadata, dict):
            raise AezCorruptError(f"{self._reader.name}: section {META} is not a JSON object")
        return metadata

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The name of each image; None without section NAME."""
        data = self.unpacked(NAME)
        if data is None:
            return None
        names = parse_json(data, f"{self._reader.name}: section {NAME}")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise AezCorruptError(f"{self._reader.name}: section {NAME} is not a list of texts")
        count = self._reader.image_count
        if len(names) != count:
            raise AezCorruptError(f"{self._reader.name}: {len(names)} names, expected {count}")
        return tuple(names)

    @cached_property
    def annotations(self) -> Annotations:
        """Columns, labels, and words about the set."""
        facts = read_metadata(self.metadata, self._reader.name)
        left, columns = self._limits.max_column_nbytes, []
        for entry in self._reader.sections:
            if entry.kind == COLM:
                payload = self._read(entry)
                columns.append(
                    unpack_column(payload, self._reader.image_count, self._reader.name, left)
                )
                left -= columns[-1].nbytes
        names = [column.name for column in columns]
        if len(set(names)) < len(names):
            raise AezCorruptError(
                f"{self._reader.name}: section COLM: a name occurs twice in {names}"
            )
        if facts["label"] is not None and facts["label"] not in names:
            raise AezCorruptError(
                f"{self._reader.name}: META: label is {facts['label']}, no column"
            )
        annotations = Annotations(tuple(columns), **facts)
        if fault := class_fault(annotations.labels, annotations.classes):
            raise AezCorruptError(f"{self._reader.name}: {fault}")
        return annotations

    def unpacked(self, kind: str) -> bytes | None:
        """The payload of the only section of a kind, out of zlib; None without that section.

        AezLimitError if it is over the limit of its kind, packed or unpacked.
        """
        entry = self._only(kind)
        if entry is None:
            return None
        where = f"{self._reader.name}: section {kind}"
        return inflate(self._read(entry), where, section_limit(kind, self._limits))

    def check(self) -> None:
        """Read every section and check its checksum; names and columns are unpacked too."""
        for entry in self._reader.sections:
            self._read(entry)
        _ = self.names, self.annotations

    def _only(self, kind: str) -> SectionEntry | None:
        found = [entry for entry in self._reader.sections if entry.kind == kind]
        if len(found) > 1:
            raise AezCorruptError(
                f"{self._reader.name}: {len(found)} sections {kind}, expected one"
            )
        return found[0] if found else None

    def _read(self, entry: SectionEntry) -> bytes:
        return self._reader.read_section(entry, section_limit(entry.kind, self._limits))
