"""What the array stores' codecs share: one chunk of an array is one ``.aez``.

The configuration survives JSON and names the parts that decoding may need by their fingerprints,
so that a store tells which model it wants. The models used last are kept, and their networks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.archive.compress import encode
from aecodec.codec.choosing import NO_MODEL, SetEncoder
from aecodec.codec.codec import Codec
from aecodec.container.modes import CODERS, DEFAULT_CODER
from aecodec.container.parts import part_of_variant
from aecodec.errors import AezCorruptError, AezError, ModelMismatchError, ModelMissingError
from aecodec.integrations.buffers import FORTRAN, ORDER_KEY, as_array, is_fortran, with_order
from aecodec.integrations.chunk_limits import limits_of, shape_within
from aecodec.integrations.loaded import (
    CODECS_MAX,
    GIVEN,
    Fingerprints,
    Recent,
    installed_model,
    whole_fingerprint,
)
from aecodec.io.locks import ForkLock
from aecodec.models.finding import load_model
from aecodec.models.model import Model
from aecodec.targets import MAX_ERROR, PSNR, QUALITY, Target, one_target

CODEC_ID = "aecodec"
CONFIG_KEYS = (QUALITY, MAX_ERROR, PSNR, "lossless", "model", "parts", "coder", "variant")

CODECS: Recent[tuple[Codec, ForkLock]] = Recent(CODECS_MAX)  # by settings and the whole model


@dataclass(frozen=True)
class ChunkSettings:
    """How the chunks of one array are coded.

    Settings are equal where stored metadata is. Those of equal settings share one loaded codec
    whose models are the same too, encoder and all.
    """

    model: str
    target: Target
    coder: str
    variant: str | None
    parts: Fingerprints
    given: Model | None = field(default=None, compare=False, repr=False)
    fingerprint: str = field(default="", compare=False, repr=False)  # of all of ``given``
    loaded_from: str | None = field(default=None, compare=False, repr=False)
    stored: bool = field(default=False, compare=False, repr=False)  # in metadata of anyone

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
            checked = _checked_parts(parts)
            known = model if isinstance(model, Model) else GIVEN.get((checked, name))
            whole = whole_fingerprint(known) if known else ""
            return cls(name, target, coder, variant, checked, known, whole)
        origin = None
        if isinstance(model, str | os.PathLike):
            origin = os.fspath(model)
            if origin == NO_MODEL:
                return cls(NO_MODEL, target, coder, variant, ())
            model = load_model(model)
        named = _parts_in_use(model, target, coder, variant)
        GIVEN.put((named, model.name), model)
        whole = whole_fingerprint(model)
        return cls(model.name, target, coder, variant, named, model, whole, origin)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ChunkSettings:
        """From what the caller wrote; ValueError or TypeError names the field.

        ``model`` may be a path, which is read: what is stored goes through
        :func:`aecodec.integrations.stored_config.settings_of`.
        """
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
        target = one_target(**_numbers(config), lossless=bool(config.get("lossless")))
        coder, variant = config.get("coder", DEFAULT_CODER), config.get("variant")
        settings = cls.create(model, target, coder, variant, parts)
        if parts is None:  # of a user: stored ones have all fields
            settings._refuse_idle(config)
        return settings

    def as_stored(self) -> ChunkSettings:
        """The same settings, as found in metadata of anyone."""
        return replace(self, stored=True)

    def _refuse_idle(self, config: Mapping[str, Any]) -> None:
        """ValueError for a field that a user gave and that has no effect."""
        without_model = self.model == NO_MODEL
        for key in (QUALITY, "coder", "variant") if without_model else ():
            if config.get(key) is not None:
                raise ValueError(f"aecodec configuration: {key}: has no effect without a model")
        if self.target.kind == MAX_ERROR and config.get("coder") is not None:
            raise ValueError(
                "aecodec configuration: coder: has no effect under max_error or lossless: it is "
                "about latents"
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
        """ValueError unless chunks are whole uint8 images, (n, H, W) or (n, H, W, C), that fit.

        For stored settings it is AezCorruptError.
        """
        try:
            self._check_chunks(shape, chunk_shape, dtype)
        except ValueError as error:
            if not self.stored:
                raise
            raise AezCorruptError(f"array metadata: {error}") from error

    def _check_chunks(
        self, shape: Sequence[int], chunk_shape: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
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
            model = self._find_model()
        except ModelMissingError:
            return  # a store can be opened and looked at; reading images raises this
        if model is not None:
            try:
                model.require_shape((height, width, channels))
            except ModelMismatchError as error:
                raise ValueError(f"aecodec: shape: {error}") from error

    def encode(self, images: npt.NDArray[np.uint8], *, keep_order: bool = False) -> bytes:
        """One chunk, uint8 (n, H, W) or (n, H, W, C) of any strides, as an ``.aez``.

        With ``keep_order`` the file says so where images come in Fortran order.
        """
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise ValueError(
                f"aecodec: expected uint8 (n, H, W) or (n, H, W, C), got {images.dtype} "
                f"{images.shape}"
            )
        codec, lock = self._shared_codec()
        asked: dict[str, Any] = {self.target.kind: self.target.value}
        if codec.model is None and self.target.kind == QUALITY:
            asked = {}  # without a model, images are stored as they are
        with lock:
            blob = encode(
                np.ascontiguousarray(images),
                codec=codec,
                chunk_images=max(1, len(images)),
                **asked,
            )
        return with_order(blob, FORTRAN) if keep_order and is_fortran(images) else blob

    def decode(
        self,
        blob: bytes,
        shape: Sequence[int] | None = None,
        *,
        nbytes: int | None = None,
        keep_order: bool = False,
    ) -> npt.NDArray[np.uint8]:
        """The images of one chunk; AezCorruptError when it is not of ``shape``.

        They are C-contiguous, but with ``keep_order`` in Fortran order if they came so. Without
        ``shape`` they are of any, ValueError if they have not ``nbytes`` in all, AezLimitError if
        they have more than ``BUFFER_NBYTES_MAX``. No memory is taken for what is refused.
        """
        codec, lock = self._shared_codec()
        if shape is None:
            shape = shape_within(blob, nbytes)
        limits = limits_of(len(blob), shape)
        with lock, Archive(blob, codec=codec, limits=limits) as archive:
            if archive.shape != tuple(shape):
                raise AezCorruptError(
                    f"chunk holds images {archive.shape}, the array's chunks are {tuple(shape)}"
                )
            images = np.ascontiguousarray(archive[:])
            in_fortran_order = archive.metadata.get(ORDER_KEY) == FORTRAN
        return np.asfortranarray(images) if keep_order and in_fortran_order else images

    def _shared_codec(self) -> tuple[Codec, ForkLock]:
        """The process's codec for these settings, and what keeps it to one thread at a time.

        Stores call from many threads; torch itself spreads one chunk over the cores.
        """
        return CODECS.get_or_make((self, self.fingerprint), self._make_codec)

    def _make_codec(self) -> tuple[Codec, ForkLock]:
        model = self._find_model()
        pixel_part = part_of_variant(self.variant)
        return Codec(model, pixel_part=pixel_part, coder=self.coder), ForkLock()

    def _find_model(self) -> Model | None:
        """The model that was given, or an installed one of the same parts; None without parts."""
        if not self.parts or self.given is not None:
            return self.given
        if self.loaded_from is not None:
            with suppress(AezError, OSError):
                model = load_model(self.loaded_from)
                if whole_fingerprint(model) == self.fingerprint:
                    return model
        return installed_model(self.parts, self.model)

    def __getstate__(self) -> dict[str, Any]:
        """The model goes along only where its name cannot bring it back."""
        return self.__dict__ if self.loaded_from is None else {**self.__dict__, "given": None}


def _numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The targets that are numbers; TypeError names one that is none."""
    numbers = {key: config.get(key) for key in (QUALITY, MAX_ERROR, PSNR)}
    for key, value in numbers.items():
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if value is not None and not is_number:
            raise TypeError(f"aecodec configuration: {key}: expected a number, got {value!r}")
        if isinstance(value, int) and value.bit_length() > 64:  # no float may hold it
            raise ValueError(f"aecodec configuration: {key}: is out of range")
    return numbers


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


def as_blob(data: object) -> bytes:
    """The bytes of a buffer, which is contiguous; ValueError if it is not."""
    if isinstance(data, bytes):
        return data
    array = as_array(data)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        raise ValueError("aecodec: expected the bytes of an .aez, found a buffer with gaps")
    return array.tobytes(order="A")
