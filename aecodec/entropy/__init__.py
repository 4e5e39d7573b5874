"""Entropy coding: symbols and probabilities to bytes and back."""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType


def coder() -> ModuleType:
    """:mod:`aecodec.entropy.compiled` where numba is installed, else :mod:`aecodec.entropy.ans`."""
    if importlib.util.find_spec("numba") and not os.environ.get("AECODEC_NO_NUMBA"):
        from aecodec.entropy import compiled

        return compiled
    from aecodec.entropy import ans

    return ans
