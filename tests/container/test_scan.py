"""The search for whole records: what it finds, and that it reads a file a few times at most."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "formats"))

from making import assemble
from making.assemble import File
from making.hostile import markers
from making.hostile.kind import stored_images

from aecodec.container.scan import Scan
from aecodec.errors import AezCorruptError, AezError, AezLimitError
from aecodec.limits import Limits

KINDS = {kind.name: kind for kind in markers.KINDS}
READ_AT_MOST = 40  # times the file, with what overlaps


class Counted(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    read_nbytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.read_nbytes += len(data)
        return data


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [1 << 12, 1 << 15])
def test_a_search_reads_a_file_a_few_times(name, size):
    kind = KINDS[name]
    data = kind.make(min(size, kind.size))
    file = Counted(data)
    try:
        scan = Scan(file, "it", Limits())
    except AezError:
        scan = None
    assert file.read_nbytes <= READ_AT_MOST * len(data) + (1 << 20)
    assert scan is None or len(scan.sections) <= 4096


def a_file(chunks: int, **header: int) -> bytes:
    head = assemble.header(height=2, width=2, chunk_images=1, **header)
    return File(head, [stored_images(1) for _ in range(chunks)]).pack()


def test_whole_records_are_found_after_heads_that_overlap_them():
    data = a_file(5)
    head = assemble.header(height=2, width=2, chunk_images=1)
    forged = markers.heads(1 << 14)[len(head) :]
    scan = Scan(io.BytesIO(head + forged + data[len(head) :]), "it", Limits())
    assert scan.chunk_count >= 1  # of those whose ordinals still rise
    assert Scan(io.BytesIO(data + forged), "it", Limits()).chunk_count == 5


def test_chunks_are_spans_of_images():
    data = a_file(5)
    scan = Scan(io.BytesIO(data), "it", Limits())
    assert scan.spans() == [(0, 5)]
    assert [found.head.ordinal for found in scan.chunks()] == [0, 1, 2, 3, 4]
    offsets = [found.offset for found in scan.chunks()]
    damaged = bytearray(data)
    damaged[offsets[2] + 84] ^= 1
    scan = Scan(io.BytesIO(damaged), "it", Limits())
    assert scan.spans() == [(0, 2), (3, 5)]
    assert scan.image_count() == 5
    assert scan.lost_nbytes() == 0


def test_more_chunks_than_the_index_may_have_memory_for():
    data = a_file(9)
    Scan(io.BytesIO(data), "it", Limits(max_memory_nbytes=2 * 9 * 28))
    with pytest.raises(AezLimitError, match="the index of over 9 chunks"):
        Scan(io.BytesIO(data), "it", Limits(max_memory_nbytes=2 * 9 * 28 - 1))


def test_no_header_and_no_copy():
    with pytest.raises(AezCorruptError, match="not an"):
        Scan(io.BytesIO(b"\x89SEC" * 5000), "it", Limits())
