"""Clause 12.4: ANS payloads."""

from __future__ import annotations

import struct
from dataclasses import replace

from making import assemble
from making.assemble import ANS, LATENTS, REFINEMENT, UNDERLAY, Chunk, File, Sub, header
from making.coding import (
    LATENTS_ANS,
    PIXELS,
    Coded,
    by_latents,
    by_pixels,
    chunk_of,
    file_of,
    smooth,
    symbols,
)
from making.refused.common import PRINT, Named, NamedVectors, bad
from making.tiny_models import GRAY, LATENT_MODEL, underlaid

NEEDS = ("latents-8x8",)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    coded = by_latents(LATENT_MODEL, symbols(30, seed=77), 1280, LATENTS_ANS)
    yield from _sizes(coded)
    yield from _states(coded)
    yield _too_many_images()
    yield _other_quality()
    yield from _underlaid()


def _vector(name: str, coded: Coded, payload: bytes, about: str, match: str) -> Named:
    chunk = Chunk(30, [replace(coded.sub, data=payload)], coded.pixels.tobytes())
    data = file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL)
    return bad(f"ans-{name}", data, "12.4", f"ANS: {about}", match, NEEDS)


def _sizes(coded: Coded) -> NamedVectors:
    whole = coded.sub.data
    yield _vector("empty", coded, b"", "an empty payload", "ANS payload")
    yield _vector("short", coded, whole[:52], "52 bytes", "ANS payload")
    yield _vector("odd", coded, whole + b"\0", "not a whole word at the end", "ANS payload")
    yield _vector("ends-early", coded, whole[:-4], "the last word is missing", "ends before|state")
    yield _vector("goes-on", coded, whole + bytes(4), "a word too many", "end|left")


def _states(coded: Coded) -> NamedVectors:
    (first,) = struct.unpack_from("<Q", coded.sub.data)
    rest = coded.sub.data[8:]
    payload = struct.pack("<Q", 2**32 - 1) + rest
    yield _vector("state-low", coded, payload, "a state below 2^32", "state")
    payload = struct.pack("<Q", first ^ 1) + rest
    yield _vector("state-wrong", coded, payload, "a bit of a state", "ANS|state")


def _too_many_images() -> Named:
    head = header(height=1, width=1, required_flags=REFINEMENT | ANS, chunk_images=449)
    sub = Sub(struct.pack("<7Q", *[1 << 32] * 7), PIXELS, 0)
    part = assemble.part_payload([(b"pixel_fast", PRINT)])
    data = File(head, [Chunk(449, [sub], b"")], part=part).pack()
    return bad("ans-crowded", data, "12.4", "ANS: 449 images in 56 bytes", "ANS payload")


def _other_quality() -> Named:
    chunk = chunk_of([by_latents(LATENT_MODEL, symbols(30, seed=77), 1281, LATENTS_ANS)])
    chunk = replace(chunk, subs=[replace(chunk.subs[0], parameter=1280)])
    data = file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL)
    about = "ANS: symbols of another quality"
    return bad("ans-quality", data, "12.4", about, "ANS|state|sha256", NEEDS)


def _underlaid() -> NamedVectors:
    """Streams of latents and pixels that miss a word, or have one too many."""
    model = underlaid(GRAY)
    coded = by_pixels(model, smooth(6, GRAY), 3)
    flags = LATENTS | REFINEMENT | ANS | UNDERLAY
    for name, payload, about in (
        ("cut", coded.sub.data[:-4], "the last word of latents and pixels is missing"),
        ("long", coded.sub.data + bytes(4), "a word is left after latents and pixels"),
    ):
        chunk = chunk_of([coded._replace(sub=replace(coded.sub, data=payload))])
        data = file_of(GRAY, [chunk], flags, model, embed=True, version_minor=2)
        yield bad(f"underlay-payload-{name}", data, "12.4", about, "ANS")
