"""Model files: load, save, fingerprint, find. Clause 10 of formats/aez.md.

A model is one safetensors file. Tensors named ``PART.NAME`` belong to a decoding part and are
integers; ``encoder.NAME`` are float32 and never affect what a file means. Everything else (shapes,
provenance, the guard's floors) is JSON in the file's metadata. A model for other uses (aecodec/uses)
has no part: its tensors are floats called ``encoder.NAME``, and its settings' ``use`` says for what.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from aecodec.container import FLAG_LOW_TRUNK, FLAG_TONES, FLAG_UNDERLAY
from aecodec.errors import (
    AezLimitError,
    ModelCorruptError,
    ModelMismatchError,
    ModelMissingError,
)
from aecodec.limits import DEFAULT_LIMITS

FORMAT = "aecodec-model-1"
LATENT_DECODER = "latent_decoder"
PIXEL_FAST, PIXEL_SMALL = "pixel_fast", "pixel_small"
PIXEL_MODELS = (PIXEL_FAST, PIXEL_SMALL)
DEQUANTIZER = "dequantizer"
LATENT_PRIOR = "latent_prior"
TONES = "tones"  # the tensor of a pixel model that has a table of them
UNDERLAY = "underlay"  # ... and of one that stands on latents: their quality
LOW_BELOW = "low_below"  # the tensor of a decoder with a low trunk: where that ends
UNDERLAY_PARTS = (LATENT_DECODER, LATENT_PRIOR)  # which such a one needs
_OF_PIXELS = {TONES: FLAG_TONES, UNDERLAY: FLAG_UNDERLAY}
# of parts, the tensors that a file has to announce, and how
ANNOUNCED = {
    PIXEL_FAST: _OF_PIXELS,
    PIXEL_SMALL: _OF_PIXELS,
    LATENT_DECODER: {LOW_BELOW: FLAG_LOW_TRUNK},
}
ENCODER = "encoder"
PATH_VARIABLE = "AECODEC_MODEL_PATH"
BUNDLED = Path(__file__).parent / "weights"

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Part:
    """One decoding part: what the config says of it, and its integer tensors."""

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    def fingerprint(self) -> bytes:
        """SHA-256 over all that decoding reads (clause 10.2)."""
        digest = hashlib.sha256(b"aez-part-1\0")

        def feed(data: bytes) -> None:
            digest.update(struct.pack("<Q", len(data)))
            digest.update(data)

        feed(canonical_json({"part": self.name, **self.config}))
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            feed(name.encode())
            feed(tensor.dtype.name.encode())
            feed(struct.pack(f"<{tensor.ndim}Q", *tensor.shape))
            feed(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes())
        return digest.digest()

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.tensors.values())


@dataclass(frozen=True)
class Model:
    """A loaded model: decoding parts, and the encoder's tensors and settings when they are there.

    ``encoder`` is empty in a model that was embedded in a file: it decodes but cannot encode.
    """

    name: str
    shape: tuple[int, int, int]  # (H, W, C)
    parts: Mapping[str, Part]
    encoder: Mapping[str, np.ndarray] = field(default_factory=dict)
    encoder_config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def required_flags(self, parts: Iterable[str]) -> int:
        """The flags with which a file announces what version 1.1 does not know of these parts."""
        flags = 0
        for name in parts:
            for tensor, flag in ANNOUNCED.get(name, {}).items():
                if name in self.parts and tensor in self.parts[name].tensors:
                    flags |= flag
        return flags

    def fingerprints(self) -> dict[str, bytes]:
        return {name: part.fingerprint() for name, part in sorted(self.parts.items())}

    def fingerprint(self) -> bytes:
        """SHA-256 of ``aez-model-1\\0`` and the sorted (part, fingerprint) list."""
        digest = hashlib.sha256(b"aez-model-1\0")
        for name, fingerprint in self.fingerprints().items():
            digest.update(struct.pack("<Q", len(name)) + name.encode() + fingerprint)
        return digest.digest()

    def require_shape(self, shape: tuple[int, int, int]) -> None:
        if shape != self.shape:
            raise ModelMismatchError(
                f"model {self.name!r} is for {shape_text(self.shape)} images, "
                f"these are {shape_text(shape)}"
            )

    def decoding(self, parts: Iterable[str]) -> Model:
        """The named parts alone: it decodes, and does not encode with layer L."""
        return Model(self.name, self.shape, {name: self.parts[name] for name in parts})


def shape_text(shape: tuple[int, int, int]) -> str:
    """(28, 28, 1) -> '28x28x1', height first."""
    return "x".join(map(str, shape))


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# ---------------------------------------------------------------- bytes


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
            "shape": list(model.shape),
            "parts": {name: dict(part.config) for name, part in model.parts.items()},
            "encoder": dict(model.encoder_config),
            "training": dict(model.training),
        }
    )
    metadata = {"aecodec": config.decode(), "sha256": _checksum(config, tensors)}
    return _with_sorted_header(safetensors.numpy.save(tensors, metadata))


def _with_sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors leaves that of the metadata to
    chance, and a file that embeds a model must not depend on chance."""
    (header_nbytes,) = struct.unpack_from("<Q", data)
    header = canonical_json(json.loads(data[8 : 8 + header_nbytes]))
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return struct.pack("<Q", len(header)) + header + data[8 + header_nbytes :]


def unpack_model(
    data: bytes, where: str = "model", *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes
) -> Model:
    """Read a model from safetensors bytes.

    Raises ModelCorruptError when it is no model or its checksum is off, AezLimitError when it is
    larger than ``max_model_nbytes``. Whether it decodes exactly is proven where it is put to work.
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
    parts = {}
    for name, part_config in config["parts"].items():
        prefix = name + "."
        own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        parts[name] = Part(name, part_config, own)
    encoder = {
        k.removeprefix(ENCODER + "."): t for k, t in tensors.items() if k.startswith(ENCODER + ".")
    }
    height, width, channels = config["shape"]
    return Model(
        config["name"],
        (height, width, channels),
        parts,
        encoder,
        config["encoder"],
        config["training"],
    )


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
        json.dumps(config, ensure_ascii=False).encode()  # which a lone surrogate has no form for
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


# ---------------------------------------------------------------- files


def load_model(
    name_or_path: str | os.PathLike[str], *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes
) -> Model:
    """A model by its file, or by the name of a bundled or installed one.

    Raises ModelMissingError when there is none, ModelCorruptError when the file is damaged.
    """
    path = Path(name_or_path)
    if not path.is_file():
        text = os.fspath(name_or_path)
        found = {p.stem: p for p in reversed(list(model_paths()))}
        if text not in found:
            known = ", ".join(sorted(found)) or "none"
            raise ModelMissingError(
                f"no model {text!r}: not a file, and not one of the models here ({known})"
            )
        path = found[text]
    return unpack_model(_read_bounded(path, max_model_nbytes), str(path))


def _read_bounded(path: Path, max_model_nbytes: int) -> bytes:
    nbytes = path.stat().st_size
    if nbytes > max_model_nbytes:
        raise AezLimitError(f"{path}: {nbytes} bytes, max_model_nbytes allows {max_model_nbytes}")
    return path.read_bytes()


def model_paths() -> Iterator[Path]:
    """Model files on this machine: the folders of $AECODEC_MODEL_PATH first, then the bundled."""
    folders = [Path(p) for p in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if p]
    for folder in [*folders, BUNDLED]:
        yield from sorted(folder.glob("*.safetensors"))


def installed_models() -> Iterator[Model]:
    """Every readable model on this machine; damaged ones are left to whoever names them."""
    for path in model_paths():
        with contextlib.suppress(ModelCorruptError, AezLimitError, OSError):
            model = load_model(path)
            if model.parts:  # one for other uses (aecodec/uses) has none: it is of no file's
                yield model


def find_parts(wanted: Mapping[str, bytes], models: Iterable[Model], model_name: str) -> Model:
    """The model, or a composite of several, that holds exactly the parts a file names.

    ``wanted`` maps part names to fingerprints. Raises ModelMissingError with what to do.
    """
    found: dict[str, Part] = {}
    shape = (0, 0, 0)
    for model in models:
        for name, part in model.parts.items():
            if name in wanted and name not in found and part.fingerprint() == wanted[name]:
                found[name], shape = part, model.shape
        if len(found) == len(wanted):
            return Model(model_name, shape, found)
    name = next(iter(sorted(set(wanted) - set(found))))
    raise ModelMissingError(
        f"the file needs part {name} {wanted[name].hex()[:16]} of model {model_name!r}, which is "
        f"not here: name its file with --model, or put it in a folder of ${PATH_VARIABLE}"
    )
