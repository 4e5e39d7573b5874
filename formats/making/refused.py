"""The unsupported and the bad vectors: each sound but for one thing, which is its reason."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import zstandard

from aecodec.models.file import pack_model
from aecodec.models.model import Model, Part
from making import assemble, good
from making.assemble import (
    ANS,
    LATENTS,
    LOW_TRUNK,
    REFINEMENT,
    TONES,
    UNDERLAY,
    ZSTD,
    Chunk,
    File,
    Sub,
    header,
    section,
)
from making.good import GRAY, LATENT_MODEL

CORRUPT, UNSUPPORTED, MISSING = "corrupt", "unsupported", "missing"
PIXELS = bytes(range(100, 130))  # five images of 2x3
PRINT = bytes(range(32))
PARTS = [(b"alpha", PRINT), (b"beta", PRINT[::-1])]


class Refusal(NamedTuple):
    """A file, the clause it breaks, how, what the refusal says, and the model files given."""

    data: bytes
    clause: str
    about: str
    match: str
    refused: str = CORRUPT
    error: str = "AezCorruptError"
    models: tuple[str, ...] = ()


Named = Iterator[tuple[str, Refusal]]


def pieces(first: dict[str, Any] | None = None, **others: Any) -> list[Chunk]:  # noqa: ANN401
    """Three chunks of two, two and one images, the second one changed."""
    return [
        assemble.stored(PIXELS[:12], 2, **(first or {})),
        assemble.stored(PIXELS[12:24], 2, **others),
        assemble.stored(PIXELS[24:], 1),
    ]


def plain(**changes: Any) -> bytes:  # noqa: ANN401
    """The file that most vectors start from, with changes to the fields of File."""
    fields: dict[str, Any] = {"head": header(), "chunks": pieces()}
    return File(**(fields | changes)).pack()


def with_header(**changes: Any) -> bytes:  # noqa: ANN401
    return plain(head=header(**changes))


def with_chunk(**changes: Any) -> bytes:  # noqa: ANN401
    """Fields of the second chunk's head."""
    return plain(chunks=pieces(changes=changes))


def with_table(subs: Sequence[Sub], runs: bytes = b"", flags: int = 15, images: int = 4) -> bytes:
    """One chunk of four images, 2x3, whose table ends in ``runs``."""
    table = bytes([len(subs)]) + b"".join(sub.entry() for sub in subs) + runs
    chunk = Chunk(images, subs, b"", table=table)
    part = assemble.part_payload(PARTS) if flags & (LATENTS | REFINEMENT) else None
    return File(header(required_flags=flags, chunk_images=4), [chunk], part=part).pack()


def vectors() -> Named:
    """Names with their folder, and what lies there."""
    for folder, groups in (
        ("unsupported", [_of_the_future]),
        (
            "bad",
            [
                _of_headers,
                _of_sections,
                _of_part,
                _of_chunks,
                _of_tables,
                _of_the_index,
                _of_footers,
                _of_payloads,
                _of_frames,
                _of_latents,
                _of_states,
                _of_models,
            ],
        ),
    ):
        for group in groups:
            for name, refusal in group():
                if folder == "unsupported":
                    refusal = refusal._replace(refused=UNSUPPORTED, error="AezUnsupportedError")
                yield f"{folder}/{name}", refusal


def _of_the_future() -> Named:
    later = bytearray(with_header(version_major=2))
    later[12:48] = bytes(range(36))  # which may mean anything
    yield "version-major-2", Refusal(bytes(later), "3.2", "a later major version", "version")
    for bit in (4, 31):
        data = with_header(required_flags=1 << bit)
        about = f"required_flags has bit {bit}"
        yield f"required-flag-{bit}", Refusal(data, "3.3", about, "required_flags")
    for offset in (26, 36):
        data = with_header(**{f"reserved_{offset}": 1})
        about = f"the reserved field at byte {offset} is 1"
        yield f"header-reserved-{offset}", Refusal(data, "1.4", about, "reserved")
    data = plain(before=[section("Next", b"", flags=2)])
    yield "section-flags", Refusal(data, "4", "flags of a section have bit 1", "flags")
    needed = section("Next", b"do not pass", True)
    about = "a REQUIRED section of an unknown kind"
    yield "section-required", Refusal(plain(before=[needed]), "4.2", about, "Next")
    about += ", after the chunks"
    yield "section-required-late", Refusal(plain(after=[needed]), "4.2", about, "Next")
    data = plain(before=[section("META", b"{}", True)])
    yield "metadata-required", Refusal(data, "4.2", "META is REQUIRED", "META")
    data = with_chunk(reserved=b"\0\0\1")
    yield "chunk-reserved", Refusal(data, "1.4", "reserved bytes of a chunk's head", "reserved")
    data = plain(chunks=pieces(index={"reserved": 1}))
    yield "index-reserved", Refusal(data, "1.4", "reserved field of an index entry", "reserved")
    data = plain(index={"kind": b"INDY"})
    yield "index-kind", Refusal(data, "6.1", "INDY where INDX should be, REQUIRED", "INDY")
    for mode in (6, 255):
        data = with_table([Sub(PIXELS[:24], mode)])
        yield f"mode-{mode}", Refusal(data, "7", f"mode {mode}", f"mode {mode} is unknown")


def _of_headers() -> Named:
    whole = plain()
    magics = {
        "nothing": (b"", "not a byte"),
        "magic": (b"\x89PNG" + whole[4:], "the magic of PNG"),
        "magic-seven-bits": (bytes(byte & 127 for byte in whole), "high bits stripped"),
        "magic-lf": (whole.replace(b"\r\n", b"\n", 1), "CR LF changed to LF"),
        "magic-crlf": (whole.replace(b"\n", b"\r\n"), "LF changed to CR LF"),
        "magic-utf-8": (whole.decode("latin-1").encode(), "re-encoded as UTF-8"),
    }
    for name, (data, about) in magics.items():
        yield name, Refusal(data, "3.1", about, "magic")
    yield "header-cut", Refusal(whole[:47], "3", "47 bytes", "bytes")
    data = with_header(header_crc32=0)
    yield "header-crc32", Refusal(data, "3", "header_crc32 is 0", "header_crc32")
    fields = {
        "version_major": (0, "version"),
        "height": (0, "height"),
        "width": (0, "width"),
        "channels": (0, "channels"),
        "chunk_images": (0, "chunk_images"),
    }
    for field, (value, match) in fields.items():
        data = plain(head=header(**{field: value}), chunks=[])
        name = f"{field.replace('_', '-')}-{value}"
        yield name, Refusal(data, "3", f"{field} is {value}", match)
    data = plain(head=header(channels=5), chunks=[])
    yield "channels-5", Refusal(data, "3", "channels is 5", "channels")
    for kind, value in ((0, 1), (1, 65536), (2, 256), (3, 65536)):
        data = with_header(target_kind=kind, target_value=value)
        about = f"target_value {value} of kind {kind}"
        yield f"target-kind-{kind}-value", Refusal(data, "3.5", about, "target_value")


def _of_sections() -> Named:
    note = section("Note", b"abc")

    def noted(**changes: Any) -> bytes:  # noqa: ANN401
        return plain(before=[section("Note", b"abc", **changes)])

    yield "section-marker", Refusal(noted(marker=b"\x09SEC"), "4", "marker", "marker")
    for kind in (b"No e", b"Not\0", b"N\xf6te"):
        name = f"section-kind-{kind.hex()}"
        about = f"kind is {kind!r}"
        yield name, Refusal(noted(kind=kind), "4", about, "kind")
    yield "section-frame-crc32", Refusal(noted(frame_crc32=0), "4", "frame_crc32", "frame_crc32")
    meta = section("META", b"{}", payload_crc32=0)
    data = plain(before=[meta])
    yield "section-payload-crc32", Refusal(data, "4", "payload_crc32", "payload_crc32")
    for name, nbytes in (("short", 2), ("long", 4), ("huge", 2**64 - 1)):
        about = f"payload_nbytes is {nbytes}, the payload has 3"
        data = noted(payload_nbytes=nbytes)
        yield f"section-{name}", Refusal(data, "2.1", about, "section at byte|ends at")
    part = assemble.part_payload(PARTS)
    own = section("PART", part, True)
    head, other = section("HEAD", header()), section("HEAD", header(optional_flags=1))
    for kind, payload, required in (("HEAD", header(), True), ("PART", part, False)):
        wrong = section(kind, payload, required)
        about = f"REQUIRED of {kind} is {required}"
        name = f"section-{kind.lower()}-required"
        yield name, Refusal(plain(before=[wrong]), "4.3", about, "REQUIRED|flags")
    data = plain(index={"flags": 0})
    yield "section-indx-required", Refusal(data, "4.3", "INDX is not REQUIRED", "REQUIRED|flags")
    strays = {
        "indx": section("INDX", b"", True),
        "head": head,
    }
    for name, stray in strays.items():
        about = f"{name.upper()} before the chunks"
        yield f"section-{name}-early", Refusal(plain(before=[stray]), "4.4", about, name.upper())
    yield "section-head-twice", Refusal(plain(after=[head]), "4.4", "HEAD twice", "HEAD")
    yield "section-head-missing", Refusal(plain(copies=[]), "4.4", "no HEAD", "HEAD")
    data = plain(copies=[section("Note", b"")])
    yield "section-head-replaced", Refusal(data, "4.4", "Note where HEAD should be", "HEAD")
    data = plain(copies=[head, note])
    yield "section-head-not-last", Refusal(data, "4.4", "a section after HEAD", "HEAD")
    yield "section-head-differs", Refusal(plain(copies=[other]), "4.4", "HEAD differs", "differs")
    data = plain(copies=[section("HEAD", header()[:40])])
    yield "section-head-short", Refusal(data, "4.4", "HEAD of 40 bytes", "HEAD")
    copies = {
        "missing": ([head], "PART has no copy", "PART"),
        "before-head": ([own, head], "PART's copy is before HEAD", "PART"),
        "differs": (
            [head, section("PART", assemble.part_payload(PARTS[:1]), True)],
            "PART's copy differs",
            "differs",
        ),
        "alone": ([head, own], "PART is only a copy", "PART"),
    }
    for name, (sections, about, match) in copies.items():
        given = None if name == "alone" else part
        data = plain(part=given, copies=sections)
        yield f"section-part-{name}", Refusal(data, "4.4", about, match)
    data = plain(part=part, before=[own])
    yield "section-part-twice", Refusal(data, "4.5", "two PART before the chunks", "PART")
    data = plain(after=[own], copies=[head, own])
    yield "section-part-late", Refusal(data, "4.5", "PART after the chunks", "PART")
    for flag, name in ((LATENTS, "latents"), (REFINEMENT, "refinement")):
        about = f"{name.upper()} without PART"
        yield (
            f"section-part-none-{name}",
            Refusal(with_header(required_flags=flag), "4.5", about, "PART"),
        )


def _of_part() -> Named:
    whole = assemble.part_payload(PARTS)
    long = b"\xc2\x85"
    payloads = {
        "count-0": (b"\0\0", "part_count is 0", "count"),
        "name-empty": (assemble.part_payload([(b"", PRINT)]), "an empty name", "name"),
        "name-space": (assemble.part_payload([(b"a b", PRINT)]), "a space in a name", "name"),
        "name-not-ascii": (
            assemble.part_payload([(b"\xe4", PRINT)]),
            "a name beyond ASCII",
            "name",
        ),
        "order": (assemble.part_payload(PARTS[::-1]), "names not in order", "names|order"),
        "name-twice": (assemble.part_payload([PARTS[0]] * 2), "a name twice", "names|order"),
        "cut": (whole[:-6], "ends within model_name", "bytes"),
        "cut-in-a-part": (whole[:30], "ends within a fingerprint", "bytes"),
        "count-too-large": (b"\3" + whole[1:], "part_count is one too many", "bytes"),
        "goes-on": (whole + b"\0", "a byte after model_name", "byte"),
        "model-name-escape": (assemble.part_payload(PARTS, b"\x1b[2J"), "ESC", "control"),
        "model-name-c1": (assemble.part_payload(PARTS, long), "U+0085", "control"),
        "model-name-utf-8": (assemble.part_payload(PARTS, b"\xff"), "not UTF-8", "UTF-8"),
    }
    for name, (payload, about, match) in payloads.items():
        data = plain(part=payload)
        yield f"part-{name}", Refusal(data, "4.5", f"PART: {about}", match)


def _of_chunks() -> Named:
    fields: dict[str, tuple[Any, str]] = {
        "marker": (b"\x89CHJ", "5.1"),
        "ordinal": (2, "5.1"),
        "image_count": (1, "6.4"),
        "table_nbytes": (9, "6.4"),
        "payload_nbytes": (11, "6.4"),
        "table_crc32": (0, "5.1"),
        "payload_crc32": (0, "5.1"),
        "head_crc32": (0, "5.1"),
        "pixels_sha256": (bytes(32), "7"),
    }
    for field, (value, clause) in fields.items():
        match = "nbytes|sizes" if field.endswith("nbytes") else field.replace("pixels_", "")
        about = f"{field} of a chunk"
        name = f"chunk-{field.replace('_', '-')}"
        yield name, Refusal(with_chunk(**{field: value}), clause, about, match)
    for name, nbytes in (("small", 7), ("large", (1 << 24) + 1)):
        data = with_chunk(table_nbytes=nbytes)
        about = f"table_nbytes is {nbytes}"
        yield f"chunk-table-{name}", Refusal(data, "5.1", about, "table_nbytes")
    for most, squares in ((0, 1), (3, 8), (3, 12 * 9 + 1), (255, 0)):
        data = with_chunk(max_error=most, sum_squared_error=squares)
        about = f"max_error {most}, sum_squared_error {squares}, 12 samples"
        name = f"chunk-error-{most}-{squares}"
        yield name, Refusal(data, "5.4", about, "sum_squared_error|5.4")
    data = plain(chunks=pieces(changes={"image_count": 3}, index={"image_count": 3}))
    yield "chunk-over-full", Refusal(data, "5.1", "three images of chunk_images 2", "image_count")


def _of_tables() -> Named:
    def two(runs: bytes, modes: tuple[tuple[int, int], ...] = ((0, 0), (1, 0))) -> bytes:
        frame = assemble.zstd_frame(PIXELS[12:24])
        return with_table([Sub(PIXELS[:12], *modes[0]), Sub(frame, *modes[1])], runs)

    tables = {
        "no-sub-payload": (b"\0" + bytes(7), "5.2", "sub_payload_count is 0", "sub_payload_count"),
        "cut": (b"\2" + bytes(8), "5.2", "the second sub-payload's entry is cut", "bytes"),
    }
    for name, (table, clause, about, match) in tables.items():
        chunk = Chunk(4, [Sub(PIXELS[:24])], PIXELS[:24], table=table)
        data = File(header(chunk_images=4), [chunk]).pack()
        yield f"table-{name}", Refusal(data, clause, about, match)
    for name, nbytes in (("short", 23), ("long", 25)):
        data = with_table([Sub(PIXELS[:24], changes={"nbytes": nbytes})])
        about = f"nbytes is {nbytes} of a payload of 24"
        yield f"table-nbytes-{name}", Refusal(data, "5.2", about, "payload_nbytes|add up")
    good_runs = b"\0\2\1\2"
    runs = {
        "missing": (b"", "no runs for two sub-payloads", "runs cover|images"),
        "short": (b"\0\2\1\1", "runs of 3 of 4 images", "runs cover"),
        "long": (b"\0\2\1\3", "runs of 5 of 4 images", "run"),
        "zero": (b"\0\2\1\0\1\2", "a run of no image", "run"),
        "leb128": (b"\0\x82\0\1\2", "a length not in its fewest bytes", "shortest|fewest"),
        "leb128-long": (b"\0\x82\x80\x80\x80\x80\x80\0\1\2", "a length of 7 bytes", "bytes|LEB128"),
        "leb128-cut": (b"\0\2\1\x82", "a length that does not end", "cut|bytes"),
        "number-cut": (b"\0\2\1\2\0", "a number without a length", "cut|bytes"),
        "neighbours": (b"\0\1\0\1\1\2", "neighbouring runs of one number", "neighbouring"),
        "unused": (b"\0\4", "a sub-payload without images", "used"),
        "order": (b"\1\2\0\2", "first uses do not ascend", "order|early"),
        "number": (b"\0\2\2\2", "a number beyond the sub-payloads", "order|early"),
    }
    for name, (packed, about, match) in runs.items():
        yield f"runs-{name}", Refusal(two(packed), "5.5", about, match)
    data = with_table([Sub(PIXELS[:24])], b"\0\4")
    yield "runs-of-one", Refusal(data, "5.3", "runs of a lone sub-payload", "bytes")
    data = two(good_runs, ((0, 0), (0, 0)))
    yield "modes-twice", Refusal(data, "5.2", "a mode and parameter twice", "same|twice")
    parameters = {0: (1,), 1: (1,), 2: (255, 2305), 3: (128,), 4: (0, 128), 5: (255, 2305)}
    for mode, values in parameters.items():
        for value in values:
            data = with_table([Sub(PIXELS[:24], mode, value)])
            about = f"parameter {value} of mode {mode}"
            yield f"mode-{mode}-parameter-{value}", Refusal(data, "7", about, "parameter")
    needs = {1: ZSTD, 2: LATENTS | ZSTD, 3: REFINEMENT | ANS, 4: REFINEMENT | ANS, 5: LATENTS | ANS}
    for mode, flags in needs.items():
        for flag in (LATENTS, REFINEMENT, ZSTD, ANS):
            if flags & flag:
                parameter = {1: 0, 3: 5, 4: 5}.get(mode, 1280)
                data = with_table([Sub(PIXELS[:24], mode, parameter)], flags=15 & ~flag)
                about = f"mode {mode} without flag {flag}"
                yield f"mode-{mode}-without-flag-{flag}", Refusal(data, "7", about, "flags")


def _entries(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """The plain file with its index entries, 28 bytes each, changed."""
    packed = plain()
    at = packed.rindex(b"INDX") + 24
    entries = [packed[at + 28 * i : at + 28 * (i + 1)] for i in range(3)]
    return plain(entries=b"".join(change(entries)))


def _of_the_index() -> Named:
    start = 48
    size = 80 + 8 + 12
    changes: dict[str, tuple[int, dict[str, int], str, str]] = {
        "overlap": (1, {"offset": start + size - 1}, "chunks that overlap", "offset|overlap"),
        "gap": (1, {"offset": start + size + 1}, "a gap between chunks", "offset|overlap"),
        "nbytes-short": (1, {"nbytes": size - 1}, "nbytes one too few", "offset|overlap"),
        "nbytes-long": (1, {"nbytes": size + 1}, "nbytes one too many", "offset|overlap"),
        "nbytes-tiny": (2, {"nbytes": 87}, "nbytes below head and table", "nbytes"),
        "nbytes-huge": (2, {"nbytes": 2**63}, "nbytes beyond the file", "nbytes|reaches"),
        "offset-huge": (0, {"offset": 2**63}, "an offset beyond the file", "nbytes|reaches|offset"),
        "offset-0": (0, {"offset": 0}, "an offset within the header", "offset|overlap"),
        "first-late": (
            0,
            {"offset": start + 1},
            "bytes before the first chunk",
            "offset|frame|overlap",
        ),
        "image-count": (1, {"image_count": 1}, "image_count of a full chunk is 1", "image_count"),
        "image-count-0": (2, {"image_count": 0}, "image_count is 0", "image_count"),
        "head-crc32": (1, {"head_crc32": 0}, "head_crc32 is not the head's", "head_crc32"),
    }
    for name, (at, fields, about, match) in changes.items():
        chunks = pieces()
        chunks[at] = replace(chunks[at], index=fields)
        yield f"index-{name}", Refusal(plain(chunks=chunks), "6.3", about, match)
    lists: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str, str]] = {
        "missing-first": (lambda e: e[1:], "no entry for the first chunk", "chunk|index_nbytes"),
        "missing-last": (lambda e: e[:-1], "no entry for the last chunk", "chunk|index_nbytes"),
        "twice": (lambda e: [e[0], e[0], e[2]], "a chunk twice", "offset|overlap"),
        "swapped": (lambda e: [e[1], e[0], e[2]], "chunks not in file order", "offset|overlap"),
        "odd": (lambda e: [*e, b"\0"], "a byte after the entries", "index"),
    }
    for name, (change, about, match) in lists.items():
        yield f"index-{name}", Refusal(_entries(change), "6.1", about, match)
    fewer: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
        "first": (lambda e: e[1:], 3),
        "last": (lambda e: e[:-1], 4),
    }
    for name, (change, images) in fewer.items():
        entries = _entries(change)
        packed = entries[entries.rindex(b"INDX") + 24 : -48]
        footer = {"image_count": images, "chunk_count": 2}
        data = plain(entries=packed, footer=footer)
        about = f"the {name} chunk has no entry, nor does the footer count it"
        yield f"index-without-{name}", Refusal(data, "6.3", about, "marker")
    small = [replace(assemble.stored(PIXELS[:6], 1)), *pieces()[1:]]
    data = plain(chunks=small)
    yield "chunk-not-full", Refusal(data, "5.1", "a chunk before the last has fewer", "image_count")
    data = plain(index={"payload_crc32": 0})
    yield "index-crc32", Refusal(data, "4", "payload_crc32 of INDX", "payload_crc32")
    data = plain(index={"frame_crc32": 0})
    yield "index-frame-crc32", Refusal(data, "4", "frame_crc32 of INDX", "frame_crc32")
    data = plain(index={"kind": b"PART"})
    yield "index-kind-part", Refusal(data, "6.1", "PART where INDX should be", "INDX")
    data = plain(index={"payload_nbytes": 27})
    yield "index-payload-nbytes", Refusal(data, "6.2", "payload_nbytes of INDX", "end")


def _of_footers() -> Named:
    whole = plain()
    yield "footer-magic", Refusal(plain(footer={"magic": bytes(8)}), "6.2", "footer magic", "magic")
    fields = {
        "footer_crc32": (0, "footer_crc32"),
        "index_offset": (len(whole) - 48 - 111, "index"),
        "index_nbytes": (111, "index"),
        "file_nbytes": (len(whole) + 1, "file_nbytes"),
        "image_count": (6, "image_count"),
        "chunk_count": (4, "index"),
    }
    for field, (value, match) in fields.items():
        about = f"{field} is {value}"
        name = f"footer-{field.removeprefix('footer_').replace('_', '-')}"
        yield name, Refusal(plain(footer={field: value}), "6.2", about, match)
    data = plain(footer={"index_offset": 2**64 - 1})
    yield "footer-index-offset-huge", Refusal(data, "6.2", "index_offset beyond the file", "index")
    data = plain(footer={"index_offset": 2**64 - 1, "index_nbytes": len(whole) - 47})
    about = "index_offset and index_nbytes that add up to the right end, modulo 2^64"
    yield "footer-index-wraps", Refusal(data, "6.2", about, "index")
    data = File(header(), footer={"image_count": 1}).pack()
    yield "footer-images-of-none", Refusal(data, "6.3", "an image, and no chunk", "image_count")
    for nbytes in (49, len(whole) // 2, len(whole) - 1):
        about = f"the first {nbytes} of {len(whole)} bytes"
        yield f"cut-at-{nbytes}", Refusal(whole[:nbytes], "6.3", about, "magic")
    junk = {"zero": b"\0", "zip": b"PK\3\4" + bytes(60), "footer": whole[-48:], "file": whole}
    for name, tail in junk.items():
        match = "magic" if name in ("zero", "zip") else "file_nbytes"
        about = f"{len(tail)} bytes appended"
        yield f"appended-{name}", Refusal(plain(tail=tail), "6.3", about, match)


def _of_payloads() -> Named:
    for name, data in (("short", PIXELS[:23]), ("long", PIXELS[:25]), ("empty", b"")):
        about = f"{len(data)} bytes stored of 24"
        match = f"{len(data)} (bytes stored|samples)"
        yield f"stored-{name}", Refusal(with_table([Sub(data)], flags=0), "7", about, match)


def _of_frames() -> Named:
    whole = PIXELS[:24]
    frame = assemble.zstd_frame(whole)
    sized = assemble.zstd_frame(whole, b"\x20\x18")  # single segment, one byte of size
    parameters = zstandard.ZstdCompressionParameters(
        format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=False, write_checksum=True
    )
    checked = zstandard.ZstdCompressor(compression_params=parameters).compress(whole)
    eight_mib = b"\0\x68"
    frames = {
        "states-size": (sized, "states its size, rightly"),
        "states-bomb": (b"\xe0" + struct.pack("<Q", 1 << 40) + frame[2:], "states 2^40 bytes"),
        "hides-bomb": (assemble.zstd_zeros(64 << 20), "states nothing, holds 64 MiB"),
        "checksum": (checked, "has a checksum, a right one"),
        "magic": (b"\x28\xb5\x2f\xfd" + frame, "has the magic number"),
        "dictionary": (b"\1\0\7" + frame[2:], "names a dictionary"),
        "window": (assemble.zstd_frame(whole, b"\0\x69"), "a window of 9 MiB"),
        "window-huge": (assemble.zstd_frame(whole, b"\0\xf8"), "a window of 2 TiB"),
        "short": (assemble.zstd_frame(whole[:-1]), "holds 23 bytes of 24"),
        "long": (assemble.zstd_frame(whole + b"\0"), "holds 25 bytes of 24"),
        "cut": (frame[:-1], "is cut"),
        "cut-before-last": (
            assemble.zstd_frame(whole)[:2] + struct.pack("<I", 24 << 3)[:3] + whole,
            "has no last block",
        ),
        "goes-on": (frame + b"\0", "a byte after it"),
        "twice": (frame + assemble.zstd_frame(b""), "a second, empty frame after it"),
        "skippable": (frame + bytes.fromhex("50 2a 4d 18 00000000"), "a skippable frame after it"),
        "block-type": (
            b"\0\0" + struct.pack("<I", 24 << 3 | 7)[:3] + whole,
            "a reserved block type",
        ),
        "junk": (eight_mib + b"\x3d\0\0" + bytes(7), "a compressed block of junk"),
        "empty": (b"", "not a byte"),
    }
    for name, (data, about) in frames.items():
        sub = Sub(data, 1)
        clause = "8.4" if name not in ("short", "long", "hides-bomb") else "7"
        file = File(header(required_flags=ZSTD, chunk_images=4), [Chunk(4, [sub], whole)]).pack()
        yield f"zstd-{name}", Refusal(file, clause, f"a zstd frame that {about}", "frame|block")


def _latent_file(payload: bytes, images: int = 3, quality: int = 1280) -> bytes:
    chunk = Chunk(images, [Sub(payload, 2, quality)], b"")
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    return good.file_of(GRAY, [chunk], LATENTS | ZSTD, decoder)


def _latents(
    entries: Sequence[bytes], frames: Sequence[bytes], tail: bytes = b"", sizes: bytes | None = None
) -> bytes:
    """8.2: a payload of four latents from table entries and what the frames hold."""
    packed = [assemble.zstd_frame(each) for each in frames]
    if sizes is None:
        sizes = b"".join(assemble.leb128(len(each)) for each in packed)
    table = b"".join(entries) + sizes
    frame = assemble.zstd_frame(table)
    head = assemble.leb128(len(table)) + assemble.leb128(len(frame))
    return head + frame + b"".join(packed) + tail


def _of_latents() -> Named:
    none = b"\0\0"  # base 0, span 1
    three = b"\1\2\0"  # base -1, span 3, frame 0
    first = bytes([(0 * 9 + 1 * 3 + 2) * 9])  # symbols -1, 0, 1: of span 3, five to a byte
    entries = [three, none, none, none]
    whole = _latents(entries, [first])
    wide = b"\0\xff\3\0"  # base 0, span 512, frame 0
    wide_bytes = struct.pack("<3H", 0, 511, 7)
    payloads = {
        "empty": (b"", "8.2", "an empty payload", "bytes"),
        "table-small": (
            assemble.leb128(7) + assemble.leb128(12) + assemble.zstd_frame(none * 4)[:-1],
            "8.2",
            "table_nbytes is 7 of 4 latents",
            "table",
        ),
        "table-large": (b"\x51\2\0\0", "8.2", "table_nbytes is 81 of 4 latents", "table"),
        "table-bomb": (
            assemble.leb128(8)
            + assemble.leb128(len(assemble.zstd_zeros(32 << 20)))
            + assemble.zstd_zeros(32 << 20),
            "8.2",
            "a table frame of 32 MiB that states 8 bytes",
            "frame",
        ),
        "packed-nbytes": (
            b"\x0c\x7f" + whole[2:],
            "8.2",
            "packed_nbytes beyond the payload",
            "bytes",
        ),
        "leb128": (
            b"\x8c\0" + whole[1:],
            "8.2",
            "table_nbytes not in its shortest form",
            "form|fewest",
        ),
        "leb128-wide": (
            _latents([b"\xff\xff\xff\xff\x7f\0", none, none, none], []),
            "8.2",
            "a base of 35 bits",
            "32 bits|LEB128",
        ),
        "leb128-endless": (b"\xff" * 9, "8.2", "a number that does not end", "bytes|LEB128"),
        "base": (
            _latents([b"\x80\x80\4\0", none, none, none], []),
            "8.2",
            "base is 32768",
            "int16|table",
        ),
        "span": (
            _latents([b"\x00\x80\x80\2\0", none, none, none], [b""]),
            "8.2",
            "base 0, span 32769",
            "int16|table",
        ),
        "frame-number": (
            _latents([b"\1\2\1", none, none, none], [first, first]),
            "8.2",
            "frames are not numbered by first use",
            "frame",
        ),
        "table-goes-on": (
            _latents(entries, [first], sizes=assemble.leb128(6) + b"\0"),
            "8.2",
            "a byte after the table",
            "left",
        ),
        "table-ends": (_latents(entries, [first], sizes=b""), "8.2", "the table is cut", "left"),
        "goes-on": (_latents(entries, [first], b"\0"), "8.2", "a byte after the frames", "left"),
        "cut": (whole[:-1], "8.2", "the last frame is cut", "bytes"),
        "frame-size": (
            _latents(entries, [first], sizes=b"\5"),
            "8.2",
            "a frame's size is one too small",
            "frame",
        ),
        "frame-short": (_latents(entries, [b""]), "8.3", "a frame of no bytes", "frame"),
        "frame-long": (_latents(entries, [first * 2]), "8.3", "a frame of two bytes", "frame"),
        "byte-large": (_latents(entries, [b"\xf3"]), "8.3", "a byte of 243 = 3^5", "243"),
        "filler": (
            _latents(entries, [bytes([first[0] + 1])]),
            "8.3",
            "symbols after the last image that are not 0",
            "zero",
        ),
        "span-wide": (
            _latents(entries, [bytes([(0 * 9 + 1 * 3 + 1) * 9])]),
            "8.2",
            "no symbol is the largest of its span",
            "span|largest",
        ),
        "base-low": (
            _latents(entries, [bytes([(1 * 9 + 1 * 3 + 2) * 9])]),
            "8.2",
            "no symbol is the smallest, base",
            "span|smallest",
        ),
        "wide-symbol": (
            _latents([wide, none, none, none], [wide_bytes.replace(b"\7\0", b"\0\2")]),
            "8.3",
            "a symbol of 512 of a span of 512",
            "span",
        ),
    }
    for name, (payload, clause, about, match) in payloads.items():
        data = _latent_file(payload)
        about = f"latents under zstd: {about}"
        refusal = Refusal(data, clause, about, match, models=("latents-8x8",))
        yield f"latents-{name}", refusal


def _of_states() -> Named:
    y_hat = good.symbols(30, seed=77)
    coded = good.by_latents(LATENT_MODEL, y_hat, 1280, good.LATENTS_ANS)
    payload = coded.sub.data
    states = list(struct.unpack_from("<7Q", payload))
    words = payload[56:]

    def with_states(*changed: int) -> bytes:
        return struct.pack("<7Q", *changed) + words

    payloads = {
        "empty": (b"", "an empty payload", "ANS payload"),
        "short": (payload[:52], "52 bytes", "ANS payload"),
        "odd": (payload + b"\0", "not a whole word at the end", "ANS payload"),
        "state-low": (with_states(2**32 - 1, *states[1:]), "a state below 2^32", "state"),
        "ends-early": (payload[:-4], "the last word is missing", "ends before|state"),
        "goes-on": (payload + bytes(4), "a word too many", "end|left"),
        "state-wrong": (with_states(states[0] ^ 1, *states[1:]), "a bit of a state", "ANS|state"),
    }
    for name, (data, about, match) in payloads.items():
        sub = replace(coded.sub, data=data)
        chunk = Chunk(30, [sub], coded.pixels.tobytes())
        file = good.file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL)
        about = f"ANS: {about}"
        yield f"ans-{name}", Refusal(file, "12.4", about, match, models=("latents-8x8",))
    crowd = header(height=1, width=1, required_flags=REFINEMENT | ANS, chunk_images=449)
    sub = Sub(b"".join(struct.pack("<Q", 1 << 32) for _ in range(7)), good.PIXELS, 0)
    part = assemble.part_payload([(b"pixel_fast", PRINT)])
    file = File(crowd, [Chunk(449, [sub], b"")], part=part).pack()
    yield "ans-crowded", Refusal(file, "12.4", "ANS: 449 images in 56 bytes", "ANS payload")
    chunk = good.chunk_of([good.by_latents(LATENT_MODEL, y_hat, 1281, good.LATENTS_ANS)])
    chunk = replace(chunk, subs=[replace(chunk.subs[0], parameter=1280)])
    file = good.file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL)
    about = "ANS: symbols of another quality"
    yield "ans-quality", Refusal(file, "12.4", about, "ANS|state|sha256", models=("latents-8x8",))


def _of_models() -> Named:
    coded = good.by_latents(LATENT_MODEL, good.symbols(2, seed=8), 1280)
    chunk = good.chunk_of([coded])
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    flags = LATENTS | ZSTD
    other = _changed(decoder, "latent_decoder", "gain", lambda gain: gain + 1)
    data = good.file_of(GRAY, [chunk], flags, other)
    yield (
        "model-fingerprint",
        Refusal(
            data,
            "10.5",
            "the model given has another latent_decoder than PART names",
            "latent_decoder",
            MISSING,
            "ModelMismatchError",
            ("latents-8x8",),
        ),
    )
    yield (
        "model-missing",
        Refusal(
            data,
            "10.5",
            "no model is given, and none with this part is known",
            "latent_decoder",
            MISSING,
            "ModelMissingError",
        ),
    )
    prior = LATENT_MODEL.decoding(["latent_prior"])
    data = good.file_of(GRAY, [chunk], flags, prior)
    about = "a mode needs latent_decoder, PART names latent_prior alone"
    yield (
        "model-part-not-named",
        Refusal(data, "10.5", about, "latent_decoder", models=("latents-8x8",)),
    )
    chunks = pieces()
    data = good.file_of(
        GRAY, [replace(chunk, subs=[replace(coded.sub, mode=5)])], LATENTS | ANS, decoder
    )
    about = "mode 5 needs latent_prior, PART names latent_decoder alone"
    needs = ("latents-8x8",)
    yield "model-prior-not-named", Refusal(data, "7", about, "latent_prior", models=needs)
    data = _dots(_pixel_model(), mode=4, parameter=1)
    about = "mode 4 needs dequantizer, PART names pixel_fast alone"
    yield "model-dequantizer-not-named", Refusal(data, "7", about, "dequantizer")
    payload = assemble.part_payload([(b"pixel_fast", PRINT), (b"pixel_small", PRINT)])
    head = header(required_flags=REFINEMENT | ANS)
    data = File(head, chunks, part=payload).pack()
    yield "model-two-pixel-models", Refusal(data, "11.1", "two pixel models", "pixel models")

    def embedded(model: Model, payload: bytes | None = None, count: int = 1) -> bytes:
        packed = zlib.compress(pack_model(model), 9) if payload is None else payload
        sections = [section("MODL", packed)] * count
        return good.file_of(model.shape, [chunk], flags, model, sections=sections)

    packed = pack_model(decoder)
    payloads: dict[str, tuple[bytes, str, str]] = {
        "crc32": (b"", "payload_crc32 of MODL", "payload_crc32"),
        "zlib": (b"\x78\xda" + bytes(20), "no zlib data", "zlib"),
        "zlib-cut": (zlib.compress(packed, 9)[:-3], "zlib data that is cut", "zlib"),
        "zlib-goes-on": (zlib.compress(packed, 9) + b"\0", "a byte after zlib data", "zlib"),
        "empty": (zlib.compress(b""), "no safetensors", "model"),
        "pickle": (zlib.compress(pickle.dumps({"shape": (8, 8, 1)})), "a pickle", "model"),
        "header-huge": (zlib.compress(b"\xff" * 8 + packed[8:]), "a header of 2^64 bytes", "model"),
        "sha256": (
            zlib.compress(packed[:-1] + bytes([packed[-1] ^ 1])),
            "a bit of a tensor, and the model's sha256 as before",
            "checksum|sha256",
        ),
        "cut": (zlib.compress(packed[:-4]), "the last tensor is cut", "model|tensors"),
        "other": (
            zlib.compress(pack_model(other)),
            "another model than PART names",
            "names",
        ),
        "more": (zlib.compress(pack_model(LATENT_MODEL)), "a part more than PART names", "names"),
        "surrogate": (
            zlib.compress(_surrogate(decoder)),
            "a config that has no UTF-8 form",
            "model",
        ),
    }
    for name, (payload, about, match) in payloads.items():
        data = embedded(decoder, payload)
        if name == "crc32":
            bad = section("MODL", zlib.compress(packed, 9), payload_crc32=0)
            data = good.file_of(GRAY, [chunk], flags, decoder, sections=[bad])
        yield f"embedded-{name}", Refusal(data, "10.4", f"MODL: {about}", match)
    data = embedded(decoder, count=2)
    yield "embedded-twice", Refusal(data, "10.4", "two MODL", "MODL")
    for name, (clause, about, match, model) in _poisoned(decoder).items():
        yield f"poisoned-{name}", Refusal(embedded(model), clause, about, match)
    for name, (clause, about, match, model) in _poisoned_priors().items():
        coded = good.by_latents(LATENT_MODEL, good.symbols(2, seed=8), 1280, good.LATENTS_ANS)
        modl = section("MODL", zlib.compress(pack_model(model), 9))
        data = good.file_of(GRAY, [good.chunk_of([coded])], LATENTS | ANS, model, sections=[modl])
        yield f"poisoned-{name}", Refusal(data, clause, about, match)
    for name, (clause, about, match, model) in _poisoned_pixels().items():
        yield f"poisoned-{name}", Refusal(_dots(model), clause, about, match)
    data = _dots(_pixel_model(toned=True), flags=REFINEMENT | ANS)
    about = "the pixel model has tones, TONES is not set"
    yield "model-tones-not-announced", Refusal(data, "11.7", about, "tones")
    for name, missing, flags, match in (
        ("not-announced", None, LATENTS | REFINEMENT | ANS, "underlay"),
        ("without-prior", "latent_prior", _UNDERLAID, "latents"),
        ("without-decoder", "latent_decoder", REFINEMENT | ANS | UNDERLAY, "latent"),
    ):
        model = good.underlaid((1, 2, 1))
        parts = {k: v for k, v in model.parts.items() if k != missing}
        data = _dots(Model("dots", model.shape, parts), flags=flags)
        about = f"the pixel model has an underlay, {missing or 'UNDERLAY'} is not told"
        yield f"model-underlay-{name}", Refusal(data, "11.8", about, match)
    yield from _of_underlaid_payloads()
    yield from _of_trunks()


def _of_trunks() -> Named:
    def file(model: Model, flags: int = LATENTS | ZSTD | LOW_TRUNK) -> bytes:
        coded = good.by_latents(good.models.latent_model(GRAY, "it", 2), good.symbols(3, 2), 300)
        chunk = good.chunk_of([coded])
        return good.file_of(GRAY, [chunk], flags, model, embed=True, version_minor=2)

    whole = good.models.latent_model(GRAY, "two-trunks", 2, low_below=700)
    part = whole.parts["latent_decoder"]
    alone = Model("two-trunks", GRAY, {part.name: part})
    data = file(alone, LATENTS | ZSTD)
    about = "the decoder has a low trunk, LOW_TRUNK is not set"
    yield "model-low-trunk-not-announced", Refusal(data, "10.7", about, "required_flags")
    for name, value in (("never", 256), ("beyond", 2305)):
        off = _changed(alone, part.name, "low_below", lambda t, value=value: t * 0 + value)
        about = f"a low trunk that ends below quality {value}"
        yield f"poisoned-low-trunk-{name}", Refusal(file(off), "9.4", about, "low_below")
    off = _changed(alone, part.name, "low_coarse0b.bias", lambda bias: bias * 0 + (1 << 24))
    about = "a sum in the low trunk leaves the exact range"
    yield "poisoned-low-trunk-sum", Refusal(file(off), "9.3", about, "low_coarse0b")
    lame = {k: v for k, v in part.tensors.items() if not k.startswith("low_up")}
    lame_model = Model("two-trunks", GRAY, {part.name: Part(part.name, part.config, lame)})
    about = "a low trunk without its layer up"
    yield "poisoned-low-trunk-lame", Refusal(file(lame_model), "9.4", about, "missing")


_UNDERLAID = LATENTS | REFINEMENT | ANS | UNDERLAY


def _of_underlaid_payloads() -> Named:
    """Streams that hold latents and pixels, but not just these."""
    model = good.underlaid(GRAY)
    coded = good.by_pixels(model, good.smooth(6, GRAY), 3)
    for name, payload, about in (
        ("cut", coded.sub.data[:-4], "the last word of latents and pixels is missing"),
        ("long", coded.sub.data + bytes(4), "a word is left after latents and pixels"),
    ):
        sub = Sub(payload, coded.sub.mode, coded.sub.parameter)
        chunk = good.chunk_of([good.Coded(sub, coded.pixels)])
        data = good.file_of(GRAY, [chunk], _UNDERLAID, model, embed=True, version_minor=2)
        yield f"underlay-payload-{name}", Refusal(data, "12.4", about, "ANS")


def _surrogate(model: Model) -> bytes:
    """The model as bytes, a value of its config a lone surrogate, its sha256 to match."""
    packed = pack_model(_configured(model, "latent_decoder", hidden="?!"))
    start = 8 + struct.unpack_from("<Q", packed)[0]
    header = json.loads(packed[8:start])
    text = header["__metadata__"]["aecodec"].replace("?!", "\\ud800")
    digest = hashlib.sha256(text.encode())
    for name, entry in sorted((k, v) for k, v in header.items() if k != "__metadata__"):
        part, tensor = name.split(".", 1)
        array = model.parts[part].tensors[tensor]
        digest.update(f"\0{name}\0{array.dtype.name}\0{tuple(entry['shape'])}\0".encode())
        digest.update(array.tobytes())
    header["__metadata__"] = {"aecodec": text, "sha256": digest.hexdigest()}
    packed_header = json.dumps(header).encode()
    return struct.pack("<Q", len(packed_header)) + packed_header + packed[start:]


Poison = dict[str, tuple[str, str, str, Model]]


def _changed(
    model: Model, part: str, tensor: str, change: Callable[[np.ndarray], np.ndarray]
) -> Model:
    own = model.parts[part]
    tensors = {**own.tensors, tensor: change(own.tensors[tensor])}
    return replace(model, parts={**model.parts, part: replace(own, tensors=tensors)})


def _filled(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda tensor: np.full_like(tensor, value)


def _without(model: Model, part: str, tensor: str) -> Model:
    own = model.parts[part]
    tensors = {name: each for name, each in own.tensors.items() if name != tensor}
    return replace(model, parts={**model.parts, part: replace(own, tensors=tensors)})


def _configured(model: Model, part: str, **changes: Any) -> Model:  # noqa: ANN401
    own = model.parts[part]
    return replace(
        model, parts={**model.parts, part: replace(own, config={**own.config, **changes})}
    )


def _poisoned(decoder: Model) -> Poison:
    """Models that would not decode exactly, or not at all; their checksums are right."""
    part = "latent_decoder"

    def with_tensor(tensor: str, change: Callable[[np.ndarray], np.ndarray]) -> Model:
        return _changed(decoder, part, tensor, change)

    residual = decoder
    for layer in ("dense2", "coarse0b"):
        residual = _changed(residual, part, f"{layer}.bias", _filled(9 << 20))
        residual = _changed(residual, part, f"{layer}.shift", _filled(0))
    return {
        "sum": (
            "9.3",
            "a bias of 2^24 in layer up, whose sums float32 cannot hold",
            "layer up",
            with_tensor("up.bias", _filled(1 << 24)),
        ),
        "residual": (
            "9.3",
            "dense2 and coarse0b stay in the exact range, their sum r does not",
            "layer coarse0b",
            residual,
        ),
        "shift": (
            "9.2",
            "a shift of 32",
            "shift|is over 31",
            with_tensor("out.shift", _filled(32)),
        ),
        "dtype": (
            "9.2",
            "weights of int16 that should be int8",
            r"up\.weight",
            with_tensor("up.weight", lambda tensor: tensor.astype(np.int16)),
        ),
        "shape": (
            "9.2",
            "a tensor of another shape",
            r"dense2\.bias",
            with_tensor("dense2.bias", lambda tensor: tensor[:-1]),
        ),
        "tensor-missing": (
            "9.2",
            "a tensor is missing",
            "missing",
            _without(decoder, part, "gain"),
        ),
        "tensor-unknown": (
            "9.2",
            "a tensor too many",
            "unknown",
            replace(
                decoder,
                parts={
                    part: replace(
                        decoder.parts[part],
                        tensors={**decoder.parts[part].tensors, "more": np.zeros(1, np.int8)},
                    )
                },
            ),
        ),
        "config-unknown": (
            "10.6",
            "an unknown key in the config",
            "config",
            _configured(decoder, part, more=1),
        ),
        "config-text": (
            "10.6",
            "latents is a text",
            "latents",
            _configured(decoder, part, latents="4"),
        ),
        "config-huge": (
            "10.6",
            "hidden is 2^40",
            "hidden",
            _configured(decoder, part, hidden=1 << 40),
        ),
        "config-image": (
            "10.6",
            "the part is for images of another height than the model's",
            "shape|images",
            _configured(decoder, part, height=7),
        ),
        "model-shape": (
            "10.5",
            "a model for images of another shape",
            "images|shape",
            replace(decoder, shape=(8, 9, 1)),
        ),
    }


def _poisoned_priors() -> Poison:
    part, model = "latent_prior", LATENT_MODEL

    def with_tensor(tensor: str, value: int) -> Model:
        return _changed(model, part, tensor, _filled(value))

    return {
        "prior-order": (
            "14.1",
            "order names a latent four times",
            "order",
            with_tensor("order", 2),
        ),
        "prior-unit": ("14.4", "unit is 16", "unit", with_tensor("unit", 16)),
        "prior-sum": (
            "14.5",
            "a sum of mix1 leaves the exact range",
            "layer mix1",
            with_tensor("mix1.bias", 1 << 24),
        ),
        "prior-mixtures": ("10.6", "no mixtures", "mixtures", _configured(model, part, mixtures=0)),
        "prior-latents": (
            "14.1",
            "latents differ from the decoder's",
            "latent_prior",
            _configured(model, part, latents=5),
        ),
    }


def _pixel_model(*, toned: bool = False) -> Model:
    """For images of two pixels."""
    point = (1, 2, 1)
    part = good.models.pixels(point, "pixel_fast", 1, 0.3, toned=toned)
    return Model("dots", point, {"pixel_fast": part})


def _dots(model: Model, mode: int = 3, parameter: int = 0, flags: int | None = None) -> bytes:
    """One image of two pixels under an embedded model; the payload is never come to."""
    sub = Sub(struct.pack("<7Q", *[1 << 32] * 7), mode, parameter)
    chunk = Chunk(1, [sub], bytes(2))
    if flags is None:
        tensors = model.parts["pixel_fast"].tensors
        flags = REFINEMENT | ANS | (TONES if "tones" in tensors else 0)
        flags |= LATENTS | UNDERLAY if "underlay" in tensors else 0
    return good.file_of(model.shape, [chunk], flags, model, embed=True)


def _poisoned_pixels() -> Poison:
    model = _pixel_model()
    point, whole = model.shape, model.parts["pixel_fast"]
    flat = {name: tensor for name, tensor in whole.tensors.items() if not name.startswith("out")}
    flat |= {
        "out_codes": np.zeros((16, 0, 9), np.int16),
        "out.weight": np.zeros((16, 0, 1), np.int8),
        "out.bias": np.zeros((16, 0), np.int32),
        "out.shift": np.zeros((16, 0), np.uint8),
    }
    weights = np.abs(whole.tensors["see.weight"].astype(np.int64)).sum(axis=(1, 2, 3))
    heads = [weights[k * (k - 1) // 2 : k * (k + 1) // 2].sum() for k in range(1, 16)]

    def nearly(bias: np.ndarray) -> np.ndarray:
        """As large as the sums of see alone allow."""
        largest = (1 << 24) - 2 - 255 * np.array(heads)
        return largest.reshape(bias.shape).astype(bias.dtype)

    toned = _pixel_model(toned=True)

    def short(tensor: np.ndarray) -> np.ndarray:
        return tensor[:-1]

    empty = Part("pixel_fast", {**whole.config, "mixtures": 0}, flat)
    return {
        "pixel-mixtures": (
            "10.6",
            "a pixel model of no mixtures, its tensors to match",
            "mixtures",
            Model("dots", point, {"pixel_fast": empty}),
        ),
        "tones-short": (
            "11.7",
            "a table of 255 tones",
            "tones",
            _changed(toned, "pixel_fast", "tones", short),
        ),
        "tones-signed": (
            "11.7",
            "tones are int8",
            "tones",
            _changed(toned, "pixel_fast", "tones", lambda tones: tones.astype(np.int8)),
        ),
        "tones-kernels": (
            "11.7",
            "tones, but see.weight has kernels for samples alone",
            "see.weight",
            _changed(toned, "pixel_fast", "see.weight", lambda kernels: kernels[:120]),
        ),
        "underlay-coarse": (
            "11.8",
            "an underlay of quality 255/256",
            "underlay",
            good.underlaid(point, 255),
        ),
        "underlay-fine": (
            "11.8",
            "an underlay of quality 2305/256",
            "underlay",
            good.underlaid(point, 2305),
        ),
        "underlay-kernels": (
            "11.8",
            "an underlay, but see.weight has kernels for samples alone",
            "see.weight",
            _changed(good.underlaid(point), "pixel_fast", "see.weight", lambda k: k[:120]),
        ),
        "underlay-sum": (
            "11.5",
            "a sum of see in head 0, which an underlay gives one, leaves the exact range",
            "layer see 0",
            _changed(good.underlaid(point), "pixel_fast", "see.bias", _filled(1 << 24)),
        ),
        "pixel-sum": (
            "11.5",
            "a sum of out in head 0 leaves the exact range",
            "layer out 0",
            _changed(model, "pixel_fast", "out.bias", _filled(1 << 24)),
        ),
        "pixel-places": (
            "11.5",
            "see stays in the exact range, with places and codes added it does not",
            "layer see",
            _changed(
                _changed(model, "pixel_fast", "see.bias", nearly),
                "pixel_fast",
                "see.shift",
                _filled(0),
            ),
        ),
    }
