"""Clause 3: the header."""

from __future__ import annotations

from making.assemble import header
from making.refused.common import NamedVectors, bad, plain, unsupported, with_header


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _of_the_future()
    yield from _magic()
    yield from _fields()


def _of_the_future() -> NamedVectors:
    later = bytearray(with_header(version_major=2))
    later[12:48] = bytes(range(36))  # the next version may give these bytes any meaning
    yield unsupported("version-major-2", bytes(later), "3.2", "a later major version", "version")
    for bit in (4, 31):
        data = with_header(required_flags=1 << bit)
        about = f"required_flags has bit {bit}"
        yield unsupported(f"required-flag-{bit}", data, "3.3", about, "required_flags")
    for offset in (26, 36):
        data = with_header(**{f"reserved_{offset}": 1})
        about = f"the reserved field at byte {offset} is 1"
        yield unsupported(f"header-reserved-{offset}", data, "1.4", about, "reserved")


def _magic() -> NamedVectors:
    whole = plain()
    seven_bits = bytes(byte & 127 for byte in whole)
    line_feeds, returns = whole.replace(b"\r\n", b"\n", 1), whole.replace(b"\n", b"\r\n")
    yield bad("nothing", b"", "3.1", "not a byte", "magic")
    yield bad("magic", b"\x89PNG" + whole[4:], "3.1", "the magic of PNG", "magic")
    yield bad("magic-seven-bits", seven_bits, "3.1", "high bits stripped", "magic")
    yield bad("magic-lf", line_feeds, "3.1", "CR LF changed to LF", "magic")
    yield bad("magic-crlf", returns, "3.1", "LF changed to CR LF", "magic")
    utf_8 = whole.decode("latin-1").encode()
    yield bad("magic-utf-8", utf_8, "3.1", "re-encoded as UTF-8", "magic")


def _fields() -> NamedVectors:
    yield bad("header-cut", plain()[:47], "3", "47 bytes", "bytes")
    data = with_header(header_crc32=0)
    yield bad("header-crc32", data, "3", "header_crc32 is 0", "header_crc32")
    for field in ("version_major", "height", "width", "channels", "chunk_images"):
        data = plain(head=header(**{field: 0}), chunks=[])
        match = "version" if field == "version_major" else field
        yield bad(f"{field.replace('_', '-')}-0", data, "3", f"{field} is 0", match)
    data = plain(head=header(channels=5), chunks=[])
    yield bad("channels-5", data, "3", "channels is 5", "channels")
    for kind, value in ((0, 1), (1, 65536), (2, 256), (3, 65536)):
        data = with_header(target_kind=kind, target_value=value)
        about = f"target_value {value} of kind {kind}"
        yield bad(f"target-kind-{kind}-value", data, "3.5", about, "target_value")
