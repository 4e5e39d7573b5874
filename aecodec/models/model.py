"""Models and their parts, and the fingerprints that identify them (aez.md 10).

A model is one safetensors file. Tensors named ``PART.NAME`` belong to a decoding part and are
integers. Tensors named ``encoder.NAME`` are float32 and never affect what a file means. Everything
else (shapes, provenance, the guard's floors) is JSON in the file's metadata. A model for other
uses (aecodec/uses) has no part: its tensors are the encoder's, and its settings name the ``use``.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aecodec.arrays import Shape
from aecodec.container.parts import ANNOUNCED
from aecodec.errors import ModelMismatchError


@dataclass(frozen=True, eq=False)
class Part:
    """One decoding part: its config, and its integer tensors by name.

    Parts are equal if their fingerprints are.
    """

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Part):
            return NotImplemented
        return self is other or self.fingerprint() == other.fingerprint()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        short = self.fingerprint().hex()[:16]
        return f"<Part {self.name}, {shape_text(self.shape)}, {self.nbytes} bytes, {short}>"

    def fingerprint(self) -> bytes:
        """SHA-256 of all that decoding uses: name, config and tensors (aez.md 10.2)."""
        digest = hashlib.sha256(b"aez-part-1\0")

        def feed(data: bytes | memoryview) -> None:
            digest.update(struct.pack("<Q", len(data)))
            digest.update(data)

        feed(canonical_json({"part": self.name, **self.config}))
        for name in sorted(self.tensors):
            for data in _tensor_fields(name, self.tensors[name]):
                feed(data)
        return digest.digest()

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(t.nbytes for t in self.tensors.values())

    @property
    def shape(self) -> Shape | None:
        """(H, W, C) of the images that this part is for; None if it takes any size.

        The config of an embedded model is untrusted: compare the shape before using it.
        """
        sides = tuple(self.config.get(side) for side in ("height", "width", "channels"))
        return None if None in sides else sides  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: its decoding parts, and the tensors and settings of its encoder.

    ``encoder`` is empty in a model that was embedded in a file: it decodes but cannot encode.
    ``training`` is the provenance. Models are equal if all that their files hold is: equal models
    write the same bytes.
    """

    name: str
    shape: Shape | None  # (H, W, C); None if its parts take images of any size
    parts: Mapping[str, Part]
    encoder: Mapping[str, np.ndarray] = field(default_factory=dict)
    encoder_config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        return self is other or self._contents() == other._contents()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        parts = ", ".join(sorted(self.parts)) or "no parts"
        encoder = ", encoder" if self.encoder else ""
        return f"<Model {self.name!r}, {shape_text(self.shape)}: {parts}{encoder}>"

    def required_flags(self, parts: Iterable[str]) -> int:
        """The flags that announce those tensors of these parts that version 1.1 does not know."""
        flags = 0
        for name in parts:
            for tensor, flag in ANNOUNCED.get(name, {}).items():
                if name in self.parts and tensor in self.parts[name].tensors:
                    flags |= flag
        return flags

    def fingerprints(self) -> dict[str, bytes]:
        """Each part's fingerprint, by the part's name in sorted order."""
        return {name: part.fingerprint() for name, part in sorted(self.parts.items())}

    def fingerprint(self) -> bytes:
        """SHA-256 of ``aez-model-1\\0`` and the sorted (part, fingerprint) list."""
        digest = hashlib.sha256(b"aez-model-1\0")
        for name, fingerprint in self.fingerprints().items():
            digest.update(struct.pack("<Q", len(name)) + name.encode() + fingerprint)
        return digest.digest()

    def _contents(self) -> tuple[object, ...]:
        """All that the model is made of, in values that compare."""
        encoder = [_tensor_fields(name, self.encoder[name]) for name in sorted(self.encoder)]
        about = (self.encoder_config, self.training)
        texts = [json.dumps(dict(each), sort_keys=True, default=repr) for each in about]
        shape = None if self.shape is None else tuple(self.shape)
        return self.name, shape, self.fingerprints(), encoder, texts

    def fits(self, shape: Shape) -> bool:
        """Whether the model is for images of this shape (H, W, C)."""
        if self.shape is not None:
            return shape == self.shape
        return all(part.shape in (None, shape) for part in self.parts.values())

    def require_shape(self, shape: Shape) -> None:
        """ModelMismatchError unless the model is for images of this shape (H, W, C)."""
        if not self.fits(shape):
            raise ModelMismatchError(
                f"model {self.name!r} is for {shape_text(self.shape)} images, "
                f"these are {shape_text(shape)}"
            )

    def the_shape(self) -> Shape:
        """The shape (H, W, C) that the model is for; ModelMismatchError if it takes any size."""
        if self.shape is None:
            raise ModelMismatchError(f"model {self.name!r} is for images of any size")
        return self.shape

    def decoding(self, parts: Iterable[str]) -> Model:
        """A model of the named parts alone: it decodes, and cannot encode with layer L."""
        return Model(self.name, self.shape, {name: self.parts[name] for name in parts})


def _tensor_fields(name: str, tensor: np.ndarray) -> tuple[bytes | memoryview, ...]:
    """Name, dtype, shape and values of a tensor, as a fingerprint covers them (aez.md 10.2)."""
    return (
        name.encode(),
        tensor.dtype.name.encode(),
        struct.pack(f"<{tensor.ndim}Q", *tensor.shape),
        little_endian(tensor),
    )


def little_endian(tensor: np.ndarray) -> memoryview:
    """The values of a tensor, without a copy where they lie in memory as they should."""
    values = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    return values.reshape(-1).view(np.uint8).data


def shape_text(shape: Shape | None) -> str:
    """(28, 28, 1) -> '28x28x1', height first; None -> 'any size'."""
    return "any size" if shape is None else "x".join(map(str, shape))


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8 with sorted keys and without spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
