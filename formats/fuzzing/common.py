"""What the targets share: limits, a model with all parts, and what a finding is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aecodec
from aecodec.codec.codec import Codec
from aecodec.limits import Limits
from aecodec.models.model import Model

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
# Small, so that what takes many times its limit shows; as the default ones are to one another.
LIMITS = Limits(1 << 20, 2 << 20, 1 << 20, 4 << 20)


class Finding(AssertionError):
    """An input was read or refused, and what came of it is wrong."""


def _all_parts() -> Model:
    """One model with the parts of all models in vectors/models."""
    models = [aecodec.load_model(path) for path in sorted((VECTORS / "models").iterdir())]
    parts = {name: part for model in models for name, part in model.parts.items()}
    return replace(models[0], parts=parts)


MODEL = _all_parts()
CODEC = Codec(MODEL)
