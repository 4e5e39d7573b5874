"""Clauses 4 and 10: sections that a reader may ignore, the parts, and an embedded model."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from making.assemble import ANS, LATENTS, ZSTD, section
from making.coding import LATENTS_ANS, by_bytes, by_latents, chunk_of, file_of, smooth, symbols
from making.tiny_models import GRAY, LATENT_MODEL
from making.vector import Vector

SMALL = (2, 3, 1)


def vectors() -> Iterator[tuple[str, Vector]]:
    """Each name with its vector."""
    images = smooth(5, SMALL)
    chunks = [chunk_of([by_bytes(images[at : at + 2])]) for at in (0, 2, 4)]
    before, after = [section("Xtra", b"before"), section("0000", b"")], [section("Xtra", b"\0")]
    data = file_of(SMALL, chunks, sections=before, after=after)
    yield "unknown-sections", Vector(data, "4.2", "optional sections of unknown kinds, one empty")
    data = file_of(GRAY, [], LATENTS | ZSTD, LATENT_MODEL.decoding(["latent_decoder"]))
    yield "empty-with-parts", Vector(data, "4.5", "no images, but PART")
    meta = {"has_channel_axis": False, "source": "folder"}
    names = json.dumps([f"{name}.png" for name in "abcd\u00e9"]).encode()
    told = [section("META", json.dumps(meta).encode()), section("NAME", zlib.compress(names, 9))]
    data = file_of(SMALL, [chunk_of([by_bytes(images)])], sections=told)
    yield "metadata", Vector(data, "10.4", "META and NAME: no channel axis, and file names")
    chunk = chunk_of([by_latents(LATENT_MODEL, symbols(12, seed=9), 1280, LATENTS_ANS)])
    data = file_of(GRAY, [chunk], LATENTS | ANS, LATENT_MODEL, embed=True)
    yield "embedded-model", Vector(data, "10.4", "the model embedded: decoder and prior")
