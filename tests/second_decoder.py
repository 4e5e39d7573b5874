"""The second decoder, formats/tiny_reader.py, and its networks as functions of arrays.

It belongs to no package, so it is loaded from its file. The functions below take the config and the
tensors of a part and give what the networks of ``aecodec.nets`` must give, to the last bit.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

PATH = Path(__file__).resolve().parent.parent / "formats" / "tiny_reader.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny_reader", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tiny_reader = _load()


def decode_latents(
    config: Mapping[str, int],
    tensors: Mapping[str, np.ndarray],
    symbols: np.ndarray,
    gains: np.ndarray,
    trunk: str = "",
) -> np.ndarray:
    """Symbols (N, D) and gains (D,), integers, to images uint8 (N, H, W, C), by clause 9.

    The part is a ``latent_decoder``; ``trunk`` is "low_" for its low trunk.
    """
    part = tiny_reader.Part("latent_decoder", dict(config), dict(tensors))
    return tiny_reader.rebuild_with(part, symbols.astype(np.int64), gains.astype(np.int64), trunk)


def predict_plane(
    tensors: Mapping[str, np.ndarray],
    k: int,
    planes: np.ndarray,
    bound: int,
    underlay: np.ndarray | None = None,
) -> np.ndarray:
    """Planes (N, P, R, S), the first k known, to raw parameters (N, R, S, 3K), by clause 11.

    The part is a pixel model; ``underlay`` (N, P, R, S) is for one that has an underlay.
    """
    part = tiny_reader.Part("pixel_fast", {}, dict(tensors))
    under = None if underlay is None else underlay.astype(np.int64)
    return tiny_reader.predict_plane(part, k, planes[:, :k].astype(np.int64), bound, under)


def dequantize(tensors: Mapping[str, np.ndarray], planes: np.ndarray, bound: int) -> np.ndarray:
    """Planes (N, P, R, S) as decoded under a bound to the moved ones, by clause 13."""
    part = tiny_reader.Part("dequantizer", {}, dict(tensors))
    return tiny_reader.dequantize(part, planes.astype(np.int64), bound)


def predict_latents(
    config: Mapping[str, int],
    tensors: Mapping[str, np.ndarray],
    g: int,
    symbols: np.ndarray,
    gains: np.ndarray,
    stored_quality: int,
) -> np.ndarray:
    """Symbols (N, D) and gains (D,) to raw parameters of group g, (N, n, 3K), by clause 14.

    The part is a ``latent_prior``. Latents are in the order of the decoder.
    """
    part = tiny_reader.Part("latent_prior", dict(config), dict(tensors))
    order = tensors["order"].astype(np.int64)
    known = symbols[:, order[: g * config["group"]]].astype(np.int64)
    return tiny_reader.predict_group(part, g, known, gains[order].astype(np.int64), stored_quality)
