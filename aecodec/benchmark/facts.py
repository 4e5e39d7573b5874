"""Where, when and on what a bench ran."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from aecodec._version import __version__
from aecodec.arrays import Images

PACKAGES = ("numpy", "torch", "zstandard", "Pillow")  # that bench/ needs throughout
PEER_PACKAGES = ("numpy", "torch", "zstandard", "Pillow", "imagecodecs", "brotli", "numba")
CPUINFO = Path("/proc/cpuinfo")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_facts(name: str, images: Images, packages: Sequence[str]) -> dict[str, Any]:
    """Date, machine, threads, versions of what is installed, and the data called ``name``."""
    import torch

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "threads": {
            "torch": torch.get_num_threads(),
            **{variable: os.environ.get(variable) for variable in THREAD_VARIABLES},
        },
        "versions": versions(packages),
        "data": {
            "name": name,
            "shape": list(images.shape),
            "pixels_sha256": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        },
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python, of this package, and of those packages that are installed."""
    found = {"python": platform.python_version(), "aecodec": __version__}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def library_versions() -> dict[str, str]:
    """Versions of the codecs inside Pillow and imagecodecs: sizes depend on them."""
    found: dict[str, str] = {}
    try:
        from PIL import features
    except ImportError:
        pass
    else:
        for name in ("avif", "webp", "libjpeg_turbo", "zlib"):
            number = features.version(name)
            if number:
                found[f"Pillow {name}"] = str(number)
    try:
        import imagecodecs
    except ImportError:
        return found
    for item in imagecodecs.version().split(", "):
        name, _, number = item.rpartition("-")
        if name in ("charls", "libjxl", "sz3", "zfp"):
            found[name] = number
    return found


def machine() -> dict[str, Any]:
    """The processor's model, the number of its cores, and the operating system."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()}


def _cpu_model() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
