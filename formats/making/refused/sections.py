"""Clause 4: the frames of sections, and where sections may lie."""

from __future__ import annotations

from making import assemble
from making.assemble import LATENTS, REFINEMENT, Value, header, section
from making.refused.common import PARTS, NamedVectors, bad, plain, unsupported, with_header

PART = assemble.part_payload(PARTS)
OWN = section("PART", PART, True)
HEAD = section("HEAD", header())


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _of_the_future()
    yield from _frames()
    yield from _sizes()
    yield from _required()
    yield from _head()
    yield from _copies_of_part()
    yield from _places_of_part()


def _of_the_future() -> NamedVectors:
    data = plain(before=[section("Next", b"", flags=2)])
    yield unsupported("section-flags", data, "4", "flags of a section have bit 1", "flags")
    needed = section("Next", b"do not pass", True)
    about = "a REQUIRED section of an unknown kind"
    yield unsupported("section-required", plain(before=[needed]), "4.2", about, "Next")
    about += ", after the chunks"
    yield unsupported("section-required-late", plain(after=[needed]), "4.2", about, "Next")
    data = plain(before=[section("META", b"{}", True)])
    yield unsupported("metadata-required", data, "4.2", "META is REQUIRED", "META")


def _noted(**changes: Value) -> bytes:
    """The plain file with an optional section of three bytes, whose frame has the changes."""
    return plain(before=[section("Note", b"abc", **changes)])


def _frames() -> NamedVectors:
    yield bad("section-marker", _noted(marker=b"\x09SEC"), "4", "marker", "marker")
    for kind in (b"No e", b"Not\0", b"N\xf6te"):
        yield bad(f"section-kind-{kind.hex()}", _noted(kind=kind), "4", f"kind is {kind!r}", "kind")
    data = _noted(frame_crc32=0)
    yield bad("section-frame-crc32", data, "4", "frame_crc32", "frame_crc32")
    data = plain(before=[section("META", b"{}", payload_crc32=0)])
    yield bad("section-payload-crc32", data, "4", "payload_crc32", "payload_crc32")


def _sizes() -> NamedVectors:
    for name, nbytes in (("short", 2), ("long", 4), ("huge", 2**64 - 1)):
        about = f"payload_nbytes is {nbytes}, the payload has 3"
        data = _noted(payload_nbytes=nbytes)
        yield bad(f"section-{name}", data, "2.1", about, "section at byte|ends at")


def _required() -> NamedVectors:
    for kind, payload, required in (("HEAD", header(), True), ("PART", PART, False)):
        data = plain(before=[section(kind, payload, required)])
        about = f"REQUIRED of {kind} is {required}"
        yield bad(f"section-{kind.lower()}-required", data, "4.3", about, "REQUIRED|flags")
    data = plain(index={"flags": 0})
    yield bad("section-indx-required", data, "4.3", "INDX is not REQUIRED", "REQUIRED|flags")


def _head() -> NamedVectors:
    data = plain(before=[section("INDX", b"", True)])
    yield bad("section-indx-early", data, "4.4", "INDX before the chunks", "INDX")
    data = plain(before=[HEAD])
    yield bad("section-head-early", data, "4.4", "HEAD before the chunks", "HEAD")
    yield bad("section-head-twice", plain(after=[HEAD]), "4.4", "HEAD twice", "HEAD")
    yield bad("section-head-missing", plain(copies=[]), "4.4", "no HEAD", "HEAD")
    data = plain(copies=[section("Note", b"")])
    yield bad("section-head-replaced", data, "4.4", "Note where HEAD should be", "HEAD")
    data = plain(copies=[HEAD, section("Note", b"abc")])
    yield bad("section-head-not-last", data, "4.4", "a section after HEAD", "HEAD")
    data = plain(copies=[section("HEAD", header(optional_flags=1))])
    yield bad("section-head-differs", data, "4.4", "HEAD differs", "differs")
    data = plain(copies=[section("HEAD", header()[:40])])
    yield bad("section-head-short", data, "4.4", "HEAD of 40 bytes", "HEAD")


def _copies_of_part() -> NamedVectors:
    data = plain(part=PART, copies=[HEAD])
    yield bad("section-part-missing", data, "4.4", "PART has no copy", "PART")
    data = plain(part=PART, copies=[OWN, HEAD])
    yield bad("section-part-before-head", data, "4.4", "PART's copy is before HEAD", "PART")
    other = section("PART", assemble.part_payload(PARTS[:1]), True)
    data = plain(part=PART, copies=[HEAD, other])
    yield bad("section-part-differs", data, "4.4", "PART's copy differs", "differs")
    data = plain(copies=[HEAD, OWN])
    yield bad("section-part-alone", data, "4.4", "PART is only a copy", "PART")


def _places_of_part() -> NamedVectors:
    data = plain(part=PART, before=[OWN])
    yield bad("section-part-twice", data, "4.5", "two PART before the chunks", "PART")
    data = plain(after=[OWN], copies=[HEAD, OWN])
    yield bad("section-part-late", data, "4.5", "PART after the chunks", "PART")
    for flag, name in ((LATENTS, "latents"), (REFINEMENT, "refinement")):
        data = with_header(required_flags=flag)
        yield bad(f"section-part-none-{name}", data, "4.5", f"{name.upper()} without PART", "PART")
