"""aecodec packs sets of small, alike images into one ``.aez`` file; see README.md.

Names are imported when first used: ``import aecodec`` alone loads neither torch nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aecodec._version import __version__
from aecodec.errors import (
    AezCorruptError,
    AezError,
    AezLimitError,
    AezUnsupportedError,
    ModelCorruptError,
    ModelMismatchError,
    ModelMissingError,
    QuantizerRangeError,
)

if TYPE_CHECKING:
    from aecodec.archive import Archive
    from aecodec.archive import Archive as open
    from aecodec.codec import Codec
    from aecodec.limits import Limits
    from aecodec.models import Model, load_model
    from aecodec.repairing import Repair, repair
    from aecodec.transfer import Unpacked, compress, decode, decompress, encode, verify
    from aecodec.writing import Summary

_HOMES = {
    "Archive": "archive",
    "Codec": "codec",
    "Limits": "limits",
    "Model": "models",
    "Repair": "repairing",
    "Summary": "writing",
    "Unpacked": "transfer",
    "compress": "transfer",
    "decode": "transfer",
    "decompress": "transfer",
    "encode": "transfer",
    "load_model": "models",
    "repair": "repairing",
    "verify": "transfer",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "open":
        return __getattr__("Archive")
    if name not in _HOMES:
        raise AttributeError(f"module 'aecodec' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aecodec.{_HOMES[name]}"), name)


__all__ = [
    "AezCorruptError",
    "AezError",
    "AezLimitError",
    "AezUnsupportedError",
    "Archive",
    "Codec",
    "Limits",
    "Model",
    "ModelCorruptError",
    "ModelMismatchError",
    "ModelMissingError",
    "QuantizerRangeError",
    "Repair",
    "Summary",
    "Unpacked",
    "__version__",
    "compress",
    "decode",
    "decompress",
    "encode",
    "load_model",
    "open",
    "repair",
    "verify",
]
