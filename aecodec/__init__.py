"""aecodec packs sets of small, alike images into one ``.aez`` file; see README.md.

Names are imported when first used: ``import aecodec`` alone loads neither torch nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aecodec._version import __version__
from aecodec.errors import (
    AezChangedError,
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
    from aecodec.archive.array import Archive
    from aecodec.archive.array import Archive as open
    from aecodec.archive.compress import compress, encode
    from aecodec.archive.decompress import Unpacked, decode, decompress
    from aecodec.archive.options import Summary
    from aecodec.archive.repair import Repair, repair
    from aecodec.archive.verify import verify
    from aecodec.codec.codec import Codec
    from aecodec.limits import Limits
    from aecodec.models.finding import load_model
    from aecodec.models.model import Model

_HOMES = {
    "Archive": "archive.array",
    "Codec": "codec.codec",
    "Limits": "limits",
    "Model": "models.model",
    "Repair": "archive.repair",
    "Summary": "archive.options",
    "Unpacked": "archive.decompress",
    "compress": "archive.compress",
    "decode": "archive.decompress",
    "decompress": "archive.decompress",
    "encode": "archive.compress",
    "load_model": "models.finding",
    "repair": "archive.repair",
    "verify": "archive.verify",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "open":
        return __getattr__("Archive")
    if name not in _HOMES:
        raise AttributeError(f"module 'aecodec' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aecodec.{_HOMES[name]}"), name)


__all__ = [
    "AezChangedError",
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
