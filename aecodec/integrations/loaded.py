"""Models and codecs that the array stores keep in this process, up to a number of them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from aecodec.errors import ModelMissingError
from aecodec.io.locks import ForkLock
from aecodec.models.finding import find_parts, installed_models
from aecodec.models.model import Model, canonical_json

Fingerprints = tuple[tuple[str, str], ...]  # (part, hex), sorted
MODELS_MAX, CODECS_MAX = 16, 8

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values by key, those that were asked for last; threads share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = ForkLock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """The value, if it is here."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value in place of any other one of this key."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def get_or_make(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value, made by the first thread that asks."""
        with self._lock:
            value = self.get(key)
            if value is None:
                value = make()
                self.put(key, value)
            return value

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()


GIVEN: Recent[Model] = Recent(MODELS_MAX)  # by parts in use and name: what stored metadata says


def whole_fingerprint(model: Model) -> str:
    """SHA-256 of all of a model in hexadecimal digits: its parts, its encoder and its settings."""
    digest = hashlib.sha256(model.fingerprint())
    settings = {
        "name": model.name,
        "encoder": dict(model.encoder_config),
        "training": dict(model.training),
    }
    digest.update(canonical_json(settings))
    for name, tensor in sorted(model.encoder.items()):
        digest.update(f"\0{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def installed_model(parts: Fingerprints, name: str) -> Model:
    """The installed model that has these parts; ModelMissingError names one that is missing.

    A whole model comes first, which can encode too, and one of this name before others.
    """
    wanted = {part: bytes.fromhex(fingerprint) for part, fingerprint in parts}
    installed = list(installed_models())
    whole = [model for model in installed if wanted.items() <= model.fingerprints().items()]
    for model in sorted(whole, key=lambda model: model.name != name):
        return model
    try:
        return find_parts(wanted, installed, name)
    except ModelMissingError as error:
        raise ModelMissingError(str(error).replace("the file", "the array", 1)) from error
