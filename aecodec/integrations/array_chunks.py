"""What the array stores' codecs share: one chunk of an array is one ``.aez``.

The configuration survives JSON and names the parts that decoding may need by their fingerprints,
so that a store tells which model it wants. Loaded models are kept for the whole process.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.archive.compress import encode
from aecodec.codec.choosing import NO_MODEL, SetEncoder
from aecodec.codec.codec import Codec
from aecodec.container.modes import CODERS, DEFAULT_CODER
from aecodec.container.parts import part_of_variant
from aecodec.errors import AezCorruptError, ModelMismatchError, ModelMissingError
from aecodec.models.finding import find_parts, installed_models, load_model
from aecodec.models.model import Model
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target, one_target

if TYPE_CHECKING:
    from typing_extensions import Buffer

Fingerprints = tuple[tuple[str, str], ...]  # (part, hex), sorted
CODEC_ID = "aecodec"
CONFIG_KEYS = (QUALITY, MAX_ERROR, PSNR, "lossless", "model", "parts", "coder", "variant")

_loaded: dict[Fingerprints, Model] = {}
_guard, _building = threading.Lock(), threading.Lock()


@dataclass(frozen=True)
class ChunkSettings:
    """How the chunks of one array are coded; equal settings share one loaded codec."""

    model: str
    target: Target
    coder: str
    variant: str | None
    parts: Fingerprints

    @classmethod
    def create(
        cls,
        model: Model | str | os.PathLike[str],
        target: Target,
        coder: str = DEFAULT_CODER,
        variant: str | None = None,
        parts: Mapping[str, str] | None = None,
    ) -> ChunkSettings:
        """``parts`` is of stored metadata: the model is then looked for when a chunk is coded."""
        if coder not in CODERS:
            raise ValueError(f"coder: expected one of {', '.join(CODERS)}, got {coder!r}")
        part_of_variant(variant)  # ValueError for one that is unknown
        if parts is not None:
            name = model.name if isinstance(model, Model) else os.fspath(model)
            return cls(name, target, coder, variant, _checked_parts(parts))
        if isinstance(model, str | os.PathLike):
            if os.fspath(model) == NO_MODEL:
                return cls(NO_MODEL, target, coder, variant, ())
            model = load_model(model)
        named = _parts_in_use(model, target, coder, variant)
        with _guard:
            _loaded.setdefault(named, model)
        return cls(model.name, target, coder, variant, named)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ChunkSettings:
        """From what ``to_config`` gave, or from what a user wrote; ValueError names the field."""
        unknown = sorted(set(config) - set(CONFIG_KEYS))
        if unknown:
            raise ValueError(
                f"aecodec configuration: unknown field {unknown[0]!r}, expected "
                f"some of {', '.join(CONFIG_KEYS)}"
            )
        model, parts = config.get("model"), config.get("parts")
        if not isinstance(model, str | os.PathLike | Model):
            raise TypeError(f"aecodec configuration: model: expected a name, got {model!r}")
        if parts is not None and not isinstance(parts, Mapping):
            raise TypeError(f"aecodec configuration: parts: expected an object, got {parts!r}")
        numbers: dict[str, Any] = {}
        for key in (QUALITY, MAX_ERROR, PSNR):
            value = config.get(key)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float | np.number)
            ):
                raise TypeError(f"aecodec configuration: {key}: expected a number, got {value!r}")
            numbers[key] = value
        target = one_target(**numbers, lossless=bool(config.get("lossless")))
        return cls.create(
            model, target, config.get("coder", DEFAULT_CODER), config.get("variant"), parts
        )

    def to_config(self) -> dict[str, Any]:
        """Plain values for JSON: the target by its name, the model, its parts' fingerprints."""
        value = self.target.value
        config: dict[str, Any] = {
            self.target.kind: int(value) if self.target.kind == MAX_ERROR else value,
            "model": self.model,
            "parts": dict(self.parts),
        }
        if self.coder != DEFAULT_CODER:
            config["coder"] = self.coder
        if self.variant is not None:
            config["variant"] = self.variant
        return config

    def require_chunks(
        self, shape: Sequence[int], chunk_shape: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
        """ValueError unless chunks are whole uint8 images, (n, H, W) or (n, H, W, C), that fit."""
        if dtype != np.uint8:
            raise ValueError(f"aecodec: dtype: expected uint8, got {dtype}")
        if len(shape) not in (3, 4):
            raise ValueError(f"aecodec: shape: expected (N, H, W) or (N, H, W, C), got {shape}")
        if tuple(chunk_shape[1:]) != tuple(shape[1:]):
            raise ValueError(
                f"aecodec: chunks: expected whole images, (n, {', '.join(map(str, shape[1:]))}), "
                f"got {tuple(chunk_shape)}"
            )
        height, width, channels = shape[1], shape[2], shape[3] if len(shape) == 4 else 1
        if not 1 <= channels <= 4:
            raise ValueError(f"aecodec: shape: expected 1 to 4 channels, got {channels}")
        try:
            model = _find_model(self.parts, self.model) if self.parts else None
        except ModelMissingError:
            return  # a store can be opened and looked at; reading images raises this
        if model is not None:
            try:
                model.require_shape((height, width, channels))
            except ModelMismatchError as error:
                raise ValueError(f"aecodec: shape: {error}") from error

    def encode(self, images: npt.NDArray[np.uint8]) -> bytes:
        """One chunk, uint8 (n, H, W) or (n, H, W, C), as an ``.aez``."""
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise ValueError(
                f"aecodec: expected uint8 (n, H, W) or (n, H, W, C), got {images.dtype} "
                f"{images.shape}"
            )
        asked = {self.target.kind: self.target.value}
        codec, lock = _shared_codec(self)
        with lock:
            return encode(
                np.ascontiguousarray(images),
                codec=codec,
                chunk_images=max(1, len(images)),
                **asked,  # type: ignore[arg-type]
            )

    def decode(self, blob: bytes, shape: Sequence[int] | None = None) -> npt.NDArray[np.uint8]:
        """The images of one chunk; AezCorruptError when it is not of ``shape``."""
        codec, lock = _shared_codec(self)
        with lock, Archive(blob, codec=codec) as archive:
            if shape is not None and archive.shape != tuple(shape):
                raise AezCorruptError(
                    f"chunk holds images {archive.shape}, the array's chunks are {tuple(shape)}"
                )
            return archive[:]


def _checked_parts(parts: Mapping[str, str]) -> Fingerprints:
    for name, fingerprint in parts.items():
        if re.fullmatch("[0-9a-f]{64}", str(fingerprint)) is None:
            raise ValueError(
                f"aecodec configuration: parts: {name}: expected 64 hexadecimal digits, "
                f"got {fingerprint!r}"
            )
    return tuple(sorted(parts.items()))


def _parts_in_use(model: Model, target: Target, coder: str, variant: str | None) -> Fingerprints:
    """The parts that a chunk under this target may use; a part besides them may change."""
    codec = Codec(model, pixel_part=part_of_variant(variant), coder=coder)
    by_pixels = target.kind == MAX_ERROR
    if by_pixels:
        codec.networks.require_refiner()
    used = codec.networks.parts_of(SetEncoder(codec, target, by_pixels).modes())
    for name in used:
        if name not in model.parts:
            raise ModelMissingError(f"model {model.name!r} has no part {name}")
    found = model.fingerprints()
    return tuple((name, found[name].hex()) for name in used)


def _find_model(parts: Fingerprints, name: str) -> Model:
    """The loaded or installed model that has these parts; ModelMissingError names the first."""
    with _guard:
        if parts in _loaded:
            return _loaded[parts]
    wanted = {part: bytes.fromhex(fingerprint) for part, fingerprint in parts}
    installed = list(installed_models())
    found = next(
        (m for m in installed if wanted.items() <= m.fingerprints().items()), None
    )  # whole: it can encode too
    if found is None:
        try:
            found = find_parts(wanted, installed, name)
        except ModelMissingError as error:
            raise ModelMissingError(str(error).replace("the file", "the array", 1)) from error
    with _guard:
        return _loaded.setdefault(parts, found)


@functools.lru_cache(maxsize=16)
def _codec_of(settings: ChunkSettings) -> tuple[Codec, threading.Lock]:
    model = _find_model(settings.parts, settings.model) if settings.parts else None
    pixel_part = part_of_variant(settings.variant)
    return Codec(model, pixel_part=pixel_part, coder=settings.coder), threading.Lock()


def _shared_codec(settings: ChunkSettings) -> tuple[Codec, threading.Lock]:
    """The process's codec for these settings, and what keeps it to one thread at a time.

    Stores call from many threads. Networks are built on first use and set torch's global switches
    while they run; torch itself spreads one chunk over the cores.
    """
    with _building:
        return _codec_of(settings)


def as_blob(data: Buffer) -> bytes:
    """The bytes of a buffer."""
    return data if isinstance(data, bytes) else memoryview(data).tobytes()
