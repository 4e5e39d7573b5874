"""Entropy coding: symbols and probabilities to bytes and back."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import warnings
from types import ModuleType

_broken: list[Exception] = []  # why numba is not used, although it is installed


def coder() -> ModuleType:
    """:mod:`aecodec.entropy.compiled` where numba works, else :mod:`aecodec.entropy.ans`.

    Where numba is installed and does not work, the first call warns.
    """
    from aecodec.entropy import ans

    if os.environ.get("AECODEC_NO_NUMBA") or _broken or not _has_numba():
        return ans
    try:
        from aecodec.entropy import compiled

        compiled.kernels()
    except Exception as error:  # noqa: BLE001  # whatever numba or LLVM raises: NumPy always works
        _broken.append(error)
        with contextlib.suppress(Warning):  # where warnings are errors
            warnings.warn(
                f"numba is installed and does not work here ({type(error).__name__}: {error}), so "
                "NumPy codes bounded errors: to the same bytes, but much slower",
                RuntimeWarning,
                stacklevel=2,
            )
        return ans
    return compiled


def _has_numba() -> bool:
    """Whether numba is installed, and not told to leave functions uncompiled."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # put out of the way by hand
        return False
