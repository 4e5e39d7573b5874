"""Targets that open arrays of strangers: Zarr 3 and 2, and configurations of numcodecs.

An input is the version, 2 or 3, the JSON of the metadata, a zero byte, and the bytes of a chunk.
"""

from __future__ import annotations

import json
import math
import random
import traceback
from collections.abc import Callable, Sequence

import numpy as np

import aecodec
from aecodec.errors import AezError
from fuzzing.changes import changed
from fuzzing.common import VECTORS, Finding
from fuzzing.json_changes import changed_json

PACKAGE = str(VECTORS.parent.parent / "aecodec")
MOST_IMAGE = 1 << 16  # samples of one image: Zarr itself makes what the metadata say


def store(data: bytes) -> None:
    """Open an array and read its first image; Finding for another error of this package's."""
    version, (text, _, chunk) = data[:1], data[1:].partition(b"\0")
    try:
        _codec_alone(text)
        read = _read_2 if version == b"2" else _read_3
        read(text, chunk)
    except Finding:
        raise
    except Exception as error:
        if _is_ours(error) and not _is_said(error):
            raise Finding(f"{type(error).__name__}: {error}") from error
        raise AezError(str(error)) from error


def _is_said(error: BaseException) -> bool:
    """Whether the error says what is wrong: ours, or a TypeError that names the field."""
    named = isinstance(error, TypeError) and str(error).startswith("aecodec configuration: ")
    return named or isinstance(error, AezError | ValueError)


def _is_ours(error: BaseException) -> bool:
    """Whether the error came out of this package, or of what it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.startswith(PACKAGE) for frame in frames)


def _read_3(text: bytes, chunk: bytes) -> None:
    import zarr
    from zarr.core.buffer import cpu
    from zarr.storage import MemoryStore

    files = {"zarr.json": cpu.Buffer.from_bytes(text), "c/0/0/0": cpu.Buffer.from_bytes(chunk)}
    _read_first(zarr.open_array(MemoryStore(files), mode="r", zarr_format=3))


def _read_2(text: bytes, chunk: bytes) -> None:
    import zarr
    from zarr.core.buffer import cpu
    from zarr.storage import MemoryStore

    files = {".zarray": cpu.Buffer.from_bytes(text), "0.0.0": cpu.Buffer.from_bytes(chunk)}
    _read_first(zarr.open_array(MemoryStore(files), mode="r", zarr_format=2))


def _read_first(array: object) -> None:
    shape = array.shape  # type: ignore[attr-defined]
    if math.prod(shape[1:]) <= MOST_IMAGE:
        np.asarray(array[:1])  # type: ignore[index]


def _codec_alone(text: bytes) -> None:
    """The configuration as numcodecs gets it: ValueError, AezError, or TypeError for a field."""
    from aecodec.integrations.numcodecs import AezCodec

    try:
        found = json.loads(text)
        config = found.get("compressor") or found["codecs"][0]["configuration"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return
    if isinstance(config, dict):
        repr(AezCodec.from_config(config).get_config())


def seeds() -> list[bytes]:
    """Arrays without a model, with one of the package, and of a model that is not there."""
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    blob = aecodec.encode(images, model="none")
    prints = {"pixel_fast": "0" * 64}
    configs = [
        {"max_error": 0, "model": "none", "parts": {}},
        {"quality": 5.0, "model": "nobody's", "parts": prints, "coder": "ans"},
        {"psnr": 40.0, "model": "none"},
        {"lossless": True, "model": "/etc/passwd"},
        {"quality": 5, "model": "../../../../../../../../etc/passwd", "variant": "small"},
    ]
    out = []
    for config in configs:
        three = {
            "zarr_format": 3, "node_type": "array", "shape": [4, 2, 3], "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 2, 3]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "aecodec", "configuration": config}], "fill_value": 0,
            "attributes": {},
        }  # fmt: skip
        two = {
            "zarr_format": 2, "shape": [4, 2, 3], "chunks": [4, 2, 3], "dtype": "|u1",
            "compressor": {"id": "aecodec", **config}, "fill_value": 0, "order": "C",
            "filters": None, "dimension_separator": ".",
        }  # fmt: skip
        out += [b"3" + json.dumps(three).encode() + b"\0" + blob]
        out += [b"2" + json.dumps(two).encode() + b"\0" + blob]
    return out


def mutate(data: bytes, seed: int, others: Sequence[bytes]) -> bytes:
    """The configuration changed in three of four inputs, else other metadata or the chunk."""
    from fuzzing import mutating

    rng = random.Random(seed)
    version, (text, _, chunk) = data[:1], data[1:].partition(b"\0")
    drawn = rng.random()
    if drawn < 0.7:
        text = _with_changed_config(text, rng)
    elif drawn < 0.85:
        text = changed_json(text, rng)
    elif drawn < 0.95:
        chunk = mutating.mutate(chunk, rng.randrange(1 << 32), others)
    else:
        return changed(data, rng, others)[: mutating.MAX_NBYTES]
    return (version + text.replace(b"\0", b"") + b"\0" + chunk)[: mutating.MAX_NBYTES]


def _with_changed_config(text: bytes, rng: random.Random) -> bytes:
    try:
        found = json.loads(text)
        holder, key = (
            (found, "compressor")
            if "compressor" in found
            else (found["codecs"][0], "configuration")
        )
        holder[key] = json.loads(changed_json(json.dumps(holder[key]).encode(), rng))
        return json.dumps(found).encode()
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return changed_json(text, rng)


TARGETS: dict[str, Callable[[bytes], None]] = {"store": store}
