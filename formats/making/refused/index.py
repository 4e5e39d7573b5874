"""Clause 6: the index, the footer, and files that are cut or continued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from making.assemble import Fields, File, header
from making.refused.common import NamedVectors, bad, pieces, plain, unsupported

FIRST = 48  # offset of the first chunk of the plain file
SIZE = 80 + 8 + 12  # of its first two chunks

ENTRIES: tuple[tuple[str, int, Fields, str, str], ...] = (  # chunk, fields, about, match
    ("overlap", 1, {"offset": FIRST + SIZE - 1}, "chunks that overlap", "offset|overlap"),
    ("gap", 1, {"offset": FIRST + SIZE + 1}, "a gap between chunks", "offset|overlap"),
    ("nbytes-short", 1, {"nbytes": SIZE - 1}, "nbytes one too few", "offset|overlap"),
    ("nbytes-long", 1, {"nbytes": SIZE + 1}, "nbytes one too many", "offset|overlap"),
    ("nbytes-tiny", 2, {"nbytes": 87}, "nbytes below head and table", "nbytes"),
    ("nbytes-huge", 2, {"nbytes": 2**63}, "nbytes beyond the file", "nbytes|reaches"),
    ("offset-huge", 0, {"offset": 2**63}, "an offset beyond the file", "nbytes|reaches|offset"),
    ("offset-0", 0, {"offset": 0}, "an offset within the header", "offset|overlap"),
    ("first-late", 0, {"offset": 49}, "bytes before the first chunk", "offset|frame|overlap"),
    ("image-count", 1, {"image_count": 1}, "image_count of a full chunk is 1", "image_count"),
    ("image-count-0", 2, {"image_count": 0}, "image_count is 0", "image_count"),
    ("head-crc32", 1, {"head_crc32": 0}, "head_crc32 is not the head's", "head_crc32"),
)

Change = Callable[[list[bytes]], list[bytes]]
LISTS: tuple[tuple[str, Change, str, str], ...] = (
    ("missing-first", lambda e: e[1:], "no entry for the first chunk", "chunk|index_nbytes"),
    ("missing-last", lambda e: e[:-1], "no entry for the last chunk", "chunk|index_nbytes"),
    ("twice", lambda e: [e[0], e[0], e[2]], "a chunk twice", "offset|overlap"),
    ("swapped", lambda e: [e[1], e[0], e[2]], "chunks not in file order", "offset|overlap"),
    ("odd", lambda e: [*e, b"\0"], "a byte after the entries", "index"),
)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    for name, at, fields, about, match in ENTRIES:
        chunks = pieces()
        chunks[at] = replace(chunks[at], index=fields)
        yield bad(f"index-{name}", plain(chunks=chunks), "6.3", about, match)
    for name, change, about, match in LISTS:
        yield bad(f"index-{name}", plain(entries=_entries(change)), "6.1", about, match)
    yield from _uncounted()
    yield from _frames()
    yield from _footers()
    yield from _ends()


def _entries(change: Change) -> bytes:
    """The index entries of the plain file, 28 bytes each, changed."""
    packed = plain()
    at = packed.rindex(b"INDX") + 24
    return b"".join(change([packed[at + 28 * i : at + 28 * (i + 1)] for i in range(3)]))


def _uncounted() -> NamedVectors:
    cases: Mapping[str, tuple[Change, int]] = {
        "first": (lambda e: e[1:], 3),
        "last": (lambda e: e[:-1], 4),
    }
    for name, (change, images) in cases.items():
        footer = {"image_count": images, "chunk_count": 2}
        data = plain(entries=_entries(change), footer=footer)
        about = f"the {name} chunk has no entry, nor does the footer count it"
        yield bad(f"index-without-{name}", data, "6.3", about, "marker")


def _frames() -> NamedVectors:
    data = plain(chunks=pieces(index={"reserved": 1}))
    about = "reserved field of an index entry"
    yield unsupported("index-reserved", data, "1.4", about, "reserved")
    data = plain(index={"kind": b"INDY"})
    yield unsupported("index-kind", data, "6.1", "INDY where INDX should be, REQUIRED", "INDY")
    data = plain(index={"payload_crc32": 0})
    yield bad("index-crc32", data, "4", "payload_crc32 of INDX", "payload_crc32")
    data = plain(index={"frame_crc32": 0})
    yield bad("index-frame-crc32", data, "4", "frame_crc32 of INDX", "frame_crc32")
    data = plain(index={"kind": b"PART"})
    yield bad("index-kind-part", data, "6.1", "PART where INDX should be", "INDX")
    data = plain(index={"payload_nbytes": 27})
    yield bad("index-payload-nbytes", data, "6.2", "payload_nbytes of INDX", "end")


def _footers() -> NamedVectors:
    nbytes = len(plain())
    yield bad("footer-magic", plain(footer={"magic": bytes(8)}), "6.2", "footer magic", "magic")
    for field, value, match in (
        ("footer_crc32", 0, "footer_crc32"),
        ("index_offset", nbytes - 48 - 111, "index"),
        ("index_nbytes", 111, "index"),
        ("file_nbytes", nbytes + 1, "file_nbytes"),
        ("image_count", 6, "image_count"),
        ("chunk_count", 4, "index"),
    ):
        name = f"footer-{field.removeprefix('footer_').replace('_', '-')}"
        yield bad(name, plain(footer={field: value}), "6.2", f"{field} is {value}", match)
    data = plain(footer={"index_offset": 2**64 - 1})
    yield bad("footer-index-offset-huge", data, "6.2", "index_offset beyond the file", "index")
    data = plain(footer={"index_offset": 2**64 - 1, "index_nbytes": nbytes - 47})
    about = "index_offset and index_nbytes that add up to the right end, modulo 2^64"
    yield bad("footer-index-wraps", data, "6.2", about, "index")
    data = File(header(), footer={"image_count": 1}).pack()
    yield bad("footer-images-of-none", data, "6.3", "an image, and no chunk", "image_count")


def _ends() -> NamedVectors:
    whole = plain()
    for nbytes in (49, len(whole) // 2, len(whole) - 1):
        about = f"the first {nbytes} of {len(whole)} bytes"
        yield bad(f"cut-at-{nbytes}", whole[:nbytes], "6.3", about, "magic")
    for name, tail, match in (
        ("zero", b"\0", "magic"),
        ("zip", b"PK\3\4" + bytes(60), "magic"),
        ("footer", whole[-48:], "file_nbytes"),
        ("file", whole, "file_nbytes"),
    ):
        data = plain(tail=tail)
        yield bad(f"appended-{name}", data, "6.3", f"{len(tail)} bytes appended", match)
