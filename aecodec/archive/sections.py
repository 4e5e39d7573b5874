"""The sections of an open file about its images: metadata, names and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from aecodec.annotations.annotations import Annotations, class_fault, read_metadata
from aecodec.annotations.column import Column
from aecodec.annotations.payload import ColumnHead, column_head, unpack_column
from aecodec.annotations.texts import NAME_NBYTES, Texts
from aecodec.container import COLM, META, MODL, NAME, Reader, SectionEntry, section_limit
from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.io.untrusted import Limit, inflate, inflated
from aecodec.io.untrusted_json import json_texts, parse_json
from aecodec.limits import Limits

Spans = Sequence[tuple[int, int]]  # (first, last + 1), in order
MODEL_MEMORY = 16  # bytes in memory for each byte of an embedded model


class Sections:
    """The sections of an open file; each is read when it is asked for, and once.

    All of them raise AezCorruptError for damage, and AezLimitError for what is over ``limits``:
    names and columns count as what they take in memory.
    """

    def __init__(self, reader: Reader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The object in section META; empty without that section."""
        entry = self._only(META)
        if entry is None:
            return {}
        where = f"{self._reader.name}: section {META}"
        metadata = parse_json(self._read(entry), where, self._memory)
        if not isinstance(metadata, dict):
            raise AezCorruptError(f"{where} is not a JSON object")
        return metadata

    @cached_property
    def names(self) -> Texts | None:
        """The name of each image; None without section NAME."""
        names = self._texts()
        return None if names is None else Texts(names)

    @cached_property
    def column_heads(self) -> tuple[ColumnHead, ...]:
        """Name and dtype of each column; no values are unpacked."""
        heads = tuple(
            column_head(self._read(entry), self._reader.name) for entry in self._column_entries
        )
        names = [head.name for head in heads]
        if len(set(names)) < len(names):
            twice, _ = Counter(names).most_common(1)[0]
            where = f"{self._reader.name}: section COLM"
            raise AezCorruptError(f"{where}: a name occurs twice: {twice}")
        label = self.facts["label"]
        if label is not None and label not in names:
            raise AezCorruptError(f"{self._reader.name}: META: label is {label}, no column")
        if label is None and (fault := class_fault(None, self.facts["classes"])):
            raise AezCorruptError(f"{self._reader.name}: {fault}")
        return heads

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The label's column, the classes, and words about the set, as META has them."""
        return read_metadata(self.metadata, self._reader.name)

    @cached_property
    def annotations(self) -> Annotations:
        """Columns, labels, and words about the set."""
        return Annotations(tuple(self._columns()), **self.facts)

    @property
    def label_column(self) -> Column | None:
        """The column of labels; no other column is kept."""
        wanted = self.facts["label"]
        return next((each for each in self._columns(wanted) if each.name == wanted), None)

    @property
    def has_names(self) -> bool:
        """Whether there is a section NAME."""
        return self._only(NAME) is not None

    def names_of(self, spans: Spans) -> Texts | None:
        """The names of the images in these spans; no other name is kept."""
        names = self._texts()
        return None if names is None else Texts(_within(names, spans))

    def annotations_of(self, spans: Spans) -> Annotations:
        """Columns of the images in these spans, and words about the set.

        One column at a time is in memory as a whole.
        """
        columns = tuple(column.take_spans(spans) for column in self._columns())
        return Annotations(columns, **self.facts)

    @property
    def embedded_model(self) -> bytes | None:
        """The model in section MODL, out of zlib; None without that section.

        A model counts in memory as its bytes, its tensors, its networks, which have 32 bits for the
        8 of most weights, and as room for the work of these.
        """
        entry = self._only(MODL)
        if entry is None:
            return None
        name, most = self._memory
        share = f"{name} / {MODEL_MEMORY}", most // MODEL_MEMORY
        model = "max_model_nbytes", self._limits.max_model_nbytes
        where = f"{self._reader.name}: section {MODL}"
        return inflate(self._read(entry), where, min(share, model, key=lambda limit: limit[1]))

    def check(self) -> None:
        """Read every section and check its checksum; names and columns are unpacked too.

        One column at a time is in memory, and no names.
        """
        for entry in self._reader.sections:
            self._read(entry)
        for _ in self._texts() or ():
            pass
        for _ in self._columns():
            pass

    def _texts(self) -> Iterator[str] | None:
        """The names, one after the other; AezCorruptError at the end unless each image has one."""
        entry = self._only(NAME)
        return None if entry is None else self._read_texts(entry)

    def _read_texts(self, entry: SectionEntry) -> Iterator[str]:
        where = f"{self._reader.name}: section {NAME}"
        limit, most = self._row_limit
        expected, count = self._reader.image_count, 0
        if expected * NAME_NBYTES > most:
            raise AezLimitError(
                f"{where}: {expected} names take over {expected * NAME_NBYTES} bytes, "
                f"{limit} allows {most}"
            )
        left = (limit, most - expected * NAME_NBYTES)
        for name in json_texts(inflated(self._read(entry), where, left), where):
            count += 1
            if count > expected:
                raise AezCorruptError(f"{where}: over {expected} names, expected {expected}")
            yield name
        if count != expected:
            raise AezCorruptError(f"{where}: {count} names, expected {expected}")

    def _columns(self, only: str | None = None) -> Iterator[Column]:
        """The columns one after the other, each checked; with ``only`` that one alone.

        AezLimitError if all of them together take too much, though they need not be kept.
        """
        left = self._limits.max_column_nbytes
        for entry, head in zip(self._column_entries, self.column_heads, strict=True):
            if only in (None, head.name):
                count, name = self._reader.image_count, self._reader.name
                column = unpack_column(self._read(entry), count, name, self._row_limit)
                is_label = column.name == self.facts["label"]
                if is_label and (fault := class_fault(column, self.facts["classes"])):
                    raise AezCorruptError(f"{name}: {fault}")
                left -= column.nbytes
                if left < 0:
                    raise AezLimitError(
                        f"{name}: section COLM {column.name}: the columns take over "
                        f"{self._limits.max_column_nbytes} bytes, max_column_nbytes allows no more"
                    )
                yield column

    @property
    def _column_entries(self) -> list[SectionEntry]:
        return [entry for entry in self._reader.sections if entry.kind == COLM]

    @property
    def _memory(self) -> Limit:
        return "max_memory_nbytes", self._limits.max_memory_nbytes

    @property
    def _row_limit(self) -> Limit:
        """Of the names, and of one column while it is unpacked."""
        return section_limit(NAME, self._limits)

    def _only(self, kind: str) -> SectionEntry | None:
        found = [entry for entry in self._reader.sections if entry.kind == kind]
        if len(found) > 1:
            raise AezCorruptError(
                f"{self._reader.name}: {len(found)} sections {kind}, expected one"
            )
        return found[0] if found else None

    def _read(self, entry: SectionEntry) -> bytes:
        return self._reader.read_section(entry, section_limit(entry.kind, self._limits))


def _within(names: Iterator[str], spans: Spans) -> Iterator[str]:
    """The names in these spans; all are read."""
    at = 0
    for start, stop in spans:
        yield from islice(names, start - at, stop - at)
        at = stop
    for _ in names:
        pass
