"""Clauses 5.2, 5.3 and 5.5: the tables of chunks, and their runs."""

from __future__ import annotations

from making import assemble
from making.assemble import Chunk, File, Sub, header
from making.refused.common import PIXELS, NamedVectors, bad, with_table

RUNS = (  # of four images in two sub-payloads
    ("missing", b"", "no runs for two sub-payloads", "runs cover|images"),
    ("short", b"\0\2\1\1", "runs of 3 of 4 images", "runs cover"),
    ("long", b"\0\2\1\3", "runs of 5 of 4 images", "run"),
    ("zero", b"\0\2\1\0\1\2", "a run of no image", "run"),
    ("leb128", b"\0\x82\0\1\2", "a length not in its fewest bytes", "shortest|fewest"),
    ("leb128-long", b"\0\x82\x80\x80\x80\x80\x80\0\1\2", "a length of 7 bytes", "bytes|LEB128"),
    ("leb128-cut", b"\0\2\1\x82", "a length that does not end", "cut|bytes"),
    ("number-cut", b"\0\2\1\2\0", "a number without a length", "cut|bytes"),
    ("neighbours", b"\0\1\0\1\1\2", "neighbouring runs of one number", "neighbouring"),
    ("unused", b"\0\4", "a sub-payload without images", "used"),
    ("order", b"\1\2\0\2", "first uses do not ascend", "order|early"),
    ("number", b"\0\2\2\2", "a number beyond the sub-payloads", "order|early"),
)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _entries()
    for name, packed, about, match in RUNS:
        yield bad(f"runs-{name}", _two(packed), "5.5", about, match)
    data = with_table([Sub(PIXELS[:24])], b"\0\4")
    yield bad("runs-of-one", data, "5.3", "runs of a lone sub-payload", "bytes")
    data = _two(b"\0\2\1\2", second_mode=0)
    yield bad("modes-twice", data, "5.2", "a mode and parameter twice", "same|twice")


def _two(runs: bytes, second_mode: int = 1) -> bytes:
    """A file of two sub-payloads of two images each, stored and under zstd."""
    frame = assemble.zstd_frame(PIXELS[12:24])
    return with_table([Sub(PIXELS[:12], 0), Sub(frame, second_mode)], runs)


def _entries() -> NamedVectors:
    data = _with_bytes(b"\0" + bytes(7))
    about = "sub_payload_count is 0"
    yield bad("table-no-sub-payload", data, "5.2", about, "sub_payload_count")
    data = _with_bytes(b"\2" + bytes(8))
    yield bad("table-cut", data, "5.2", "the second sub-payload's entry is cut", "bytes")
    for name, nbytes in (("short", 23), ("long", 25)):
        data = with_table([Sub(PIXELS[:24], changes={"nbytes": nbytes})])
        about = f"nbytes is {nbytes} of a payload of 24"
        yield bad(f"table-nbytes-{name}", data, "5.2", about, "payload_nbytes|add up")


def _with_bytes(table: bytes) -> bytes:
    chunk = Chunk(4, [Sub(PIXELS[:24])], PIXELS[:24], table=table)
    return File(header(chunk_images=4), [chunk]).pack()
