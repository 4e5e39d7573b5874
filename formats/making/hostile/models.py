"""Models of many parts or tensors, of large JSON, and such that are another than they say."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import replace
from typing import Any

from aecodec.models.file import pack_model
from making import assemble, tiny_models
from making.assemble import LATENTS, ZSTD, File
from making.hostile.kind import Kind, stored_images

SHAPE = [2, 2, 1]


def packed_model(parts: object, tensors: dict[str, bytes], **changes: object) -> bytes:
    """A model file with this config and these uint8 tensors; its checksum is right."""
    config = {"format": "aecodec-model-1", "name": "x", "shape": SHAPE, "parts": parts}
    text = json.dumps(config | {"encoder": {}, "training": {}} | changes)
    digest = hashlib.sha256(text.encode())
    header: dict[str, Any] = {}
    at = 0
    for name, data in sorted(tensors.items()):
        digest.update(f"\0{name}\0uint8\0({len(data)},)\0".encode() + data)
        header[name] = {
            "dtype": "U8",
            "shape": [len(data)],
            "data_offsets": [at, at + len(data)],
        }
        at += len(data)
    header["__metadata__"] = {"aecodec": text, "sha256": digest.hexdigest()}
    packed = json.dumps(header, separators=(",", ":")).encode()
    packed += b" " * (-len(packed) % 8)
    body = b"".join(data for _, data in sorted(tensors.items()))
    return struct.pack("<Q", len(packed)) + packed + body


def embedding(model: bytes, flags: int = 0) -> bytes:
    """A file of stored images that embeds these bytes as its model, and names one part."""
    head = assemble.header(
        height=2, width=2, chunk_images=4, required_flags=flags or LATENTS | ZSTD
    )
    part = assemble.part_payload([(b"latent_decoder", b"\1" * 32)], b"x")
    section = assemble.section("MODL", zlib.compress(model, 9))
    return File(head, [stored_images(4)], [section], part=part).pack()


def many_parts(size: int) -> bytes:
    """A model of so many parts, a tensor each."""
    names = [f"p{i}" for i in range(size)]
    return packed_model({name: {} for name in names}, {f"{name}.w": b"\0" for name in names})


def many_tensors(size: int) -> bytes:
    """A model of one part with so many tensors."""
    return packed_model({"p": {}}, {f"p.{i}": b"\0" for i in range(size)})


def parts_without_tensors(size: int) -> bytes:
    """A model of so many parts without tensors, and one tensor of none."""
    return packed_model({f"p{i}": {} for i in range(size)}, {"q.w": b"\0"})


def shared_start(size: int) -> bytes:
    """A model of so many parts whose names begin alike, each the start of the next."""
    names = ["p" + ".p" * i for i in range(size)]
    return packed_model({name: {} for name in names}, {f"{name}.w": b"\0" for name in names})


def wide_config(size: int) -> bytes:
    """A model whose config is so many empty lists."""
    return packed_model({"p": {"a": [[]] * size}}, {"p.w": b"\0"})


def deep_config(size: int) -> bytes:
    """A model whose config is lists in lists."""
    text = '{"format":"aecodec-model-1","name":"x","shape":[2,2,1],"parts":{"p":{"a":'
    text += "[" * size + "]" * size + '}},"encoder":{},"training":{}}'
    return _raw({"__metadata__": {"aecodec": text, "sha256": "0" * 64}})


def deep_header(size: int) -> bytes:
    """A model file whose header is lists in lists."""
    packed = b'{"a":' + b"[" * size + b"]" * size + b"}"
    return struct.pack("<Q", len(packed)) + packed


def wide_header(size: int) -> bytes:
    """A model file whose header has so many empty objects."""
    return _raw({f"{i:x}": {} for i in range(size)})


def long_shape(size: int) -> bytes:
    """A model with a tensor of so many dimensions of one."""
    entry = {"dtype": "U8", "shape": [1] * size, "data_offsets": [0, 1]}
    return _raw({"p.w": entry, "__metadata__": {"aecodec": "{}", "sha256": ""}}) + b"\0"


def _raw(header: dict[str, Any]) -> bytes:
    packed = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(packed)) + packed


def zeros_model(size: int) -> bytes:
    """A model of one tensor of so many zeros."""
    return packed_model({"p": {}}, {"p.w": bytes(size)})


def with_part_key(size: int) -> bytes:
    """A sound model of tiny parts, whose config has ``part``: another name in the fingerprint."""
    del size
    model = tiny_models.latent_model((2, 2, 1), "x", 2)
    own = model.parts["latent_decoder"]
    own = replace(own, config={**own.config, "part": "latent_prior"})
    return pack_model(replace(model, parts={**model.parts, own.name: own}))


ODD: dict[str, object] = {
    "a list of parts": [["p", {}]],
    "parts of lists": {"p": []},
    "parts of texts": {"p": "x"},
    "surrogates": {"\ud800": {"a": "\udfff"}},
    "NaN": {"p": {"a": float("nan")}},
    "huge": {"p": {"a": 10**400}},
    "an empty name": {"": {}},
}

_BOTH = (
    ("many parts", "so many", many_parts, 20_000),
    ("many tensors", "so many", many_tensors, 20_000),
    ("parts without tensors", "so many", parts_without_tensors, 100_000),
    ("names that begin alike", "so many", shared_start, 600),
    ("a wide config", "of so many lists", wide_config, 2_000_000),
    ("a deep config", "so many deep", deep_config, 200_000),
    ("a deep header", "so many deep", deep_header, 200_000),
    ("a wide header", "of so many objects", wide_header, 400_000),
    ("a long shape", "of so many sides", long_shape, 400_000),
    ("zeros", "of so many bytes", zeros_model, 64 << 20),
)

KINDS = [
    *(
        Kind(
            f"embedded: {name}",
            about,
            lambda size, make=make: embedding(make(size)),
            size,
            grows=make is not shared_start,  # whose names are as long as there are many
        )
        for name, about, make, size in _BOTH
    ),
    *(
        Kind(
            f"model: {name}",
            about,
            make,
            size,
            grows=make is not shared_start,
            suffix=".safetensors",
        )
        for name, about, make, size in _BOTH
    ),
    *(
        Kind(
            f"embedded: {name}",
            "parts of this JSON",
            lambda size, parts=parts: embedding(packed_model(parts, {"p.w": b"\0"})),
        )
        for name, parts in ODD.items()
    ),
    *(
        Kind(
            f"model: {name}",
            "parts of this JSON",
            lambda size, parts=parts: packed_model(parts, {"p.w": b"\0"}),
            suffix=".safetensors",
        )
        for name, parts in ODD.items()
    ),
    Kind("embedded: a part's name", "twice", lambda size: embedding(with_part_key(size))),
    Kind("model: a part's name", "twice", with_part_key, suffix=".safetensors"),
    Kind(
        "embedded: no zlib",
        "so many zeros",
        lambda size: embedding(b"") if not size else _unpacked(size),
        1 << 20,
    ),
]


def _unpacked(size: int) -> bytes:
    head = assemble.header(height=2, width=2, chunk_images=4)
    return File(head, [stored_images(4)], [assemble.section("MODL", bytes(size))]).pack()
