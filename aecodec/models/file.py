"""Models <-> the bytes of a safetensors file."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from aecodec.errors import AezCorruptError, AezLimitError, ModelCorruptError
from aecodec.io.untrusted_json import parse_json
from aecodec.limits import DEFAULT_LIMITS
from aecodec.models.model import Model, Part, canonical_json, little_endian

FORMAT = "aecodec-model-1"
HEADER_LIMIT = ("a model's header", 16 << 20)  # what it may take in memory, once parsed
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
    data: bytes,
    where: str = "model",
    *,
    max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes,
    expected_parts: Collection[str] | None = None,
) -> Model:
    """The model in safetensors bytes; ``where`` names them in errors.

    ModelCorruptError if they are no model, if their checksum is wrong, or if the model has other
    parts than those expected; AezLimitError if they are more than ``max_model_nbytes``, or their
    header is too long. Whether the model decodes exactly is not checked here but where its networks
    are built.
    """
    if len(data) > max_model_nbytes:
        raise AezLimitError(
            f"{where}: {len(data)} bytes, max_model_nbytes allows {max_model_nbytes}"
        )
    metadata = _read_metadata(data, where)
    text = metadata["aecodec"].encode("utf-8", "surrogatepass")
    config = _parse_config(text, where)
    if expected_parts is not None and set(config["parts"]) != set(expected_parts):
        raise ModelCorruptError(
            f"{where} is not the one that the file names: it has {len(config['parts'])} parts, "
            f"expected {', '.join(expected_parts)}"
        )
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(f"{where}: damaged model file: {error}") from error
    computed = _checksum(text, tensors)
    if metadata.get("sha256") != computed:
        raise ModelCorruptError(
            f"{where}: model checksum is {metadata.get('sha256')}, got {computed}"
        )
    height, width, channels = config["shape"]
    owned = _by_owner(tensors)
    return Model(
        config["name"],
        (height, width, channels),
        {
            name: Part(name, part_config, owned.get(name, {}))
            for name, part_config in config["parts"].items()
        },
        owned.get(ENCODER, {}),
        config["encoder"],
        config["training"],
    )


def _by_owner(tensors: Mapping[str, np.ndarray]) -> dict[str, Tensors]:
    """The tensors called ``OWNER.NAME``, by OWNER and then NAME."""
    owned: dict[str, Tensors] = defaultdict(dict)
    for key, tensor in tensors.items():
        owner, dot, name = key.partition(".")
        if dot:
            owned[owner][name] = tensor
    return owned


def _checksum(config: bytes, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(config)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype.name}\0{tensor.shape}\0".encode())
        digest.update(little_endian(tensor))
    return digest.hexdigest()


def _read_metadata(data: bytes, where: str) -> dict[str, str]:
    """The string map in the header of safetensors bytes (a prefix of the file is enough)."""
    try:
        (header_nbytes,) = struct.unpack_from("<Q", data)
        if header_nbytes > len(data) - 8:
            raise ValueError(f"header of {header_nbytes} bytes in a file of {len(data)}")
        metadata = parse_json(data[8 : 8 + header_nbytes], where, HEADER_LIMIT)["__metadata__"]
        if not isinstance(metadata["aecodec"], str):
            raise TypeError("the aecodec entry is not text")
    except (struct.error, AezCorruptError, ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(f"{where}: not an aecodec model: {error}") from error
    return dict(metadata)


def _parse_config(text: bytes, where: str) -> dict[str, Any]:
    try:
        config = parse_json(text, where, HEADER_LIMIT)
        json.dumps(config, ensure_ascii=False).encode()  # fails for a lone surrogate
    except (AezCorruptError, ValueError) as error:
        raise ModelCorruptError(f"{where}: config is not JSON in UTF-8: {error}") from error
    if not isinstance(config, dict):
        raise ModelCorruptError(f"{where}: config is {type(config).__name__}, expected an object")
    kinds = {"name": str, "shape": list, "parts": dict, "encoder": dict, "training": dict}
    if config.get("format") != FORMAT:
        raise ModelCorruptError(
            f"{where}: format is {config.get('format')!r:.40}, expected {FORMAT!r}"
        )
    for key, kind in kinds.items():
        if not isinstance(config.get(key), kind):
            raise ModelCorruptError(f"{where}: {key} is {config.get(key)!r:.40}, expected {kind}")
    shape = config["shape"]
    if len(shape) != 3 or not all(type(n) is int and 1 <= n <= 65535 for n in shape):
        raise ModelCorruptError(
            f"{where}: shape is {shape!r:.40}, expected [height, width, channels]"
        )
    for name, part in config["parts"].items():
        if not isinstance(part, dict):
            raise ModelCorruptError(f"{where}: part {name} is {part!r:.40}, expected an object")
        if "part" in part:  # it would take the place of the name in the fingerprint
            raise ModelCorruptError(f"{where}: part {name}: its config has the reserved key 'part'")
    return config
