"""numcodecs: arrays of images as ``.aez``, for Zarr 2 stores and others. Extra ``numcodecs``.

``numcodecs.get_codec({"id": "aecodec", ...})`` finds it once both packages are installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_contiguous_ndarray_like, ndarray_copy
except ImportError as error:
    raise ImportError("the codec needs numcodecs: pip install aecodec[numcodecs]") from error

from aecodec.integrations.array_chunks import CODEC_ID, ChunkSettings, as_blob


class AezCodec(Codec):  # type: ignore[misc]  # numcodecs may be untyped, or not here
    """Encodes uint8 (n, H, W) or (n, H, W, C) to the bytes of an ``.aez``, and decodes them.

    ``AezCodec(model="mnist", quality=5)``, arguments as of
    :class:`aecodec.integrations.zarr.AezCodec`. In a Zarr 2 array use it as the only filter or as
    the compressor without filters: it must see the images.
    """

    codec_id = CODEC_ID

    def __init__(self, **config: object) -> None:
        self.settings = ChunkSettings.from_config(config)

    def get_config(self) -> dict[str, Any]:
        """The configuration as plain values, ``id`` among them."""
        return {"id": self.codec_id, **self.settings.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AezCodec:
        """The codec that ``get_config`` described; ValueError names a field that is wrong."""
        return cls(**{name: value for name, value in config.items() if name != "id"})

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401  # what numcodecs gives
        """The bytes of an ``.aez`` with the images in a buffer, uint8 (n, H, W[, C])."""
        return self.settings.encode(np.asarray(buf))

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401  # what numcodecs gives
        """The images of an ``.aez``, in ``out`` if it is given."""
        images = self.settings.decode(as_blob(ensure_contiguous_ndarray_like(buf)))
        return images if out is None else ndarray_copy(images, out)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AezCodec) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((type(self), self.settings))

    def __repr__(self) -> str:
        config = self.settings.to_config()
        return f"AezCodec({', '.join(f'{name}={value!r}' for name, value in config.items())})"
