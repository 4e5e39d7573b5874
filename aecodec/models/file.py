"""Models <-> the bytes of a safetensors file."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from aecodec.errors import AezLimitError, ModelCorruptError
from aecodec.limits import DEFAULT_LIMITS
from aecodec.models.model import Model, Part, canonical_json

FORMAT = "aecodec-model-1"
ENCODER = "encoder"  # the prefix of the names of the encoder's tensors

Tensors = dict[str, np.ndarray]


def pack_model(model: Model) -> bytes:
    """The model as safetensors bytes, with a checksum over config and tensors."""
    tensors: Tensors = {f"{ENCODER}.{name}": t for name, t in model.encoder.items()}
    for part in model.parts.values():
        tensors |= {f"{part.name}.{name}": t for name, t in part.tensors.items()}
    tensors = {name: np.ascontiguousarray(t) for name, t in sorted(tensors.items())}
    config = canonical_json(
        {
            "format": FORMAT,
            "name": model.name,
            "shape": list(model.the_shape()),
            "parts": {name: dict(part.config) for name, part in model.parts.items()},
            "encoder": dict(model.encoder_config),
            "training": dict(model.training),
        }
    )
    metadata = {"aecodec": config.decode(), "sha256": _checksum(config, tensors)}
    return _with_sorted_header(safetensors.numpy.save(tensors, metadata))


def _with_sorted_header(data: bytes) -> bytes:
    """The same file, the keys of its header sorted.

    safetensors writes the metadata's keys in any order. The bytes of a model, and of a file that
    embeds it, must not depend on that.
    """
    (header_nbytes,) = struct.unpack_from("<Q", data)
    header = canonical_json(json.loads(data[8 : 8 + header_nbytes]))
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return struct.pack("<Q", len(header)) + header + data[8 + header_nbytes :]


def unpack_model(
    data: bytes, where: str = "model", *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes
) -> Model:
    """The model in safetensors bytes; ``where`` names them in errors.

    ModelCorruptError if they are no model or their checksum is wrong, AezLimitError if they are
    more than ``max_model_nbytes``. Whether the model decodes exactly is not checked here but where
    its networks are built.
    """
    if len(data) > max_model_nbytes:
        raise AezLimitError(
            f"{where}: {len(data)} bytes, max_model_nbytes allows {max_model_nbytes}"
        )
    metadata = _read_metadata(data, where)
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(f"{where}: damaged model file: {error}") from error
    text = metadata["aecodec"].encode()
    computed = _checksum(text, tensors)
    if metadata.get("sha256") != computed:
        raise ModelCorruptError(
            f"{where}: model checksum is {metadata.get('sha256')}, got {computed}"
        )
    config = _parse_config(text, where)
    height, width, channels = config["shape"]
    return Model(
        config["name"],
        (height, width, channels),
        {
            name: Part(name, part_config, _tensors_of(name, tensors))
            for name, part_config in config["parts"].items()
        },
        _tensors_of(ENCODER, tensors),
        config["encoder"],
        config["training"],
    )


def _tensors_of(owner: str, tensors: Mapping[str, np.ndarray]) -> Tensors:
    """The tensors called ``OWNER.NAME``, by NAME."""
    prefix = owner + "."
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _checksum(config: bytes, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(config)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype.name}\0{tensor.shape}\0".encode())
        digest.update(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _read_metadata(data: bytes, where: str) -> dict[str, str]:
    """The string map in the header of safetensors bytes (a prefix of the file is enough)."""
    try:
        (header_nbytes,) = struct.unpack_from("<Q", data)
        if header_nbytes > len(data) - 8:
            raise ValueError(f"header of {header_nbytes} bytes in a file of {len(data)}")
        metadata = json.loads(data[8 : 8 + header_nbytes])["__metadata__"]
        if not isinstance(metadata["aecodec"], str):
            raise TypeError("the aecodec entry is not text")
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelCorruptError(f"{where}: not an aecodec model: {error}") from error
    return dict(metadata)


def _parse_config(text: bytes, where: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
        json.dumps(config, ensure_ascii=False).encode()  # fails for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise ModelCorruptError(f"{where}: config is not JSON in UTF-8: {error}") from error
    if not isinstance(config, dict):
        raise ModelCorruptError(f"{where}: config is {type(config).__name__}, expected an object")
    kinds = {"name": str, "shape": list, "parts": dict, "encoder": dict, "training": dict}
    if config.get("format") != FORMAT:
        raise ModelCorruptError(f"{where}: format is {config.get('format')!r}, expected {FORMAT!r}")
    for key, kind in kinds.items():
        if not isinstance(config.get(key), kind):
            raise ModelCorruptError(f"{where}: {key} is {config.get(key)!r}, expected {kind}")
    shape = config["shape"]
    if len(shape) != 3 or not all(type(n) is int and 1 <= n <= 65535 for n in shape):
        raise ModelCorruptError(f"{where}: shape is {shape!r}, expected [height, width, channels]")
    for name, part in config["parts"].items():
        if not isinstance(part, dict):
            raise ModelCorruptError(f"{where}: part {name} is {part!r}, expected an object")
    return config
